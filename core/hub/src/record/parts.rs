//! Several messages that came of one, in both directions: each for itself, then that all are there.

use tomte_base::{Message, MessageId};

use super::fields::{Reader, Writer};
use super::{BadRecord, Destination, Record};

impl Writer<'_> {
    pub(super) fn accepted_part(
        &mut self,
        of: MessageId,
        message: &Message,
        destinations: &[Destination],
    ) {
        self.u8(23);
        self.u64(of.0);
        self.message_and_destinations(message, destinations);
    }

    pub(super) fn all_accepted(
        &mut self,
        of: MessageId,
        packet: Option<(u64, u16)>,
        will: Option<u64>,
    ) {
        self.u8(24);
        self.u64(of.0);
        self.u8(u8::from(packet.is_some()));
        if let Some((session, packet_id)) = packet {
            self.u64(session);
            self.0.extend_from_slice(&packet_id.to_le_bytes());
        }
        self.u8(u8::from(will.is_some()));
        if let Some(number) = will {
            self.u64(number);
        }
    }
}

impl Reader<'_> {
    pub(super) fn accepted_part(&mut self) -> Result<Record, BadRecord> {
        Ok(Record::AcceptedPart {
            of: MessageId(self.number("number of the first message")?),
            message: self.message()?,
            destinations: self.destinations()?,
        })
    }

    pub(super) fn all_accepted(&mut self) -> Result<Record, BadRecord> {
        Ok(Record::AllAccepted {
            of: MessageId(self.number("number of the first message")?),
            packet: self.option("packet", |r| Ok((r.number("session")?, r.packet_id()?)))?,
            will: self.option("will", |r| r.number("number of the will"))?,
        })
    }
}
