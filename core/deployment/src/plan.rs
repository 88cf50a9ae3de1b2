use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use tomte_base::{DeviceName, FunctionName};

use crate::order::moved;
use crate::pairs::pair;
use crate::{Desired, Item, Kind};

/// Keys of a function that its workers are started with. The rest concerns only the next call.
const WORKER_KEYS: [&str; 5] = ["code", "handler", "memory", "mode", "runtime"];

/// Keys whose values are not shown, because people keep secrets there.
const SECRET: &str = "environment.";

/// Length of a SHA-256 in hex; of such a value the first twelve digits are shown.
const DIGEST_DIGITS: usize = 64;

/// The differences between two configurations, in the order of the desired one; what goes comes last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The differences; empty when there are none.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happens to it.
    pub kind: ChangeKind,
    /// What it is about: `functions.regulate`, `routes[0] "hot"`.
    pub what: String,
    /// `key: old -> new` of a change, `key: value` of what is added, nothing of what goes.
    pub details: Vec<String>,
    /// What is disturbed.
    pub effects: BTreeSet<Effect>,
}

/// What happens to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Add,
    /// It was there and differs.
    Change,
    /// It goes.
    Remove,
}

/// What a change disturbs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The hub shows another name.
    Hub,
    /// The listener of this protocol is closed, or bound anew; connections through it end.
    Listener(String),
    /// Queues, sessions and connections get other bounds; nothing is restarted.
    Limits,
    /// Messages are acknowledged under another rule from now on.
    Durability,
    /// The session of this device ends, because it is no longer declared.
    Session(DeviceName),
    /// Idle workers of this function are stopped, busy ones after their call; new ones replace them.
    Workers(FunctionName),
    /// Waiting and future calls of this function follow other rules; its workers stay.
    Calls(FunctionName),
    /// The route table is replaced, between two messages.
    Routes,
}

impl Plan {
    /// Tells whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns everything that is disturbed.
    #[must_use]
    pub fn effects(&self) -> BTreeSet<&Effect> {
        self.changes.iter().flat_map(|change| &change.effects).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let sign = match change.kind {
                ChangeKind::Add => '+',
                ChangeKind::Change => '~',
                ChangeKind::Remove => '-',
            };
            writeln!(f, "{sign} {}", change.what)?;
            for detail in &change.details {
                writeln!(f, "    {detail}")?;
            }
        }
        Ok(())
    }
}

/// Returns what must change for `installed`, none before the first deployment, to become `desired`.
#[must_use]
pub fn plan(desired: &Desired, installed: Option<&Desired>) -> Plan {
    let nothing = Desired::default();
    let installed = installed.unwrap_or(&nothing);
    let pairs = pair(desired, installed);
    let moves = moved_routes(desired, installed, &pairs);
    let mut changes = Vec::new();
    for (at, (item, pair)) in desired.sections.iter().zip(&pairs).enumerate() {
        match pair.map(|old| &installed.sections[old]) {
            None => changes.push(added(item)),
            Some(old) => changes.extend(changed(old, item, moves.get(&at))),
        }
    }
    let kept: BTreeSet<usize> = pairs.into_iter().flatten().collect();
    let gone = installed.sections.iter().enumerate().filter(|(at, _)| !kept.contains(at));
    changes.extend(gone.rev().map(|(_, item)| removed(item)));
    Plan { changes }
}

/// Returns, by place in `desired`, the routes that changed their order, and how.
fn moved_routes(
    desired: &Desired,
    installed: &Desired,
    pairs: &[Option<usize>],
) -> HashMap<usize, String> {
    let is_route = |at: &usize| matches!(desired.sections[*at].kind, Kind::Route(_));
    let kept: Vec<(usize, usize)> =
        (0..pairs.len()).filter(is_route).filter_map(|at| pairs[at].map(|old| (at, old))).collect();
    let old_places: Vec<usize> = kept.iter().map(|(_, old)| *old).collect();
    let place = |of: &Desired, at: usize| {
        let before = &of.sections[..at];
        before.iter().filter(|item| matches!(item.kind, Kind::Route(_))).count()
    };
    let describe = |(at, old): (usize, usize)| {
        (at, format!("place: {} -> {}", place(installed, old), place(desired, at)))
    };
    moved(&old_places).into_iter().map(|index| describe(kept[index])).collect()
}

fn added(item: &Item) -> Change {
    let details = item.fields.iter().map(|(key, value)| format!("{key}: {}", shown(key, value)));
    let keys = item.fields.keys().map(String::as_str).collect();
    Change {
        kind: ChangeKind::Add,
        what: item.what.clone(),
        details: details.collect(),
        effects: effects(&item.kind, ChangeKind::Add, &keys),
    }
}

fn removed(item: &Item) -> Change {
    Change {
        kind: ChangeKind::Remove,
        what: item.what.clone(),
        details: Vec::new(),
        effects: effects(&item.kind, ChangeKind::Remove, &BTreeSet::new()),
    }
}

fn changed(old: &Item, new: &Item, moved: Option<&String>) -> Option<Change> {
    let all: BTreeSet<&str> =
        old.fields.keys().chain(new.fields.keys()).map(String::as_str).collect();
    let keys: BTreeSet<&str> =
        all.into_iter().filter(|key| old.fields.get(*key) != new.fields.get(*key)).collect();
    let mut details: Vec<String> =
        keys.iter().map(|key| difference(key, &old.fields, &new.fields)).collect();
    details.extend(moved.cloned());
    if details.is_empty() {
        return None;
    }
    let effects = effects(&new.kind, ChangeKind::Change, &keys);
    Some(Change { kind: ChangeKind::Change, what: new.what.clone(), details, effects })
}

fn difference(key: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> String {
    let value = |of: &BTreeMap<String, String>| {
        of.get(key).map_or_else(|| "none".to_owned(), |value| shown(key, value))
    };
    format!("{key}: {} -> {}", value(old), value(new))
}

fn shown(key: &str, value: &str) -> String {
    let is_digest =
        value.len() == DIGEST_DIGITS && value.bytes().all(|digit| digit.is_ascii_hexdigit());
    match value {
        _ if key.starts_with(SECRET) => "(hidden)".to_owned(),
        _ if is_digest => format!("{}...", &value[..12]),
        value => value.to_owned(),
    }
}

fn effects(kind: &Kind, change: ChangeKind, keys: &BTreeSet<&str>) -> BTreeSet<Effect> {
    let effect = match kind {
        Kind::Hub => Effect::Hub,
        Kind::Listener(protocol) => Effect::Listener(protocol.clone()),
        Kind::Limits => Effect::Limits,
        Kind::Durability => Effect::Durability,
        Kind::Device(name) if change == ChangeKind::Remove => Effect::Session(name.clone()),
        Kind::Device(_) => return BTreeSet::new(),
        Kind::Function(name) => return effects_of_function(name, change, keys),
        Kind::Route(_) => Effect::Routes,
    };
    BTreeSet::from([effect])
}

fn effects_of_function(
    name: &FunctionName,
    change: ChangeKind,
    keys: &BTreeSet<&str>,
) -> BTreeSet<Effect> {
    let is_of_worker = |key: &&&str| WORKER_KEYS.contains(key) || key.starts_with(SECRET);
    let of_workers = keys.iter().filter(is_of_worker).count();
    let mut effects = BTreeSet::new();
    if change != ChangeKind::Change || of_workers > 0 {
        effects.insert(Effect::Workers(name.clone()));
    }
    if change != ChangeKind::Change || of_workers < keys.len() {
        effects.insert(Effect::Calls(name.clone()));
    }
    effects
}

#[cfg(test)]
mod tests;
