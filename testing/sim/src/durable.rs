//! What a crash at this moment would leave, as far as the oracle must know: read from the records
//! themselves, by rules of its own.

use std::collections::{BTreeMap, HashSet};

use tomte_base::MessageId;
use tomte_core_hub::{Destination, Owner, Record, Will};

use crate::mark::Mark;

struct Session {
    owner: Owner,
    client_id: String,
    position: u64,
    filters: BTreeMap<String, u64>,
}

/// A message and the functions that are still to be called with it.
struct Kept {
    position: u64,
    mark: Mark,
    calls: Vec<String>,
}

/// The meaning of all records that are safe.
#[derive(Default)]
pub(crate) struct Durable {
    sessions: BTreeMap<u64, Session>,
    marks: HashSet<Mark>,
    messages: BTreeMap<MessageId, Kept>,
    /// Wills that are not over, by number, with the position of their record.
    wills: BTreeMap<u64, (u64, Owner, Will)>,
    /// Calls that ended, since the last look.
    pub(crate) ended_calls: Vec<(String, Mark)>,
    pub(crate) last: u64,
}

impl Durable {
    pub(crate) fn take_in(&mut self, position: u64, record: Record) {
        self.last = position;
        match record {
            Record::SessionOpened { session, owner, client_id, .. } => {
                let filters = self.sessions.remove(&session).map(|old| old.filters);
                let filters = filters.unwrap_or_default();
                self.sessions.insert(session, Session { owner, client_id, position, filters });
            }
            Record::SessionClosed { session } => drop(self.sessions.remove(&session)),
            Record::Subscribed { session, filter, .. } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.filters.insert(filter.to_string(), position);
                }
            }
            Record::Unsubscribed { session, filter } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.filters.remove(filter.as_str());
                }
            }
            Record::AcceptedWill { number, message, destinations } => {
                self.wills.remove(&number);
                self.take_in(position, Record::Accepted { message, destinations });
            }
            Record::Accepted { message, destinations } => {
                if let Some((mark, _)) = Mark::read(&message.payload) {
                    self.marks.insert(mark);
                    let calls = destinations.into_iter().filter_map(function).collect();
                    let kept = Kept { position, mark, calls };
                    let old = self.messages.insert(message.id, kept);
                    self.end_calls(message.id, old);
                }
            }
            Record::Retained { message } => {
                self.marks.extend(Mark::read(&message.payload).map(|(mark, _)| mark));
            }
            Record::Done { message, destination: Destination::Call { function, .. } } => {
                if let Some(kept) = self.messages.get_mut(&message) {
                    kept.calls.retain(|name| name != function.as_str());
                    self.ended_calls.push((function.to_string(), kept.mark));
                }
            }
            Record::WillKept { number, owner, will, .. } => {
                self.wills.insert(number, (position, owner, will));
            }
            Record::WillOver { number } => drop(self.wills.remove(&number)),
            Record::Superseded { before } => self.supersede(before.0),
            _ => {}
        }
    }

    fn supersede(&mut self, before: u64) {
        let gone = self.messages.extract_if(.., |_, kept| kept.position < before);
        for (_, kept) in gone {
            self.ended_calls.extend(kept.calls.into_iter().map(|name| (name, kept.mark)));
        }
        self.sessions.retain(|_, session| session.position >= before);
        self.wills.retain(|_, (position, ..)| *position >= before);
        for session in self.sessions.values_mut() {
            session.filters.retain(|_, position| *position >= before);
        }
    }

    /// The wills that are not over, whose clients lost their connections with the process.
    pub(crate) fn wills(&self) -> Vec<(Owner, Will)> {
        self.wills.values().map(|(_, owner, will)| (owner.clone(), will.clone())).collect()
    }

    /// What a message kept before and does not keep any more has ended.
    fn end_calls(&mut self, id: MessageId, old: Option<Kept>) {
        let Some(old) = old else { return };
        let now = self.messages.get(&id).map(|kept| &kept.calls[..]).unwrap_or_default();
        let ended = old.calls.into_iter().filter(|name| !now.contains(name));
        self.ended_calls.extend(ended.map(|name| (name, old.mark)));
    }

    /// Tells whether the message was written.
    pub(crate) fn holds(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    /// Tells whether the session is there, and with it all of `filters`.
    pub(crate) fn has_session(&self, device: Option<&str>, id: &str, filters: &[String]) -> bool {
        self.sessions.values().any(|session| {
            let owner = session.owner.device().map(|name| name.as_str());
            owner == device
                && session.client_id == id
                && filters.iter().all(|filter| session.filters.contains_key(filter))
        })
    }
}

fn function(destination: Destination) -> Option<String> {
    match destination {
        Destination::Call { function, .. } => Some(function.to_string()),
        _ => None,
    }
}
