use std::fmt;
use std::time::Duration;

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Times that the hub was killed.
    pub kills: u64,
    /// Messages that the hub acknowledged with QoS 1.
    pub acknowledged_1: u64,
    /// Messages that the hub acknowledged with QoS 2.
    pub acknowledged_2: u64,
    /// Messages that all receivers together got.
    pub delivered: u64,
    /// Acknowledged messages that a receiver never got.
    pub lost: u64,
    /// Messages that a receiver got twice although both sides have QoS 2.
    pub doubled: u64,
    /// Messages that a receiver got twice with QoS 1, which may be.
    pub sent_again: u64,
    /// Messages that came after a later one of the same publisher.
    pub reordered: u64,
    /// Sessions that the hub did not know any more.
    pub sessions_lost: u64,
    /// Publishers that did not get the acknowledgements of their last messages.
    pub unfinished: u64,
    /// Retained messages that were older than an acknowledged one, or not there.
    pub retained_lost: u64,
    /// The longest time from a start to the first answer.
    pub slowest_start: Duration,
}

impl Report {
    /// Tells whether every promise was kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let faults = [
            self.lost,
            self.doubled,
            self.reordered,
            self.sessions_lost,
            self.unfinished,
            self.retained_lost,
        ];
        faults.iter().all(|fault| *fault == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills: {} messages acknowledged with QoS 1 and {} with QoS 2, {} delivered; \
             lost {}, doubled {} (with QoS 1, which may be: {}), reordered {}, sessions lost {}, \
             unfinished publishers {}, retained lost {}; slowest start {:?}",
            self.kills,
            self.acknowledged_1,
            self.acknowledged_2,
            self.delivered,
            self.lost,
            self.doubled,
            self.sent_again,
            self.reordered,
            self.sessions_lost,
            self.unfinished,
            self.retained_lost,
            self.slowest_start
        )
    }
}
