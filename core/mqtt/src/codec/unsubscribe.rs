use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{put_packet, put_text, put_u16, put_with_length};
use crate::codec::{DecodeError, PacketType, UserProperties, Version};

/// UNSUBSCRIBE: filters that the client no longer wants messages of (3.10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet identifier, which UNSUBACK repeats.
    pub packet_id: u16,
    /// User properties.
    pub user_properties: UserProperties<'a>,
    /// The filters in order, at least one, none empty; where their wildcards are is not checked.
    pub filters: Vec<&'a str>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(PacketType::Unsubscribe)?;
        let block = match version {
            Version::V311 => PropertyBlock::default(),
            Version::V5 => {
                PropertyBlock::read(&mut reader, Place::Packet(PacketType::Unsubscribe))?
            }
        };
        if reader.is_empty() {
            return Err(DecodeError::EmptyPayload { packet: PacketType::Unsubscribe });
        }
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(reader.filter()?);
        }
        Ok(Self { packet_id, user_properties: UserProperties::received(block), filters })
    }
}

/// Appends an UNSUBSCRIBE.
pub fn encode_unsubscribe(out: &mut Vec<u8>, version: Version, unsubscribe: &Unsubscribe<'_>) {
    put_packet(out, PacketType::Unsubscribe, |out| {
        put_u16(out, unsubscribe.packet_id);
        if version == Version::V5 {
            put_with_length(out, |out| unsubscribe.user_properties.put(out));
        }
        for filter in &unsubscribe.filters {
            put_text(out, filter);
        }
    });
}
