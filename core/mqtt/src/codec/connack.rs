use tomte_base::QoS;

use crate::codec::property::{Place, PropertyBlock};
use crate::codec::reader::Reader;
use crate::codec::writer::{
    put_binary_property, put_byte_property, put_packet, put_text_property, put_u16_property,
    put_u32_property, put_with_length,
};
use crate::codec::{
    ConnectReturnCode, DecodeError, PacketType, PropertyId, ReasonCode, UserProperties, Version,
};

/// CONNACK: the answer to CONNECT (3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connack<'a> {
    /// The server has a session of this client from before.
    pub session_present: bool,
    /// The verdict. In 3.1.1 it travels as the nearest of six return codes.
    pub reason: ReasonCode,
    /// Properties; in 3.1.1 there are none.
    pub properties: ConnackProperties<'a>,
}

/// The properties of CONNACK (MQTT 5, 3.2.2.3). What is `None` was not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// The session expiry interval that the server uses instead of the client's, in seconds.
    pub session_expiry_seconds: Option<u32>,
    /// How many QoS 1 and 2 messages the server takes at once, 65,535 when `None`.
    pub receive_maximum: Option<u16>,
    /// The highest QoS that the server supports, 0 or 1; `None` for 2.
    pub maximum_qos: Option<QoS>,
    /// Retained messages are supported; yes when `None`.
    pub retain_available: Option<bool>,
    /// The largest packet that the server takes, in bytes.
    pub maximum_packet_bytes: Option<u32>,
    /// The client identifier that the server chose.
    pub assigned_client_id: Option<&'a str>,
    /// The highest topic alias that the server takes, 0 when `None`.
    pub topic_alias_maximum: Option<u16>,
    /// A text for people.
    pub reason_string: Option<&'a str>,
    /// Wildcard subscriptions are supported; yes when `None`.
    pub wildcard_subscription_available: Option<bool>,
    /// Subscription identifiers are supported; yes when `None`.
    pub subscription_identifier_available: Option<bool>,
    /// Shared subscriptions are supported; yes when `None`.
    pub shared_subscription_available: Option<bool>,
    /// The keep alive that the client must use instead of its own, in seconds.
    pub server_keep_alive_seconds: Option<u16>,
    /// What the client may build response topics from.
    pub response_information: Option<&'a str>,
    /// Another server that the client may use.
    pub server_reference: Option<&'a str>,
    /// The name of the authentication method.
    pub authentication_method: Option<&'a str>,
    /// Data of the authentication method.
    pub authentication_data: Option<&'a [u8]>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Connack<'a> {
    /// Returns the packet that refuses with `reason`.
    #[must_use]
    pub fn refusal(reason: ReasonCode) -> Self {
        Self { reason, ..Self::default() }
    }

    pub(crate) fn read(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        if flags & !1 != 0 {
            return Err(DecodeError::ReservedConnackFlag);
        }
        let session_present = flags == 1;
        let reason = read_reason(&mut reader, version)?;
        if session_present && reason.is_failure() {
            return Err(DecodeError::SessionPresentOnRefusal);
        }
        let properties = match version {
            Version::V311 => ConnackProperties::default(),
            Version::V5 => ConnackProperties::read(&mut reader)?,
        };
        reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }
}

fn read_reason(reader: &mut Reader<'_>, version: Version) -> Result<ReasonCode, DecodeError> {
    let code = reader.u8()?;
    let bad = DecodeError::BadReasonCode { packet: PacketType::Connack, code };
    match version {
        Version::V311 => Ok(ConnectReturnCode::from_byte(code).ok_or(bad)?.reason()),
        Version::V5 => ReasonCode::read(PacketType::Connack, code),
    }
}

impl<'a> ConnackProperties<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let block = PropertyBlock::read(reader, Place::Packet(PacketType::Connack))?;
        let qos = |high: bool| if high { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        Ok(Self {
            session_expiry_seconds: block.u32(PropertyId::SessionExpiryInterval),
            receive_maximum: block.u16(PropertyId::ReceiveMaximum),
            maximum_qos: block.flag(PropertyId::MaximumQos).map(qos),
            retain_available: block.flag(PropertyId::RetainAvailable),
            maximum_packet_bytes: block.u32(PropertyId::MaximumPacketSize),
            assigned_client_id: block.text(PropertyId::AssignedClientIdentifier),
            topic_alias_maximum: block.u16(PropertyId::TopicAliasMaximum),
            reason_string: block.text(PropertyId::ReasonString),
            wildcard_subscription_available: block.flag(PropertyId::WildcardSubscriptionAvailable),
            subscription_identifier_available: block
                .flag(PropertyId::SubscriptionIdentifierAvailable),
            shared_subscription_available: block.flag(PropertyId::SharedSubscriptionAvailable),
            server_keep_alive_seconds: block.u16(PropertyId::ServerKeepAlive),
            response_information: block.text(PropertyId::ResponseInformation),
            server_reference: block.text(PropertyId::ServerReference),
            authentication_method: block.text(PropertyId::AuthenticationMethod),
            authentication_data: block.binary(PropertyId::AuthenticationData),
            user_properties: UserProperties::received(block),
        })
    }

    /// Appends the properties. Their order has no meaning; it is the one of mosquitto, whose test
    /// suite compares bytes.
    fn put(&self, out: &mut Vec<u8>) {
        use PropertyId as P;
        let flag = |value: Option<bool>| value.map(u8::from);
        let maximum_qos = self.maximum_qos.filter(|qos| *qos < QoS::ExactlyOnce);
        put_u16_property(out, P::TopicAliasMaximum, self.topic_alias_maximum);
        put_u16_property(out, P::ServerKeepAlive, self.server_keep_alive_seconds);
        put_text_property(out, P::AssignedClientIdentifier, self.assigned_client_id);
        put_text_property(out, P::AuthenticationMethod, self.authentication_method);
        put_binary_property(out, P::AuthenticationData, self.authentication_data);
        put_byte_property(out, P::RetainAvailable, flag(self.retain_available));
        put_u32_property(out, P::MaximumPacketSize, self.maximum_packet_bytes);
        put_u16_property(out, P::ReceiveMaximum, self.receive_maximum);
        put_byte_property(out, P::MaximumQos, maximum_qos.map(|qos| qos as u8));
        put_u32_property(out, P::SessionExpiryInterval, self.session_expiry_seconds);
        let wildcards = flag(self.wildcard_subscription_available);
        put_byte_property(out, P::WildcardSubscriptionAvailable, wildcards);
        let identifiers = flag(self.subscription_identifier_available);
        put_byte_property(out, P::SubscriptionIdentifierAvailable, identifiers);
        let shared = flag(self.shared_subscription_available);
        put_byte_property(out, P::SharedSubscriptionAvailable, shared);
        put_text_property(out, P::ResponseInformation, self.response_information);
        put_text_property(out, P::ServerReference, self.server_reference);
        put_text_property(out, P::ReasonString, self.reason_string);
        self.user_properties.put(out);
    }
}

/// Appends a CONNACK.
pub fn encode_connack(out: &mut Vec<u8>, version: Version, connack: &Connack<'_>) {
    // MQTT-3.2.2-6: a refusal never reports a session.
    let present = connack.session_present && !connack.reason.is_failure();
    put_packet(out, PacketType::Connack, |out| {
        out.push(u8::from(present));
        match version {
            Version::V311 => out.push(connack.reason.connect_return_code() as u8),
            Version::V5 => {
                out.push(connack.reason as u8);
                put_with_length(out, |out| connack.properties.put(out));
            }
        }
    });
}
