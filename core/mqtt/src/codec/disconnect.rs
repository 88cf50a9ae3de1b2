use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{put_packet, put_text_property, put_u32_property, put_with_length};
use crate::codec::{DecodeError, PacketType, PropertyId, ReasonCode, UserProperties, Version};

/// DISCONNECT: the last packet of a connection (3.14).
///
/// In 3.1.1 it has no content, and only clients send it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why the connection ends; success is a normal end.
    pub reason: ReasonCode,
    /// A new session expiry interval in seconds, `u32::MAX` for never; a client sends it.
    pub session_expiry_seconds: Option<u32>,
    /// A text for people.
    pub reason_string: Option<&'a str>,
    /// Another server that the client may use; a server sends it.
    pub server_reference: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Disconnect<'a> {
    /// Returns the packet with `reason` and no properties.
    #[must_use]
    pub fn with_reason(reason: ReasonCode) -> Self {
        Self { reason, ..Self::default() }
    }

    pub(crate) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        if version == Version::V311 || reader.is_empty() {
            reader.finish()?;
            return Ok(Self::default());
        }
        let reason = ReasonCode::read(PacketType::Disconnect, reader.u8()?)?;
        // 3.14.2.2.1: without a property length there are no properties.
        if reader.is_empty() {
            return Ok(Self::with_reason(reason));
        }
        let block = PropertyBlock::read(&mut reader, Place::Packet(PacketType::Disconnect))?;
        reader.finish()?;
        Ok(Self {
            reason,
            session_expiry_seconds: block.u32(PropertyId::SessionExpiryInterval),
            reason_string: block.text(PropertyId::ReasonString),
            server_reference: block.text(PropertyId::ServerReference),
            user_properties: UserProperties::received(block),
        })
    }
}

/// Appends a DISCONNECT.
pub fn encode_disconnect(out: &mut Vec<u8>, version: Version, disconnect: &Disconnect<'_>) {
    put_packet(out, PacketType::Disconnect, |out| {
        if version == Version::V311 || *disconnect == Disconnect::default() {
            return;
        }
        out.push(disconnect.reason as u8);
        if *disconnect == Disconnect::with_reason(disconnect.reason) {
            return;
        }
        put_with_length(out, |out| {
            let expiry = disconnect.session_expiry_seconds;
            put_u32_property(out, PropertyId::SessionExpiryInterval, expiry);
            put_text_property(out, PropertyId::ReasonString, disconnect.reason_string);
            put_text_property(out, PropertyId::ServerReference, disconnect.server_reference);
            disconnect.user_properties.put(out);
        });
    });
}
