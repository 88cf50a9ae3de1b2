use crate::codec::ack::encode_ack;
use crate::codec::frame::FixedHeader;
use crate::codec::publish_encode::encode_received;
use crate::codec::reader::Reader;
use crate::codec::{
    Ack, Auth, Connack, Connect, DecodeError, Disconnect, PacketType, Publish, Suback, Subscribe,
    Unsuback, Unsubscribe, Version, encode_auth, encode_connack, encode_connect, encode_disconnect,
    encode_suback, encode_subscribe, encode_unsuback, encode_unsubscribe,
};

/// A packet of either version and direction.
///
/// The two large ones, which come once in a connection, are boxed: PUBLISH decides the size.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Packet<'a> {
    Connect(Box<Connect<'a>>),
    Connack(Box<Connack<'a>>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl Packet<'_> {
    /// Returns the type of the packet.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::Connack(_) => PacketType::Connack,
            Packet::Publish(_) => PacketType::Publish,
            Packet::Puback(_) => PacketType::Puback,
            Packet::Pubrec(_) => PacketType::Pubrec,
            Packet::Pubrel(_) => PacketType::Pubrel,
            Packet::Pubcomp(_) => PacketType::Pubcomp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::Suback(_) => PacketType::Suback,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::Unsuback(_) => PacketType::Unsuback,
            Packet::Pingreq => PacketType::Pingreq,
            Packet::Pingresp => PacketType::Pingresp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }
}

/// Reads the packet that `frame` is, whole and alone.
///
/// A CONNECT is read in the version that it names itself.
///
/// # Errors
/// Fails with [`DecodeError`] when `frame` is not one well-formed packet of `version`.
pub fn decode(frame: &[u8], version: Version) -> Result<Packet<'_>, DecodeError> {
    let header = FixedHeader::read(frame)?.ok_or(DecodeError::Truncated)?;
    let body = &frame[header.header..];
    if body.len() != header.remaining {
        return Err(DecodeError::FrameLength { length: frame.len() });
    }
    let (first, reader) = (frame[0], Reader::new(body));
    let (packet, flags) = (packet_type(first >> 4, version)?, first & 0x0F);
    if packet.flags().is_some_and(|expected| expected != flags) {
        return Err(DecodeError::BadFlags { packet, flags });
    }
    // 3.1.1 does not ask for the shortest form; a CONNECT is judged by its own version.
    let version = match packet {
        PacketType::Connect => crate::codec::connect_version(frame).unwrap_or(version),
        _ => version,
    };
    if header.overlong && version == Version::V5 {
        return Err(DecodeError::VariableIntegerNotMinimal);
    }
    decode_body(packet, flags, reader, version)
}

fn packet_type(number: u8, version: Version) -> Result<PacketType, DecodeError> {
    PacketType::from_number(number)
        .filter(|packet| *packet != PacketType::Auth || version == Version::V5)
        .ok_or(DecodeError::UnknownPacketType { packet_type: number })
}

fn decode_body<'a>(
    packet: PacketType,
    flags: u8,
    reader: Reader<'a>,
    version: Version,
) -> Result<Packet<'a>, DecodeError> {
    Ok(match packet {
        PacketType::Publish => Packet::Publish(Publish::read(flags, reader, version)?),
        PacketType::Puback => Packet::Puback(Ack::read(reader, version, packet)?),
        PacketType::Pubrec => Packet::Pubrec(Ack::read(reader, version, packet)?),
        PacketType::Pubrel => Packet::Pubrel(Ack::read(reader, version, packet)?),
        PacketType::Pubcomp => Packet::Pubcomp(Ack::read(reader, version, packet)?),
        PacketType::Connect => Packet::Connect(Box::new(Connect::read(reader)?)),
        PacketType::Connack => Packet::Connack(Box::new(Connack::read(reader, version)?)),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::read(reader, version)?),
        PacketType::Suback => Packet::Suback(Suback::read(reader, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::read(reader, version)?),
        PacketType::Unsuback => Packet::Unsuback(Unsuback::read(reader, version)?),
        PacketType::Pingreq => reader.finish().map(|()| Packet::Pingreq)?,
        PacketType::Pingresp => reader.finish().map(|()| Packet::Pingresp)?,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::read(reader, version)?),
        PacketType::Auth => Packet::Auth(Auth::read(reader)?),
    })
}

/// Appends any packet. A CONNECT is written in the version that it names itself.
pub fn encode(out: &mut Vec<u8>, version: Version, packet: &Packet<'_>) {
    match packet {
        Packet::Connect(connect) => encode_connect(out, connect),
        Packet::Connack(connack) => encode_connack(out, version, connack),
        Packet::Publish(publish) => encode_received(out, version, publish),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            encode_ack(out, version, packet.packet_type(), ack);
        }
        Packet::Subscribe(subscribe) => encode_subscribe(out, version, subscribe),
        Packet::Suback(suback) => encode_suback(out, version, suback),
        Packet::Unsubscribe(unsubscribe) => encode_unsubscribe(out, version, unsubscribe),
        Packet::Unsuback(unsuback) => encode_unsuback(out, version, unsuback),
        Packet::Pingreq => encode_pingreq(out),
        Packet::Pingresp => encode_pingresp(out),
        Packet::Disconnect(disconnect) => encode_disconnect(out, version, disconnect),
        Packet::Auth(auth) => encode_auth(out, auth),
    }
}

/// Appends a PINGREQ, the same in both versions.
pub fn encode_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingreq.first_byte(), 0]);
}

/// Appends a PINGRESP, the same in both versions.
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingresp.first_byte(), 0]);
}
