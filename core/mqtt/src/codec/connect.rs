use tomte_base::{Properties, QoS};

use crate::codec::frame::FixedHeader;
use crate::codec::property::{Place, PropertyBlock};
use crate::codec::publish::PublishProperties;
use crate::codec::publish_encode::put_message_properties;
use crate::codec::reader::Reader;
use crate::codec::writer::{
    put_binary, put_binary_property, put_byte_property, put_packet, put_text, put_text_property,
    put_u16, put_u16_property, put_u32_property, put_with_length,
};
use crate::codec::{DecodeError, PacketType, PropertyId, UserProperties, Version};

/// CONNECT: the first packet of a client (3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that the client speaks from here on.
    pub version: Version,
    /// Clean Start; in 3.1.1 Clean Session.
    pub clean_start: bool,
    /// The longest time between two packets of the client, in seconds; 0 for no limit.
    pub keep_alive_seconds: u16,
    /// The client identifier; empty when the server shall choose one.
    pub client_id: &'a str,
    /// What to publish when the connection ends badly.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub username: Option<&'a str>,
    /// The password, or other data that proves who the client is.
    pub password: Option<&'a [u8]>,
    /// Properties; in 3.1.1 there are none.
    pub properties: ConnectProperties<'a>,
}

/// The properties of CONNECT (MQTT 5, 3.1.2.11). What is `None` was not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// How long the session outlives the connection, in seconds: 0 when `None`, `u32::MAX` for ever.
    pub session_expiry_seconds: Option<u32>,
    /// How many QoS 1 and 2 messages the client takes at once, 65,535 when `None`.
    pub receive_maximum: Option<u16>,
    /// The largest packet that the client takes, in bytes.
    pub maximum_packet_bytes: Option<u32>,
    /// The highest topic alias that the client takes, 0 when `None`.
    pub topic_alias_maximum: Option<u16>,
    /// The client asks for response information; no when `None`.
    pub request_response_information: Option<bool>,
    /// The client wants reason strings and user properties in every answer; yes when `None`.
    pub request_problem_information: Option<bool>,
    /// The name of the authentication method.
    pub authentication_method: Option<&'a str>,
    /// Data of the authentication method.
    pub authentication_data: Option<&'a [u8]>,
    /// User properties.
    pub user_properties: UserProperties<'a>,
}

/// The will of a client (3.1.2.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Will<'a> {
    /// The quality of service to publish it with.
    pub qos: QoS,
    /// Whether to retain it.
    pub retain: bool,
    /// The topic to publish it on, a valid topic name.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// How long to wait after the connection ended, in seconds.
    pub delay_seconds: u32,
    /// How long the message is of use once published, in seconds.
    pub message_expiry_seconds: Option<u32>,
    /// Properties of the message.
    pub properties: Option<Box<Properties>>,
}

/// The bits of the connect flags (3.1.2.3).
mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN_START: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS: u8 = 0x18;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USERNAME: u8 = 0x80;
}

/// Returns the version of the CONNECT at the start of `frame`, which need not be whole or valid.
///
/// For a server that has to refuse a CONNECT which [`decode`](crate::codec::decode) refused and
/// wants to say so in the client's version. `None` when it is no CONNECT of a version spoken here.
#[must_use]
pub fn connect_version(frame: &[u8]) -> Option<Version> {
    let header = FixedHeader::read(frame).ok()??;
    if frame[0] != PacketType::Connect.first_byte() {
        return None;
    }
    read_version(&mut Reader::new(&frame[header.header..])).ok()
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = reader.binary()?;
    let level = match name {
        b"MQTT" => reader.u8()?,
        // MQTT 3.1, level 3.
        b"MQIsdp" => return Err(DecodeError::ProtocolLevel { level: reader.u8()? }),
        _ => return Err(DecodeError::ProtocolName),
    };
    Version::from_level(level).ok_or(DecodeError::ProtocolLevel { level })
}

impl<'a> Connect<'a> {
    /// Returns the CONNECT of a client that has no will, no credentials and no properties.
    #[must_use]
    pub fn new(version: Version, client_id: &'a str) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive_seconds: 0,
            client_id,
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }

    pub(crate) fn read(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let version = read_version(&mut reader)?;
        let flags = reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive_seconds = reader.u16()?;
        let properties = match version {
            Version::V311 => ConnectProperties::default(),
            Version::V5 => ConnectProperties::read(&mut reader)?,
        };
        let client_id = reader.text()?;
        let has = |bit: u8| flags & bit != 0;
        let will = has(flag::WILL).then(|| Will::read(&mut reader, version, flags)).transpose()?;
        let username = has(flag::USERNAME).then(|| reader.text()).transpose()?;
        let password = has(flag::PASSWORD).then(|| reader.binary()).transpose()?;
        reader.finish()?;
        let clean_start = has(flag::CLEAN_START);
        Ok(Self {
            version,
            clean_start,
            keep_alive_seconds,
            client_id,
            will,
            username,
            password,
            properties,
        })
    }

    fn flags(&self) -> u8 {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let will = self.will.as_ref().map_or(0, |will| {
            flag::WILL | (will.qos as u8) << 3 | bit(will.retain, flag::WILL_RETAIN)
        });
        will | bit(self.clean_start, flag::CLEAN_START)
            | bit(self.username.is_some(), flag::USERNAME)
            | bit(self.password.is_some(), flag::PASSWORD)
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), DecodeError> {
    let has = |bit: u8| flags & bit != 0;
    if has(flag::RESERVED) {
        return Err(DecodeError::ReservedConnectFlag);
    }
    if !has(flag::WILL) && has(flag::WILL_QOS | flag::WILL_RETAIN) {
        return Err(DecodeError::WillFlagsWithoutWill);
    }
    if flags & flag::WILL_QOS == flag::WILL_QOS {
        return Err(DecodeError::BadWillQos);
    }
    if version == Version::V311 && has(flag::PASSWORD) && !has(flag::USERNAME) {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    Ok(())
}

impl<'a> ConnectProperties<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        use PropertyId as P;
        let block = PropertyBlock::read(reader, Place::Packet(PacketType::Connect))?;
        let properties = Self {
            session_expiry_seconds: block.u32(P::SessionExpiryInterval),
            receive_maximum: block.u16(P::ReceiveMaximum),
            maximum_packet_bytes: block.u32(P::MaximumPacketSize),
            topic_alias_maximum: block.u16(P::TopicAliasMaximum),
            request_response_information: block.flag(P::RequestResponseInformation),
            request_problem_information: block.flag(P::RequestProblemInformation),
            authentication_method: block.text(P::AuthenticationMethod),
            authentication_data: block.binary(P::AuthenticationData),
            user_properties: UserProperties::received(block),
        };
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(DecodeError::NoAuthenticationMethod);
        }
        Ok(properties)
    }

    fn put(&self, out: &mut Vec<u8>) {
        use PropertyId as P;
        let flag = |value: Option<bool>| value.map(u8::from);
        put_u32_property(out, P::SessionExpiryInterval, self.session_expiry_seconds);
        put_u16_property(out, P::ReceiveMaximum, self.receive_maximum);
        put_u32_property(out, P::MaximumPacketSize, self.maximum_packet_bytes);
        put_u16_property(out, P::TopicAliasMaximum, self.topic_alias_maximum);
        let response = flag(self.request_response_information);
        put_byte_property(out, P::RequestResponseInformation, response);
        let problem = flag(self.request_problem_information);
        put_byte_property(out, P::RequestProblemInformation, problem);
        put_text_property(out, P::AuthenticationMethod, self.authentication_method);
        put_binary_property(out, P::AuthenticationData, self.authentication_data);
        self.user_properties.put(out);
    }
}

impl<'a> Will<'a> {
    fn read(reader: &mut Reader<'a>, version: Version, flags: u8) -> Result<Self, DecodeError> {
        let block = match version {
            Version::V311 => PropertyBlock::default(),
            Version::V5 => PropertyBlock::read(reader, Place::Will)?,
        };
        let topic = reader.topic()?;
        if topic.is_empty() {
            return Err(DecodeError::EmptyTopic);
        }
        let properties = PublishProperties::new(block);
        Ok(Self {
            qos: QoS::from_bits((flags & flag::WILL_QOS) >> 3).ok_or(DecodeError::BadWillQos)?,
            retain: flags & flag::WILL_RETAIN != 0,
            topic,
            payload: reader.binary()?,
            delay_seconds: block.u32(PropertyId::WillDelayInterval).unwrap_or(0),
            message_expiry_seconds: properties.message_expiry_seconds(),
            properties: properties.to_owned_properties(),
        })
    }

    fn put(&self, out: &mut Vec<u8>, version: Version) {
        if version == Version::V5 {
            put_with_length(out, |out| {
                let delay = Some(self.delay_seconds).filter(|seconds| *seconds > 0);
                put_u32_property(out, PropertyId::WillDelayInterval, delay);
                let expiry = self.message_expiry_seconds;
                put_message_properties(out, expiry, self.properties.as_deref());
            });
        }
        put_text(out, self.topic);
        put_binary(out, self.payload);
    }
}

/// Appends a CONNECT of the version that it names.
pub fn encode_connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    put_packet(out, PacketType::Connect, |out| {
        put_text(out, "MQTT");
        out.extend_from_slice(&[connect.version.level(), connect.flags()]);
        put_u16(out, connect.keep_alive_seconds);
        if connect.version == Version::V5 {
            put_with_length(out, |out| connect.properties.put(out));
        }
        put_text(out, connect.client_id);
        if let Some(will) = &connect.will {
            will.put(out, connect.version);
        }
        if let Some(username) = connect.username {
            put_text(out, username);
        }
        if let Some(password) = connect.password {
            put_binary(out, password);
        }
    });
}
