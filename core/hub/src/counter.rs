use std::fmt;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What the hub counts. Every drop and refusal has one of these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[$doc])* $name,)*
        }

        impl Counter {
            /// All counters, in the order of their declaration.
            pub const ALL: &'static [Counter] = &[$(Counter::$name,)*];

            /// Returns the name and labels in the form of Prometheus.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Counter::$name => $text,)*
                }
            }
        }
    };
}

counters! {
    /// Connections that sent a valid CONNECT and were let in.
    Connected => "tomte_connections_accepted_total",
    /// PUBLISH packets from clients that were accepted.
    Received => "tomte_messages_received_total",
    /// PUBLISH packets written to clients.
    Delivered => "tomte_messages_delivered_total",
    /// Deliveries that a client acknowledged.
    Acknowledged => "tomte_deliveries_acknowledged_total",
    /// Deliveries to a member of a group whose session ended, passed on to another member.
    PassedOn => "tomte_deliveries_passed_on_total",
    /// Messages given to functions.
    CallsAccepted => "tomte_calls_accepted_total",
    /// Calls that returned a result.
    CallsSucceeded => "tomte_calls_succeeded_total",
    /// Calls whose code returned an error.
    CallsHandled => "tomte_calls_failed_total{kind=\"handled\"}",
    /// Calls that the platform ended.
    CallsUnhandled => "tomte_calls_failed_total{kind=\"unhandled\"}",
    /// Records given to the journal.
    Records => "tomte_journal_records_total",
    /// Commits of the journal that failed.
    JournalFailures => "tomte_journal_failures_total",
    /// No route from this source takes this topic.
    DropNoRoute => "tomte_messages_dropped_total{reason=\"no_route\"}",
    /// Routes take the topic, but no condition held.
    DropNoMatch => "tomte_messages_dropped_total{reason=\"no_match\"}",
    /// A route sends the topic to nobody.
    DropToNobody => "tomte_messages_dropped_total{reason=\"to_nobody\"}",
    /// A route matched, but nobody had subscribed.
    DropNoSubscriber => "tomte_messages_dropped_total{reason=\"no_subscriber\"}",
    /// No member of a group could take or keep it.
    DropNoMember => "tomte_messages_dropped_total{reason=\"no_member\"}",
    /// A message rule did not choose this receiver, who subscribed to the topic.
    Withheld => "tomte_messages_dropped_total{reason=\"withheld\"}",
    /// QoS 0 for a client whose output buffer was full.
    DropSlowReader => "tomte_messages_dropped_total{reason=\"slow_reader\"}",
    /// QoS 0 for a session whose client is away.
    DropOffline => "tomte_messages_dropped_total{reason=\"offline_qos0\"}",
    /// A queue was full and its rule dropped one.
    DropQueueFull => "tomte_messages_dropped_total{reason=\"queue_full\"}",
    /// The message's time was over before it could be delivered.
    DropExpired => "tomte_messages_dropped_total{reason=\"expired\"}",
    /// A hold was full and its rule dropped one.
    DropHoldFull => "tomte_messages_dropped_total{reason=\"hold_full\"}",
    /// The hold's time was over before the device came back.
    DropHoldExpired => "tomte_messages_dropped_total{reason=\"hold_expired\"}",
    /// Larger than the receiving client allows.
    DropTooLarge => "tomte_messages_dropped_total{reason=\"packet_too_large\"}",
    /// All queues together were full.
    DropQueuesFull => "tomte_messages_dropped_total{reason=\"queues_full\"}",
    /// It waited in the journal and could not be read back.
    DropUnreadable => "tomte_messages_dropped_total{reason=\"unreadable\"}",
    /// The session ended with messages in its queue.
    DropSessionEnded => "tomte_messages_dropped_total{reason=\"session_ended\"}",
    /// The message went through too many functions.
    DropHopLimit => "tomte_messages_dropped_total{reason=\"hop_limit\"}",
    /// A retained message did not fit the limit of the store.
    DropRetainedFull => "tomte_messages_dropped_total{reason=\"retained_full\"}",
    /// The queue of calls was full.
    DropCallRefused => "tomte_messages_dropped_total{reason=\"call_refused\"}",
    /// A condition could not be evaluated.
    ConditionErrors => "tomte_route_condition_errors_total",
    /// CONNECT refused: bad credentials, version, or limits.
    RefusedConnect => "tomte_refusals_total{what=\"connect\"}",
    /// CONNECT with a user or a password that is wrong.
    RefusedPassword => "tomte_refusals_total{what=\"password\"}",
    /// CONNECT with a password that was not looked at: too many wrong ones came from its address.
    RefusedPasswordRate => "tomte_refusals_total{what=\"password_rate\"}",
    /// Connections past limits.max_connections or limits.max_connecting, or that the system did not serve.
    RefusedConnection => "tomte_refusals_total{what=\"connection\"}",
    /// Connections that could not be accepted at once, mostly because no descriptor was free; each attempt.
    FailedAccepts => "tomte_accepts_failed_total",
    /// TLS handshakes that failed for another reason than the certificate.
    RefusedHandshake => "tomte_refusals_total{what=\"tls_handshake\"}",
    /// Requests for a WebSocket that were not granted.
    RefusedWebSocket => "tomte_refusals_total{what=\"websocket\"}",
    /// Clients without a certificate where one is needed.
    CertificateMissing => "tomte_certificates_refused_total{reason=\"missing\"}",
    /// Certificates whose time is over.
    CertificateExpired => "tomte_certificates_refused_total{reason=\"expired\"}",
    /// Certificates whose time has not begun.
    CertificateNotYetValid => "tomte_certificates_refused_total{reason=\"not_yet_valid\"}",
    /// Certificates of devices that were removed, and those before a renewal.
    CertificateRevoked => "tomte_certificates_refused_total{reason=\"revoked\"}",
    /// Certificates that this hub has not made, or that name no device of it.
    CertificateUnknown => "tomte_certificates_refused_total{reason=\"unknown\"}",
    /// A subscription that no route could feed, or past a limit.
    RefusedSubscribe => "tomte_refusals_total{what=\"subscribe\"}",
    /// A PUBLISH without a route, answered with a reason.
    RefusedPublish => "tomte_refusals_total{what=\"publish\"}",
    /// Acknowledgements withheld because the journal failed.
    RefusedNotStored => "tomte_refusals_total{what=\"not_stored\"}",
    /// QoS 2 messages of clients that had too many others open, which they had not released.
    RefusedUnreleased => "tomte_refusals_total{what=\"unreleased\"}",
    /// Connections closed for a malformed packet or a breach of the protocol.
    ProtocolErrors => "tomte_connections_closed_total{reason=\"protocol_error\"}",
    /// Connections closed because nothing came within the keep-alive time.
    KeepAliveTimeouts => "tomte_connections_closed_total{reason=\"keep_alive\"}",
    /// Connections closed because no CONNECT came in time.
    ConnectTimeouts => "tomte_connections_closed_total{reason=\"connect_timeout\"}",
    /// Connections closed because another one took their session over.
    TakeOvers => "tomte_connections_closed_total{reason=\"taken_over\"}",
    /// Connections closed because their unread output passed the limit.
    SlowReaders => "tomte_connections_closed_total{reason=\"slow_reader\"}",
    /// Connections closed because half received packets filled the memory that all of them share.
    Unfinished => "tomte_connections_closed_total{reason=\"unfinished_packet\"}",
}

/// One number for each [`Counter`].
#[derive(Clone)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// Adds one.
    pub fn add(&mut self, counter: Counter) {
        self.0[counter as usize] += 1;
    }

    /// Adds `n`.
    pub fn add_n(&mut self, counter: Counter, n: u64) {
        self.0[counter as usize] += n;
    }

    /// Returns how often it happened since the hub started.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = Counter::ALL.iter().filter(|c| self.get(**c) > 0);
        f.debug_map().entries(counted.map(|c| (c, self.get(*c)))).finish()
    }
}
