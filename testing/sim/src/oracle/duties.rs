use std::fmt;

use tomte_base::Time;

use crate::mark::Mark;
use crate::network::ConnId;

use super::sessions::Kept;
use super::{Key, Oracle};

/// Whose acknowledgement makes a promise.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// PUBACK of this connection for this packet.
    Ack(ConnId, u16),
    /// PUBREC for this packet of this session, on whatever connection.
    Receipt(Key, u64, u16),
    /// The note that this call ended is safe.
    Call(String, Mark),
    /// Nobody's: best effort.
    Nobody,
}

/// What must come true.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Duty {
    /// The message reaches this session, as long as it lives.
    Session(Key, u64, Mark),
    /// The message reaches some member of this group.
    Shared(u32, Mark),
    /// The message reaches some session of this device.
    Held(&'static str, Mark),
    /// The call ends.
    Call(String, Mark),
    /// The n-th candidate of this topic is retained, unless a later one is.
    Retained(String, usize),
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session((_, id), _, mark) => write!(f, "{mark} must reach the session {id}"),
            Self::Shared(group, mark) => write!(f, "{mark} must reach a member of {group}"),
            Self::Held(device, mark) => write!(f, "{mark} is held for {device}"),
            Self::Call(function, mark) => write!(f, "the call of {function} with {mark} must end"),
            Self::Retained(topic, nth) => write!(f, "candidate {nth} of {topic} is retained"),
        }
    }
}

impl Oracle {
    /// Something was acknowledged: its promises hold from now on.
    pub(super) fn make_firm(&mut self, cause: &Cause) {
        for duty in self.pending.remove(cause).unwrap_or_default() {
            if let Duty::Retained(topic, nth) = &duty
                && let Some(candidate) =
                    self.retained.get_mut(topic).and_then(|all| all.get_mut(*nth))
            {
                candidate.is_acknowledged = true;
                continue;
            }
            if !self.has_run(&duty) && !self.is_done(&duty) {
                self.firm.insert(duty);
            }
        }
    }

    /// The hub is about to take what came.
    pub(crate) fn on_turn(&mut self, journal_is_whole: bool) {
        self.journal_is_whole = journal_is_whole;
    }

    /// A call that ran while the journal failed may have come and gone before it is safe.
    pub(super) fn has_run(&self, duty: &Duty) -> bool {
        matches!(duty, Duty::Call(name, mark)
            if self.answered_calls.contains(&(name.clone(), *mark)))
    }

    pub(super) fn is_done(&self, duty: &Duty) -> bool {
        match duty {
            Duty::Session(key, _, mark) => self.reached.contains(&(key.clone(), *mark)),
            Duty::Held(device, mark) => self
                .reached
                .iter()
                .any(|((owner, _), reached)| *owner == Some(*device) && reached == mark),
            Duty::Shared(group, mark) => self.got_shared.contains_key(&(*group, *mark)),
            Duty::Call(function, mark) => self.ended_calls.contains(&(function.clone(), *mark)),
            Duty::Retained(..) => true,
        }
    }

    /// The promises to sessions that live and were not kept yet.
    pub(super) fn open_duties(&self, now: Time) -> Vec<&Duty> {
        let is_open = |duty: &&Duty| match duty {
            Duty::Session(key, generation, _) => {
                let kept = self.sessions.get(key);
                let is_it = |kept: &Kept| kept.generation == *generation && kept.is_alive(now);
                kept.is_some_and(is_it) && !self.is_done(duty)
            }
            other => !self.is_done(other),
        };
        self.firm.iter().filter(is_open).collect()
    }

    /// A call's end is safe, and with it all that it led to.
    pub(crate) fn call_ended(&mut self, function: &str, mark: Mark) {
        let call = (function.to_owned(), mark);
        self.firm.remove(&Duty::Call(call.0.clone(), mark));
        self.make_firm(&Cause::Call(call.0.clone(), mark));
        self.ended_calls.insert(call);
    }
}
