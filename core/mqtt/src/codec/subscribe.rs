use tomte_base::QoS;

use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{put_packet, put_text, put_u16, put_variable_integer, put_with_length};
use crate::codec::{DecodeError, PacketType, PropertyId, UserProperties, Version};

/// SUBSCRIBE: filters that the client wants messages of (3.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet identifier, which SUBACK repeats.
    pub packet_id: u16,
    /// A number that messages of these subscriptions carry, 1 to 268,435,455.
    pub subscription_identifier: Option<u32>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// The filters in order, at least one.
    pub subscriptions: Vec<Subscription<'a>>,
}

/// One filter of a SUBSCRIBE with its options (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// The filter as the client wrote it, not empty, perhaps with `$share/<group>/`; where its
    /// wildcards are is not checked.
    pub filter: &'a str,
    /// The highest QoS to deliver with.
    pub qos: QoS,
    /// Do not send the client what it published itself.
    pub no_local: bool,
    /// Forward messages with the retain flag that they were published with.
    pub retain_as_published: bool,
    /// Which retained messages to send now.
    pub retain_handling: RetainHandling,
}

/// Which retained messages a subscription is sent when it is made (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// All that match.
    #[default]
    Send = 0,
    /// All that match, if the subscription did not exist before.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

impl<'a> Subscription<'a> {
    /// Returns the subscription to `filter` with default options.
    #[must_use]
    pub fn new(filter: &'a str, qos: QoS) -> Self {
        Self { filter, qos, ..Self::default() }
    }

    fn read(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let filter = reader.filter()?;
        let options = reader.u8()?;
        let bad = DecodeError::BadSubscriptionOptions { options };
        let reserved = match version {
            Version::V311 => 0b1111_1100,
            Version::V5 => 0b1100_0000,
        };
        if options & reserved != 0 {
            return Err(bad);
        }
        let no_local = options & 0b100 != 0;
        if no_local && filter.starts_with("$share/") {
            return Err(DecodeError::NoLocalOnShared);
        }
        Ok(Self {
            filter,
            qos: QoS::from_bits(options & 0b11).ok_or(bad)?,
            no_local,
            retain_as_published: options & 0b1000 != 0,
            retain_handling: RetainHandling::from_bits(options >> 4).ok_or(bad)?,
        })
    }

    fn options(&self, version: Version) -> u8 {
        match version {
            Version::V311 => self.qos as u8,
            Version::V5 => {
                self.qos as u8
                    | u8::from(self.no_local) << 2
                    | u8::from(self.retain_as_published) << 3
                    | (self.retain_handling as u8) << 4
            }
        }
    }
}

impl RetainHandling {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Send),
            1 => Some(Self::SendIfNew),
            2 => Some(Self::DoNotSend),
            _ => None,
        }
    }
}

impl<'a> Subscribe<'a> {
    pub(crate) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(PacketType::Subscribe)?;
        let block = match version {
            Version::V311 => PropertyBlock::default(),
            Version::V5 => PropertyBlock::read(&mut reader, Place::Packet(PacketType::Subscribe))?,
        };
        if reader.is_empty() {
            return Err(DecodeError::EmptyPayload { packet: PacketType::Subscribe });
        }
        let mut subscriptions = Vec::new();
        while !reader.is_empty() {
            subscriptions.push(Subscription::read(&mut reader, version)?);
        }
        Ok(Self {
            packet_id,
            subscription_identifier: block.u32(PropertyId::SubscriptionIdentifier),
            user_properties: UserProperties::received(block),
            subscriptions,
        })
    }

    fn put_properties(&self, out: &mut Vec<u8>) {
        if let Some(identifier) = self.subscription_identifier {
            out.push(PropertyId::SubscriptionIdentifier as u8);
            put_variable_integer(out, usize::try_from(identifier).unwrap_or(usize::MAX));
        }
        self.user_properties.put(out);
    }
}

/// Appends a SUBSCRIBE.
pub fn encode_subscribe(out: &mut Vec<u8>, version: Version, subscribe: &Subscribe<'_>) {
    put_packet(out, PacketType::Subscribe, |out| {
        put_u16(out, subscribe.packet_id);
        if version == Version::V5 {
            put_with_length(out, |out| subscribe.put_properties(out));
        }
        for subscription in &subscribe.subscriptions {
            put_text(out, subscription.filter);
            out.push(subscription.options(version));
        }
    });
}
