use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{put_binary_property, put_packet, put_text_property, put_with_length};
use crate::codec::{DecodeError, PacketType, PropertyId, ReasonCode, UserProperties};

/// AUTH: a step of an enhanced authentication (MQTT 5, 3.15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// The name of the method. There is one unless the packet is empty.
    pub method: Option<&'a str>,
    /// Data of the method.
    pub data: Option<&'a [u8]>,
    /// A text for people.
    pub reason_string: Option<&'a str>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        // 3.15.2.1 lets an AUTH of success without properties be empty.
        if reader.is_empty() {
            return Ok(Self::default());
        }
        let reason = ReasonCode::read(PacketType::Auth, reader.u8()?)?;
        let block = PropertyBlock::read(&mut reader, Place::Packet(PacketType::Auth))?;
        reader.finish()?;
        let method = block.text(PropertyId::AuthenticationMethod);
        Ok(Self {
            reason,
            method: Some(method.ok_or(DecodeError::NoAuthenticationMethod)?),
            data: block.binary(PropertyId::AuthenticationData),
            reason_string: block.text(PropertyId::ReasonString),
            user_properties: UserProperties::received(block),
        })
    }
}

/// Appends an AUTH, which exists in MQTT 5 only.
pub fn encode_auth(out: &mut Vec<u8>, auth: &Auth<'_>) {
    put_packet(out, PacketType::Auth, |out| {
        if *auth == Auth::default() {
            return;
        }
        out.push(auth.reason as u8);
        put_with_length(out, |out| {
            put_text_property(out, PropertyId::AuthenticationMethod, auth.method);
            put_binary_property(out, PropertyId::AuthenticationData, auth.data);
            put_text_property(out, PropertyId::ReasonString, auth.reason_string);
            auth.user_properties.put(out);
        });
    });
}
