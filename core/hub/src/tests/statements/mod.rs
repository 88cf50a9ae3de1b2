//! Normative statements of the two standards that no other test shows. The list of all of them, each
//! with its tests, is in `docs/reference/mqtt-statements`.

mod publish;
mod session;
mod subscribe;

use tomte_base::QoS;
use tomte_mqtt::codec::{Connect, Packet, PublishHead, Subscribe, Subscription, Version};

use super::harness::{BOTH, Bed, QOS0, QOS1, QOS2, R, config, encoded, encoded_publish};
