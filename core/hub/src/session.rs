//! A session as the hub keeps it: whose it is, what it subscribed to, what waits for it.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use tomte_base::{DeviceName, Message, MessageId, QoS, Source, Time, TopicFilter, TopicName};
use tomte_broker::Queue;

use crate::Slot;
use crate::ledger::Kept;
use crate::packet_ids::KeptIds;
use crate::share_groups::is_shared;
use crate::wills::KeptWill;

/// Who a connection or session belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A device that proved its identity.
    Device(DeviceName),
    /// A client that a listener let in without one.
    Anonymous,
}

impl Owner {
    /// Returns the device's name, none for an anonymous client.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceName> {
        match self {
            Self::Device(name) => Some(name),
            Self::Anonymous => None,
        }
    }

    /// Returns what messages of this owner name as their source.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::Device(name) => Source::Device(name.clone()),
            Self::Anonymous => Source::Anonymous,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(name) => write!(f, "device:{name}"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// The options of a subscription (MQTT 5, 3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Highest quality of service of deliveries.
    pub qos: QoS,
    /// Not the client's own messages.
    pub no_local: bool,
    /// Keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// 0: send retained messages; 1: only for a new subscription; 2: never.
    pub retain_handling: u8,
    /// The number that the client gave it.
    pub id: Option<NonZeroU32>,
}

impl Subscription {
    /// What stands in the tree for a route or a group, which have no options.
    pub(crate) const NONE: Self = Self {
        qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: 2,
        id: None,
    };

    /// The number that the client gave it, as deliveries carry it.
    pub(crate) fn identifiers(self) -> Option<Arc<[u32]>> {
        self.id.map(|id| Arc::from([id.get()]))
    }

    /// Returns the options byte of a SUBSCRIBE packet.
    #[must_use]
    pub fn to_bits(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | self.retain_handling << 4
    }

    /// Returns the options that a byte of a SUBSCRIBE packet means; `id` is 0 for none.
    #[must_use]
    pub fn from_bits(bits: u8, id: u32) -> Option<Self> {
        let retain_handling = bits >> 4;
        if retain_handling > 2 {
            return None;
        }
        Some(Self {
            qos: QoS::from_bits(bits & 3)?,
            no_local: bits & 4 != 0,
            retain_as_published: bits & 8 != 0,
            retain_handling,
            id: NonZeroU32::new(id),
        })
    }
}

/// For whom the journal keeps a delivery until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// Nobody: it ends with the session.
    Nobody,
    /// The session that it is on its way to.
    Session,
    /// A device's hold, to which it goes back when the session ends first.
    Hold(DeviceName, Time),
    /// The group with this filter, another member of which gets it when the session ends first.
    Share(TopicFilter),
}

/// A message on its way to one session.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) keeper: Keeper,
    pub(crate) subscription_ids: Option<Arc<[u32]>>,
}

/// A delivery in the queue of a session.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    /// With its message.
    Whole(Delivery),
    /// The hub has the message under its number, in memory or in the journal.
    Stored(StoredDelivery),
}

/// A delivery that the journal keeps for the session.
#[derive(Clone, Debug)]
pub(crate) struct StoredDelivery {
    pub(crate) message: MessageId,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) subscription_ids: SubscriptionIds,
}

/// The identifiers of the subscriptions that chose a message.
#[derive(Clone, Debug)]
pub(crate) enum SubscriptionIds {
    /// These.
    Known(Option<Arc<[u32]>>),
    /// Those of the subscriptions that match when it is sent: the journal does not keep them.
    AsNow,
}

impl Waiting {
    /// Returns the message's number.
    pub(crate) fn id(&self) -> MessageId {
        match self {
            Self::Whole(delivery) => delivery.message.id,
            Self::Stored(stored) => stored.message,
        }
    }
}

impl From<Delivery> for Waiting {
    fn from(delivery: Delivery) -> Self {
        let Delivery { message, qos, retain, keeper, subscription_ids } = delivery;
        if keeper == Keeper::Session {
            Self::Stored(StoredDelivery {
                message: message.id,
                qos,
                retain,
                subscription_ids: SubscriptionIds::Known(subscription_ids),
            })
        } else {
            Self::Whole(Delivery { message, qos, retain, keeper, subscription_ids })
        }
    }
}

impl StoredDelivery {
    /// Joins it with its message again; `subscriptions` are those of its session.
    pub(crate) fn with(
        self,
        message: Arc<Message>,
        subscriptions: &[KeptSubscription],
    ) -> Delivery {
        let Self { qos, retain, subscription_ids, .. } = self;
        let subscription_ids = match subscription_ids {
            SubscriptionIds::Known(ids) => ids,
            SubscriptionIds::AsNow => matching_identifiers(subscriptions, &message.topic),
        };
        Delivery { message, qos, retain, keeper: Keeper::Session, subscription_ids }
    }
}

/// A session, connected or kept.
pub(crate) struct Session {
    /// Number in the journal, never used twice.
    pub(crate) serial: u64,
    pub(crate) owner: Owner,
    pub(crate) client_id: Arc<str>,
    pub(crate) machine: tomte_mqtt::session::Session<Delivery>,
    pub(crate) queue: Queue<Waiting>,
    /// Messages of its queue are being read back from the journal.
    pub(crate) is_fetching: bool,
    pub(crate) subscriptions: Vec<KeptSubscription>,
    /// Seconds that it is kept after its client went; 0 ends it with the connection.
    pub(crate) expiry_s: u32,
    pub(crate) connection: Option<Slot>,
    /// When it ends, while no client is connected.
    pub(crate) ends: Time,
    /// Its record in the journal, for sessions that outlive their connection.
    pub(crate) kept: Option<Kept>,
    /// Packet identifiers in the journal.
    pub(crate) ids: KeptIds,
    /// The will of its last connection, while its delay runs.
    pub(crate) will: Option<Box<KeptWill>>,
}

/// A subscription and its record in the journal.
pub(crate) struct KeptSubscription {
    /// As the client wrote it, with `$share/` and the name of the group if it has one.
    pub(crate) filter: TopicFilter,
    pub(crate) options: Subscription,
    pub(crate) kept: Option<Kept>,
}

/// The identifiers of the subscriptions that `topic` matches, those of groups left out.
pub(crate) fn matching_identifiers(
    subscriptions: &[KeptSubscription],
    topic: &TopicName,
) -> Option<Arc<[u32]>> {
    let matching = subscriptions
        .iter()
        .filter(|kept| !is_shared(&kept.filter) && kept.filter.matches(topic))
        .filter_map(|kept| kept.options.id);
    let ids: Arc<[u32]> = matching.map(NonZeroU32::get).collect();
    (!ids.is_empty()).then_some(ids)
}

impl Session {
    /// Tells whether it outlives its connection.
    pub(crate) fn is_persistent(&self) -> bool {
        self.expiry_s > 0
    }

    /// Returns the message `id` if it is on its way to the client, or waits in the queue with what it
    /// says.
    pub(crate) fn whole_message(&self, id: MessageId) -> Option<Arc<Message>> {
        let waiting = self.queue.iter().filter_map(|waiting| match waiting {
            Waiting::Whole(delivery) => Some(delivery),
            Waiting::Stored(_) => None,
        });
        let mut messages = self.machine.messages().chain(waiting).map(|delivery| &delivery.message);
        messages.find(|message| message.id == id).cloned()
    }

    /// The identifier that the client gave its subscription to `filter`.
    pub(crate) fn identifier(&self, filter: &str) -> Option<Arc<[u32]>> {
        self.subscriptions[self.subscription(filter)?].options.identifiers()
    }

    /// Bytes of all its topic filters.
    pub(crate) fn filter_bytes(&self) -> usize {
        self.subscriptions.iter().map(|kept| kept.filter.len()).sum()
    }

    pub(crate) fn subscription(&self, filter: &str) -> Option<usize> {
        self.subscriptions.iter().position(|kept| kept.filter.as_str() == filter)
    }
}
