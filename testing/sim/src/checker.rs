//! The last look: a client that subscribes to everything and notes what is retained.

use tomte_base::QoS;
use tomte_mqtt::codec::{self, Ack, Connect, Packet, Subscribe, Subscription, Version};

use crate::mark::Mark;
use crate::network::{ConnId, End};
use crate::world::World;

impl World {
    pub(crate) fn checker_connects(&mut self) -> ConnId {
        let conn = self.open_conn(End::Checker, None, Version::V5);
        let mut bytes = Vec::new();
        codec::encode_connect(&mut bytes, &Connect::new(Version::V5, "checker"));
        let subscriptions = vec![Subscription::new("#", QoS::AtLeastOnce)];
        let subscribe = Subscribe { packet_id: 1, subscriptions, ..Subscribe::default() };
        codec::encode_subscribe(&mut bytes, Version::V5, &subscribe);
        self.send_up(conn, &bytes);
        conn
    }

    pub(crate) fn checker_packet(&mut self, conn: ConnId, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) => {
                if let (true, Some((mark, _))) = (publish.retain, Mark::read(publish.payload)) {
                    self.found_retained.insert(publish.topic.to_owned(), mark);
                }
                if publish.qos > QoS::AtMostOnce {
                    let mut bytes = Vec::new();
                    codec::encode_puback(&mut bytes, Version::V5, &Ack::success(publish.packet_id));
                    self.send_up(conn, &bytes);
                }
            }
            Packet::Suback(suback) if suback.reasons.iter().all(|reason| !reason.is_failure()) => {
                self.checker_subscribed = true;
            }
            _ => {}
        }
    }
}
