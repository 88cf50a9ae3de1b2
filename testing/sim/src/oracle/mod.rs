//! A plain model that knows what was promised to whom.
//!
//! It sees every packet at the moment at which the hub takes it, and every packet at the moment at
//! which its last byte leaves the hub. So it need not guess: a promise is made when an
//! acknowledgement leaves, and it speaks of the state in which the message was taken.
//!
//! *What is a promise?* `duties.rs`. *What does a client say?* `lines.rs`. *Who has subscribed?*
//! `sessions.rs`. *Where does a message go?* `messages.rs`. *Is it new?* `exactly_once.rs`. *Which member of a
//! group gets it?* `shares.rs`. *Which message is it that an identifier stands for?* `identifiers.rs`. *What is published for who vanished?* `wills.rs`. *What may leave the hub, and when?* `leaving.rs`. *What reached a client?*
//! `delivery.rs`. *Do the numbers add up?* `counting.rs`.

mod counting;
mod delivery;
mod duties;
mod exactly_once;
mod identifiers;
mod leaving;
mod lines;
mod messages;
mod sessions;
mod shares;
#[cfg(test)]
mod tests;
mod wills;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tomte_base::Time;
use tomte_core_hub::{Counter, Limits};

use crate::mark::Mark;
use crate::network::ConnId;
use crate::settings::Settings;
use crate::table::Table;
pub(crate) use counting::Books;
use counting::Expected;
use delivery::Seen;
use duties::{Cause, Duty};
use lines::Line;
pub(crate) use lines::Signs;
use messages::{Candidate, Published};
use sessions::Kept;
pub(crate) use shares::{GROUPS, group_of};
use wills::WaitingWill;

/// A client identifier and whose it is.
pub(crate) type Key = (Option<&'static str>, String);

pub(crate) struct Oracle {
    tables: Vec<Table>,
    table: usize,
    limits: Limits,
    sessions: BTreeMap<Key, Kept>,
    /// Sessions that a CONNECT ended and that a crash may bring back, as no CONNACK has left yet.
    unended: BTreeSet<Key>,
    lines: HashMap<ConnId, Line>,
    published: HashMap<Mark, Published>,
    /// Promises that are made when something is acknowledged.
    pending: HashMap<Cause, Vec<Duty>>,
    firm: BTreeSet<Duty>,
    /// What reached a session, and what reached an owner.
    reached: BTreeSet<(Key, Mark)>,
    /// What reached a member by way of a group, and the member of each group that got a message
    /// first, with QoS 2 or not.
    reached_shared: BTreeSet<(u32, Key, Mark)>,
    got_shared: HashMap<(u32, Mark), (Key, bool)>,
    n_passed_on: u64,
    ended_calls: BTreeSet<(String, Mark)>,
    answered_calls: BTreeSet<(String, Mark)>,
    retained: BTreeMap<String, Vec<Candidate>>,
    seen: HashMap<Key, Seen>,
    /// Who is at the other end of each connection there ever was.
    keys: HashMap<ConnId, Key>,
    /// How many sessions of each client began, whether or not a CONNACK ever said so, and which one of
    /// them each connection was told of.
    begun: HashMap<Key, u64>,
    told: HashMap<ConnId, u64>,
    wills: BTreeMap<Key, WaitingWill>,
    n_delayed_wills: u64,
    /// Messages that were acknowledged without being in the journal.
    unkept: Vec<Mark>,
    expected: Expected,
    totals: BTreeMap<Counter, u64>,
    n_generations: u64,
    n_crashes: u64,
    /// What came over earlier connections may have left with an identifier that the journal lost.
    identified_from: ConnId,
    safe: u64,
    /// The hub may keep what it takes.
    journal_is_whole: bool,
    violation: Option<String>,
}

impl Oracle {
    pub(crate) fn new(tables: Vec<Table>, table: usize, settings: &Settings) -> Self {
        Self {
            tables,
            table,
            limits: settings.limits.clone(),
            sessions: BTreeMap::new(),
            unended: BTreeSet::new(),
            lines: HashMap::new(),
            published: HashMap::new(),
            pending: HashMap::new(),
            firm: BTreeSet::new(),
            reached: BTreeSet::new(),
            reached_shared: BTreeSet::new(),
            got_shared: HashMap::new(),
            n_passed_on: 0,
            ended_calls: BTreeSet::new(),
            answered_calls: BTreeSet::new(),
            retained: BTreeMap::new(),
            seen: HashMap::new(),
            keys: HashMap::new(),
            begun: HashMap::new(),
            told: HashMap::new(),
            wills: BTreeMap::new(),
            n_delayed_wills: 0,
            unkept: Vec::new(),
            expected: Expected::default(),
            totals: BTreeMap::new(),
            n_generations: 0,
            n_crashes: 0,
            // A message that cannot be read back is lost, and its identifier with it.
            identified_from: ConnId(if settings.bad_read > 0 { usize::MAX } else { 0 }),
            safe: 0,
            journal_is_whole: true,
            violation: None,
        }
    }

    /// Says that a promise was broken. The first one counts.
    pub(crate) fn blame(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(crate) fn on_deploy(&mut self, table: usize) {
        self.table = table;
    }

    /// The process died: what was not acknowledged may be gone.
    pub(crate) fn on_crash(&mut self, safe: u64) {
        self.n_crashes += 1;
        self.safe = safe;
        self.pending.clear();
        self.lines.clear();
        self.wills.clear();
        for kept in self.sessions.values_mut() {
            kept.on_crash();
        }
        self.sessions.retain(|_, kept| kept.is_persistent());
    }

    /// It is back, with the journal up to `last`.
    pub(crate) fn on_recovered(&mut self, now: Time, last: u64) {
        if last < self.safe {
            let safe = self.safe;
            self.blame(|| format!("the journal ends at {last}, but {safe} was safe"));
        }
        for kept in self.sessions.values_mut() {
            kept.on_recovered(now);
        }
    }
}
