//! What a crash at this moment would leave, as far as the oracle must know: read from the records
//! themselves, by rules of its own.

use std::collections::{BTreeMap, HashSet};

use tomte_base::{Message, MessageId, Time};
use tomte_core_hub::{Destination, Owner, Record, Will};

use crate::mark::Mark;

struct Session {
    owner: Owner,
    client_id: String,
    position: u64,
    parts: Parts,
}

/// What a session has beside itself, with the positions.
#[derive(Default)]
struct Parts {
    filters: BTreeMap<String, u64>,
    /// Packet identifiers of QoS 2 messages that its client has not released.
    received: BTreeMap<u16, u64>,
}

/// A will that is not over.
struct KeptWill {
    position: u64,
    session: u64,
    owner: Owner,
    /// When it is published; none while its client was connected.
    due: Option<Time>,
    will: Will,
}

/// What becomes of a will after a restart.
pub(crate) struct WillLeft {
    pub(crate) owner: Owner,
    /// The client identifier of the session that it waits in, and when its time comes: that is told,
    /// or begins with the restart. None when nothing lets it wait.
    pub(crate) waits: Option<(String, Option<Time>)>,
    pub(crate) will: Will,
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
    /// Parts of a message that do not count yet, with where they lie.
    parts: BTreeMap<MessageId, Vec<(u64, Message, Vec<Destination>)>>,
    /// Wills that are not over, by number.
    wills: BTreeMap<u64, KeptWill>,
    /// Calls that ended, since the last look.
    pub(crate) ended_calls: Vec<(String, Mark)>,
    pub(crate) last: u64,
}

impl Durable {
    pub(crate) fn take_in(&mut self, position: u64, record: Record) {
        self.last = position;
        match record {
            Record::SessionOpened { session, owner, client_id, .. } => {
                let parts = self.sessions.remove(&session).map(|old| old.parts);
                let parts = parts.unwrap_or_default();
                self.sessions.insert(session, Session { owner, client_id, position, parts });
            }
            Record::SessionClosed { session } => drop(self.sessions.remove(&session)),
            Record::Subscribed { session, filter, .. } => {
                self.part_of(session, |parts| {
                    parts.filters.insert(filter.to_string(), position);
                });
            }
            Record::Unsubscribed { session, filter } => {
                self.part_of(session, |parts| {
                    parts.filters.remove(filter.as_str());
                });
            }
            Record::AcceptedWill { number, message, destinations } => {
                self.wills.remove(&number);
                self.accept(position, &message, destinations);
            }
            Record::Accepted { message, destinations } => {
                self.accept(position, &message, destinations);
            }
            Record::AcceptedFrom { session, packet_id, message, destinations } => {
                self.accept(position, &message, destinations);
                self.part_of(session, |parts| {
                    parts.received.insert(packet_id, position);
                });
            }
            Record::AcceptedPart { of, message, destinations } => {
                self.parts.entry(of).or_default().push((position, message, destinations));
            }
            Record::AllAccepted { of, packet, will } => {
                for (position, message, destinations) in self.parts.remove(&of).unwrap_or_default()
                {
                    self.accept(position, &message, destinations);
                }
                if let Some((session, packet_id)) = packet {
                    self.part_of(session, |parts| {
                        parts.received.insert(packet_id, position);
                    });
                }
                if let Some(number) = will {
                    self.wills.remove(&number);
                }
            }
            Record::Received { session, packet_id } => {
                self.part_of(session, |parts| {
                    parts.received.insert(packet_id, position);
                });
            }
            Record::ReceiveEnded { session, packet_id } => {
                self.part_of(session, |parts| {
                    parts.received.remove(&packet_id);
                });
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
            Record::WillKept { number, session, owner, due, will } => {
                self.wills.insert(number, KeptWill { position, session, owner, due, will });
            }
            Record::WillOver { number } => drop(self.wills.remove(&number)),
            Record::Superseded { before } => self.supersede(before.0),
            _ => {}
        }
    }

    fn part_of(&mut self, session: u64, change: impl FnOnce(&mut Parts)) {
        if let Some(session) = self.sessions.get_mut(&session) {
            change(&mut session.parts);
        }
    }

    fn accept(&mut self, position: u64, message: &Message, destinations: Vec<Destination>) {
        let Some((mark, _)) = Mark::read(&message.payload) else { return };
        let mark = mark.on(&message.topic);
        self.marks.insert(mark);
        let calls = destinations.into_iter().filter_map(function).collect();
        let kept = Kept { position, mark, calls };
        let old = self.messages.insert(message.id, kept);
        self.end_calls(message.id, old);
    }

    fn supersede(&mut self, before: u64) {
        let gone = self.messages.extract_if(.., |_, kept| kept.position < before);
        for (_, kept) in gone {
            self.ended_calls.extend(kept.calls.into_iter().map(|name| (name, kept.mark)));
        }
        self.sessions.retain(|_, session| session.position >= before);
        self.wills.retain(|_, kept| kept.position >= before);
        for Session { parts, .. } in self.sessions.values_mut() {
            parts.filters.retain(|_, position| *position >= before);
            parts.received.retain(|_, position| *position >= before);
        }
    }

    /// The wills that are not over, whose clients lost their connections with the process.
    pub(crate) fn wills(&self) -> Vec<WillLeft> {
        let left = |kept: &KeptWill| {
            let session = self.newest(kept.session).filter(|_| kept.will.delay_s > 0);
            WillLeft {
                owner: kept.owner.clone(),
                waits: session.map(|session| (session.client_id.clone(), kept.due)),
                will: kept.will.clone(),
            }
        };
        self.wills.values().map(left).collect()
    }

    /// The session with this number, unless a newer one of the same client replaced it.
    fn newest(&self, number: u64) -> Option<&Session> {
        let session = self.sessions.get(&number)?;
        let mut later = self.sessions.range(number + 1..).map(|(_, later)| later);
        let is_same = |later: &Session| {
            (&later.owner, &later.client_id) == (&session.owner, &session.client_id)
        };
        (!later.any(is_same)).then_some(session)
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
        let has_all = |parts: &Parts| filters.iter().all(|one| parts.filters.contains_key(one));
        self.of(device, id).any(|session| has_all(&session.parts))
    }

    /// Tells whether a QoS 2 message of the client is remembered under this packet identifier.
    pub(crate) fn has_received(&self, device: Option<&str>, id: &str, packet_id: u16) -> bool {
        self.of(device, id).any(|session| session.parts.received.contains_key(&packet_id))
    }

    fn of<'a>(&'a self, device: Option<&'a str>, id: &'a str) -> impl Iterator<Item = &'a Session> {
        self.sessions.values().filter(move |session| {
            let owner = session.owner.device().map(|name| name.as_str());
            owner == device && session.client_id == id
        })
    }
}

fn function(destination: Destination) -> Option<String> {
    match destination {
        Destination::Call { function, .. } => Some(function.to_string()),
        _ => None,
    }
}
