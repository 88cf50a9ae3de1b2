use crate::codec::{Packet, PacketType, encode};
use crate::connection::Connection;

impl Connection {
    /// Appends `packet` in the client's version and tells whether it did.
    ///
    /// Reason string and user properties of an answer are left out where the client does not want
    /// them (MQTT-3.1.2-29) and where the packet would be too large for it (MQTT-3.4.2-2 and its
    /// like): first the user properties, then the reason string. A packet that is too large without
    /// them is not sent (MQTT-3.1.2-24).
    #[must_use = "a packet that the client cannot take is not appended"]
    pub fn encode(&self, out: &mut Vec<u8>, mut packet: Packet<'_>) -> bool {
        let unlimited =
            matches!(packet.packet_type(), PacketType::Connack | PacketType::Disconnect);
        if !self.wants_details && !unlimited {
            drop_user_properties(&mut packet);
            drop_reason_string(&mut packet);
        }
        self.append(out, &packet)
            || drop_user_properties(&mut packet) && self.append(out, &packet)
            || drop_reason_string(&mut packet) && self.append(out, &packet)
    }

    fn append(&self, out: &mut Vec<u8>, packet: &Packet<'_>) -> bool {
        let start = out.len();
        encode(out, self.version(), packet);
        let fits = self.may_send(out.len() - start);
        if !fits {
            out.truncate(start);
        }
        fits
    }
}

/// Takes the user properties from an answer, and tells whether there were some.
fn drop_user_properties(packet: &mut Packet<'_>) -> bool {
    let user_properties = match packet {
        Packet::Connack(connack) => &mut connack.properties.user_properties,
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            &mut ack.user_properties
        }
        Packet::Suback(suback) => &mut suback.user_properties,
        Packet::Unsuback(unsuback) => &mut unsuback.user_properties,
        Packet::Disconnect(disconnect) => &mut disconnect.user_properties,
        Packet::Auth(auth) => &mut auth.user_properties,
        _ => return false,
    };
    !std::mem::take(user_properties).is_empty()
}

/// Takes the reason string from an answer, and tells whether there was one.
fn drop_reason_string(packet: &mut Packet<'_>) -> bool {
    let reason_string = match packet {
        Packet::Connack(connack) => &mut connack.properties.reason_string,
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            &mut ack.reason_string
        }
        Packet::Suback(suback) => &mut suback.reason_string,
        Packet::Unsuback(unsuback) => &mut unsuback.reason_string,
        Packet::Disconnect(disconnect) => &mut disconnect.reason_string,
        Packet::Auth(auth) => &mut auth.reason_string,
        _ => return false,
    };
    reason_string.take().is_some()
}
