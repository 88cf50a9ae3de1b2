use std::collections::{HashMap, HashSet};

use crate::{Desired, Item, Kind};

/// Returns for each desired item the place of the installed item that it continues.
///
/// Items continue each other when they are of one kind and name. Routes without a name continue the
/// first that is equal in all keys, else the first with the same topic and destination.
pub(crate) fn pair(desired: &Desired, installed: &Desired) -> Vec<Option<usize>> {
    let by_kind: HashMap<&Kind, usize> =
        installed.sections.iter().enumerate().map(|(at, item)| (&item.kind, at)).collect();
    let mut pairs: Vec<Option<usize>> = desired
        .sections
        .iter()
        .map(|item| if is_nameless(item) { None } else { by_kind.get(&item.kind).copied() })
        .collect();
    pair_nameless(desired, installed, &mut pairs, |a, b| a.fields == b.fields);
    pair_nameless(desired, installed, &mut pairs, |a, b| {
        ["topic", "to"].iter().all(|key| a.fields.get(*key) == b.fields.get(*key))
    });
    pairs
}

fn is_nameless(item: &Item) -> bool {
    item.kind == Kind::Route(None)
}

fn pair_nameless(
    desired: &Desired,
    installed: &Desired,
    pairs: &mut [Option<usize>],
    same: impl Fn(&Item, &Item) -> bool,
) {
    let mut taken: HashSet<usize> = pairs.iter().flatten().copied().collect();
    for (item, pair) in desired.sections.iter().zip(pairs) {
        if pair.is_some() || !is_nameless(item) {
            continue;
        }
        let free = |(at, old): &(usize, &Item)| is_nameless(old) && !taken.contains(at);
        let mut candidates = installed.sections.iter().enumerate().filter(free);
        if let Some((at, _)) = candidates.find(|(_, old)| same(item, old)) {
            *pair = Some(at);
            taken.insert(at);
        }
    }
}
