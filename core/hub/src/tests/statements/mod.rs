//! Normative statements of the two standards that no other test shows. The list of all of them, each
//! with its tests, is in `docs/reference/mqtt-statements`.

mod breach;
mod connect;
mod delivery;
mod less;
mod publish;
mod session;
mod subscribe;

use tomte_base::QoS;
use tomte_mqtt::codec::{
    Ack, Connect, Disconnect, Packet, PublishHead, ReasonCode, Subscribe, Subscription, Version,
    Will,
};

use super::harness::{BOTH, Bed, QOS0, QOS1, QOS2, R, config, encoded, encoded_publish};
use crate::CloseReason;
