use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{put_packet, put_text_property, put_u16, put_with_length};
use crate::codec::{DecodeError, PacketType, PropertyId, ReasonCode, UserProperties, Version};

/// PUBACK, PUBREC, PUBREL or PUBCOMP: the steps of QoS 1 and 2 after PUBLISH (3.4 to 3.7).
///
/// In 3.1.1 only the packet identifier is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH that it belongs to.
    pub packet_id: u16,
    /// How it went.
    pub reason: ReasonCode,
    /// A text for people.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Ack<'a> {
    /// Returns the acknowledgement that reports success.
    #[must_use]
    pub fn success(packet_id: u16) -> Self {
        Self::with_reason(packet_id, ReasonCode::Success)
    }

    /// Returns the acknowledgement with `reason` and no properties.
    #[must_use]
    pub fn with_reason(packet_id: u16, reason: ReasonCode) -> Self {
        Self { packet_id, reason, ..Self::default() }
    }

    pub(crate) fn read(
        mut reader: Reader<'a>,
        version: Version,
        packet: PacketType,
    ) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(packet)?;
        if version == Version::V311 || reader.is_empty() {
            reader.finish()?;
            return Ok(Self::success(packet_id));
        }
        let reason = ReasonCode::read(packet, reader.u8()?)?;
        if reader.is_empty() {
            return Ok(Self::with_reason(packet_id, reason));
        }
        let block = PropertyBlock::read(&mut reader, Place::Packet(packet))?;
        reader.finish()?;
        Ok(Self {
            packet_id,
            reason,
            reason_string: block.text(PropertyId::ReasonString),
            user_properties: UserProperties::received(block),
        })
    }
}

/// Appends a PUBACK.
pub fn encode_puback(out: &mut Vec<u8>, version: Version, ack: &Ack<'_>) {
    encode_ack(out, version, PacketType::Puback, ack);
}

/// Appends a PUBREC.
pub fn encode_pubrec(out: &mut Vec<u8>, version: Version, ack: &Ack<'_>) {
    encode_ack(out, version, PacketType::Pubrec, ack);
}

/// Appends a PUBREL.
pub fn encode_pubrel(out: &mut Vec<u8>, version: Version, ack: &Ack<'_>) {
    encode_ack(out, version, PacketType::Pubrel, ack);
}

/// Appends a PUBCOMP.
pub fn encode_pubcomp(out: &mut Vec<u8>, version: Version, ack: &Ack<'_>) {
    encode_ack(out, version, PacketType::Pubcomp, ack);
}

pub(crate) fn encode_ack(out: &mut Vec<u8>, version: Version, packet: PacketType, ack: &Ack<'_>) {
    let [high, low] = ack.packet_id.to_be_bytes();
    let bare = ack.reason_string.is_none() && ack.user_properties.is_empty();
    match (version, ack.reason) {
        (Version::V311, _) => out.extend_from_slice(&[packet.first_byte(), 2, high, low]),
        (Version::V5, ReasonCode::Success) if bare => {
            out.extend_from_slice(&[packet.first_byte(), 2, high, low]);
        }
        (Version::V5, reason) if bare => {
            out.extend_from_slice(&[packet.first_byte(), 3, high, low, reason as u8]);
        }
        (Version::V5, reason) => put_packet(out, packet, |out| {
            put_u16(out, ack.packet_id);
            out.push(reason as u8);
            put_details(out, ack.reason_string, ack.user_properties);
        }),
    }
}

/// Appends the properties of a packet that has only a reason string and user properties.
pub(crate) fn put_details(
    out: &mut Vec<u8>,
    reason_string: Option<&str>,
    user_properties: UserProperties<'_>,
) {
    put_with_length(out, |out| {
        put_text_property(out, PropertyId::ReasonString, reason_string);
        user_properties.put(out);
    });
}
