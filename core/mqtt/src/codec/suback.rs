use crate::codec::ack::put_details;
use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{put_packet, put_u16};
use crate::codec::{DecodeError, PacketType, PropertyId, ReasonCode, UserProperties, Version};

/// SUBACK: the answer to SUBSCRIBE, one code for each filter (3.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: u16,
    /// A text for people.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// The granted QoS or the failure of each filter, in order. In 3.1.1 every failure travels as
    /// 0x80.
    pub reasons: Vec<ReasonCode>,
}

/// UNSUBACK: the answer to UNSUBSCRIBE, one code for each filter (3.11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// A text for people.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// The result of each filter, in order. In 3.1.1 there are none.
    pub reasons: Vec<ReasonCode>,
}

fn read_block<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    packet: PacketType,
) -> Result<PropertyBlock<'a>, DecodeError> {
    match version {
        Version::V311 => Ok(PropertyBlock::default()),
        Version::V5 => PropertyBlock::read(reader, Place::Packet(packet)),
    }
}

fn read_reasons(
    reader: Reader<'_>,
    version: Version,
    packet: PacketType,
) -> Result<Vec<ReasonCode>, DecodeError> {
    if reader.is_empty() {
        return Err(DecodeError::EmptyPayload { packet });
    }
    let read = |code: &u8| match (version, *code) {
        (Version::V5, code) | (Version::V311, code @ (0..=2 | 0x80)) => {
            ReasonCode::read(packet, code)
        }
        (Version::V311, code) => Err(DecodeError::BadReasonCode { packet, code }),
    };
    reader.rest().iter().map(read).collect()
}

impl<'a> Suback<'a> {
    pub(crate) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(PacketType::Suback)?;
        let block = read_block(&mut reader, version, PacketType::Suback)?;
        Ok(Self {
            packet_id,
            reason_string: block.text(PropertyId::ReasonString),
            user_properties: UserProperties::received(block),
            reasons: read_reasons(reader, version, PacketType::Suback)?,
        })
    }
}

impl<'a> Unsuback<'a> {
    pub(crate) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(PacketType::Unsuback)?;
        if version == Version::V311 {
            reader.finish()?;
            return Ok(Self { packet_id, ..Self::default() });
        }
        let block = read_block(&mut reader, version, PacketType::Unsuback)?;
        Ok(Self {
            packet_id,
            reason_string: block.text(PropertyId::ReasonString),
            user_properties: UserProperties::received(block),
            reasons: read_reasons(reader, version, PacketType::Unsuback)?,
        })
    }
}

/// Appends a SUBACK.
pub fn encode_suback(out: &mut Vec<u8>, version: Version, suback: &Suback<'_>) {
    put_packet(out, PacketType::Suback, |out| {
        put_u16(out, suback.packet_id);
        if version == Version::V5 {
            put_details(out, suback.reason_string, suback.user_properties);
        }
        out.extend(suback.reasons.iter().map(|reason| reason.suback_byte(version)));
    });
}

/// Appends an UNSUBACK.
pub fn encode_unsuback(out: &mut Vec<u8>, version: Version, unsuback: &Unsuback<'_>) {
    put_packet(out, PacketType::Unsuback, |out| {
        put_u16(out, unsuback.packet_id);
        if version == Version::V5 {
            put_details(out, unsuback.reason_string, unsuback.user_properties);
            out.extend(unsuback.reasons.iter().map(|reason| *reason as u8));
        }
    });
}
