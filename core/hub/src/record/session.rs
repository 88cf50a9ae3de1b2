//! What belongs to a session, in both directions: its owner, its subscriptions, its packet
//! identifiers.

use tomte_base::{DeviceName, MessageId, QoS, TopicFilter};

use super::fields::{Reader, Writer};
use super::{BadRecord, Record};
use crate::session::{Owner, Subscription};

impl Writer<'_> {
    pub(super) fn owner(&mut self, owner: &Owner) {
        self.option(owner.device().map(|name| name.as_str().as_bytes()));
    }

    pub(super) fn session_packet(&mut self, tag: u8, session: u64, packet_id: u16) {
        self.u8(tag);
        self.u64(session);
        self.0.extend_from_slice(&packet_id.to_le_bytes());
    }
}

impl Reader<'_> {
    pub(super) fn owner(&mut self) -> Result<Owner, BadRecord> {
        let device = self.option("owner", |r| r.parsed("owner", DeviceName::new))?;
        Ok(device.map_or(Owner::Anonymous, Owner::Device))
    }

    pub(super) fn packet_id(&mut self) -> Result<u16, BadRecord> {
        self.array("packet identifier").map(u16::from_le_bytes)
    }

    pub(super) fn subscribed(&mut self) -> Result<Record, BadRecord> {
        let session = self.number("session")?;
        let filter = self.parsed("filter", TopicFilter::new)?;
        let bits = self.u8("options")?;
        let id = self.u32("subscription identifier")?;
        let options = Subscription::from_bits(bits, id).ok_or_else(|| self.bad("options"))?;
        Ok(Record::Subscribed { session, filter, options })
    }

    pub(super) fn packet(&mut self, tag: u8) -> Result<Record, BadRecord> {
        let (session, packet_id) = (self.number("session")?, self.packet_id()?);
        Ok(match tag {
            13 | 14 | 25 => {
                let message = MessageId(self.number("message number")?);
                let order = self.number("order")?;
                let sending = |qos| Record::Sending { session, packet_id, qos, message, order };
                match tag {
                    13 => sending(QoS::ExactlyOnce),
                    25 => sending(QoS::AtLeastOnce),
                    _ => Record::Released { session, packet_id, message, order },
                }
            }
            15 => Record::Completed { session, packet_id },
            16 => Record::Received { session, packet_id },
            17 => Record::ReceiveEnded { session, packet_id },
            _ => Record::AcceptedFrom {
                session,
                packet_id,
                message: self.message()?,
                destinations: self.destinations()?,
            },
        })
    }
}
