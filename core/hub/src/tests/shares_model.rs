//! Members of two groups that come and go at random, and crashes, against what a user expects: each
//! message is with one member of each group at a time, goes to another only when the session of
//! that one ended, and is lost to nobody.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use tomte_base::{ByteSize, QoS};
use tomte_mqtt::codec::{Connect, ReasonCode, Subscription, Version};

use super::harness::{Bed, Step as Qos2, limited};
use crate::{Config, Effect, Slot};

/// Both match the topic `a/b`. The subscription identifier is the place plus one.
const GROUPS: [&str; 2] = ["$share/g/a/+", "$share/h/a/#"];
/// The first has a session that never ends, the next two have kept ones that may, the others' end
/// with their connections.
const N_CLIENTS: usize = 5;
const N_KEPT: usize = 3;
const EXPIRY_S: u32 = 100;

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish(QoS),
    /// The client connects, or takes its session over.
    Connect(usize),
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    /// The client acknowledges the oldest message that it has not acknowledged.
    Acknowledge(usize),
    Lose(usize),
    /// A kept session that may end is begun anew.
    StartAnew(usize),
    /// Sessions that are away end.
    Expire,
    /// The journal begins a new segment, and old ones go as soon as they may.
    Roll,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..N_CLIENTS;
    let step = prop_oneof![
        8 => prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)].prop_map(Step::Publish),
        5 => client.clone().prop_map(Step::Connect),
        4 => (client.clone(), 0..GROUPS.len()).prop_map(|(c, g)| Step::Subscribe(c, g)),
        // Not those with kept sessions: after a crash nothing tells the group of what they still get.
        1 => (N_KEPT..N_CLIENTS, 0..GROUPS.len()).prop_map(|(c, g)| Step::Unsubscribe(c, g)),
        8 => client.clone().prop_map(Step::Acknowledge),
        3 => client.prop_map(Step::Lose),
        1 => (1..N_KEPT).prop_map(Step::StartAnew),
        1 => Just(Step::Expire),
        1 => Just(Step::Roll),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 0..150)
}

fn open() -> Config {
    limited(|config| config.limits.journal_compact_above = ByteSize(1))
}

/// A client and what it has not acknowledged: group, message, QoS, packet identifier.
#[derive(Default)]
struct Client {
    slot: Option<Slot>,
    /// Counts its sessions.
    session: u32,
    has_session: bool,
    unread: VecDeque<(usize, u32, u8, u16)>,
}

/// A message of one group.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The client and its session that got it last, and with which QoS.
    holder: Option<(usize, u32, u8)>,
    is_acknowledged: bool,
}

struct World {
    bed: Bed,
    sender: Slot,
    clients: Vec<Client>,
    messages: BTreeMap<(usize, u32), State>,
    n_messages: u32,
}

impl World {
    fn new() -> Self {
        let mut bed = Bed::new(open());
        let sender = bed.connect("", "sender", true);
        let clients = (0..N_CLIENTS).map(|_| Client::default()).collect();
        let mut world = Self { bed, sender, clients, messages: BTreeMap::new(), n_messages: 0 };
        world.connect(0, false);
        (0..GROUPS.len()).for_each(|group| world.subscribe(0, group));
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(qos) => self.publish(qos),
            Step::Connect(client) => self.connect(client, false),
            Step::Subscribe(client, group) => self.subscribe(client, group),
            Step::Unsubscribe(client, group) => self.unsubscribe(client, group),
            Step::Acknowledge(client) => self.acknowledge(client),
            Step::Lose(client) => self.lose(client),
            Step::StartAnew(client) => self.connect(client, true),
            Step::Expire => self.expire(),
            Step::Roll => self.bed.hub.on_rolled(),
            Step::Crash => self.crash(),
        }
        self.drop_segments();
        self.read_all();
    }

    fn publish(&mut self, qos: QoS) {
        let n = self.n_messages;
        self.n_messages += 1;
        let id = u16::try_from(n + 1).unwrap();
        for group in 0..GROUPS.len() {
            self.messages.insert((group, n), State::default());
        }
        self.bed.publish(self.sender, "a/b", &n.to_string(), qos, id);
        if qos == QoS::ExactlyOnce {
            self.bed.step(self.sender, Qos2::Pubrel, id, ReasonCode::Success);
        }
        let words = self.bed.received(self.sender).join(", ");
        assert!(words.contains(&format!("{id} Success")), "not acknowledged: {words}");
    }

    fn connect(&mut self, client: usize, clean: bool) {
        let mut connect = Connect::new(Version::V5, ["0", "1", "2", "3", "4"][client]);
        let is_kept = client < N_KEPT;
        connect.clean_start = clean || !is_kept;
        let forever = if client == 0 { u32::MAX } else { EXPIRY_S };
        connect.properties.session_expiry_seconds = Some(if is_kept { forever } else { 0 });
        // Small, so that queues fill behind it.
        connect.properties.receive_maximum = Some(2);
        let slot = self.bed.connect_with(&connect);
        let state = &mut self.clients[client];
        state.unread.clear();
        if connect.clean_start || !state.has_session {
            state.session += 1;
        }
        (state.slot, state.has_session) = (Some(slot), true);
    }

    fn subscribe(&mut self, client: usize, group: usize) {
        let Some(slot) = self.clients[client].slot else { return };
        let qos = [QoS::ExactlyOnce, QoS::AtLeastOnce][client % 2];
        let identifier = Some(u32::try_from(group).unwrap() + 1);
        self.bed.subscribe_to(slot, &[Subscription::new(GROUPS[group], qos)], identifier);
    }

    fn unsubscribe(&mut self, client: usize, group: usize) {
        let Some(slot) = self.clients[client].slot else { return };
        self.bed.unsubscribe(slot, &[GROUPS[group]]);
    }

    fn acknowledge(&mut self, client: usize) {
        let Some(slot) = self.clients[client].slot else { return };
        let Some((group, n, qos, id)) = self.clients[client].unread.pop_front() else { return };
        self.messages.get_mut(&(group, n)).unwrap().is_acknowledged = true;
        if qos == 1 {
            return self.bed.puback(slot, id);
        }
        self.bed.step(slot, Qos2::Pubrec, id, ReasonCode::Success);
        self.bed.step(slot, Qos2::Pubcomp, id, ReasonCode::Success);
    }

    fn lose(&mut self, client: usize) {
        let Some(slot) = self.clients[client].slot.take() else { return };
        self.clients[client].unread.clear();
        self.clients[client].has_session &= client < N_KEPT;
        self.bed.drop_connection(slot);
    }

    fn expire(&mut self) {
        for client in self.clients[1..].iter_mut().filter(|client| client.slot.is_none()) {
            client.has_session = false;
        }
        self.bed.advance(Duration::from_secs(u64::from(EXPIRY_S) + 1));
    }

    fn crash(&mut self) {
        for (place, client) in self.clients.iter_mut().enumerate() {
            client.slot = None;
            client.unread.clear();
            client.has_session &= place < N_KEPT;
        }
        self.bed.crash(open());
        self.sender = self.bed.connect("", "sender", true);
    }

    fn drop_segments(&mut self) {
        self.bed.turn();
        for effect in std::mem::take(&mut self.bed.effects) {
            if let Effect::DropJournal(before) = effect {
                self.bed.log.retain(|(position, _)| *position >= before);
            }
        }
    }

    fn read_all(&mut self) {
        for place in 0..N_CLIENTS {
            let Some(slot) = self.clients[place].slot else { continue };
            for (payload, qos, ids, id) in self.bed.deliveries(slot) {
                let [group] = ids[..] else { panic!("one identifier was expected: {ids:?}") };
                let (group, n) = (group as usize - 1, payload.parse().unwrap());
                self.arrived(place, (group, n), qos);
                self.clients[place].unread.push_back((group, n, qos, id));
            }
        }
    }

    fn arrived(&mut self, place: usize, message: (usize, u32), qos: u8) {
        let session = self.clients[place].session;
        let state = self.messages.get_mut(&message).unwrap();
        assert!(!state.is_acknowledged, "{message:?} comes to {place} after it was acknowledged");
        if let Some((holder, old, old_qos)) = state.holder
            && (holder, old) != (place, session)
        {
            let there = &self.clients[holder];
            let is_over = there.session != old || !there.has_session;
            assert!(is_over, "{message:?} goes to {place} while {holder} has it");
            assert_ne!(old_qos, 2, "{message:?} had left for {holder} with QoS 2");
        }
        state.holder = Some((place, session, qos));
    }

    /// Everybody comes back and takes what there is.
    fn settle(&mut self) {
        for client in 0..N_CLIENTS {
            if self.clients[client].slot.is_none() {
                self.connect(client, false);
                self.read_all();
            }
        }
        while self.clients.iter().any(|client| !client.unread.is_empty()) {
            for client in 0..N_CLIENTS {
                self.acknowledge(client);
                self.read_all();
            }
        }
        for (message, state) in &self.messages {
            let ended_with_qos2 = state.holder.is_some_and(|(holder, session, qos)| {
                qos == 2 && self.clients[holder].session != session
            });
            assert!(state.is_acknowledged || ended_with_qos2, "{message:?} is lost: {state:?}");
        }
        assert_eq!(self.bed.hub.stored.len(), 0, "the journal keeps what nobody needs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn each_message_is_with_one_member_at_a_time_and_lost_to_nobody(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
    }
}

/// Found by the test above: a member gets a message for one group, and by a crash inherits the same
/// message for the other one.
#[test]
fn which_group_a_message_had_left_for_is_known_after_two_crashes() {
    let publish = Step::Publish(QoS::AtLeastOnce);
    let steps = [
        vec![Step::Connect(3), publish, Step::Subscribe(3, 0), Step::StartAnew(2)],
        vec![Step::Subscribe(2, 1), Step::Subscribe(2, 0), publish, publish],
        vec![Step::Publish(QoS::ExactlyOnce), Step::Acknowledge(2), Step::Crash, Step::Crash],
        vec![Step::StartAnew(2)],
    ];
    let mut world = World::new();
    steps.concat().into_iter().for_each(|step| world.step(step));
    world.settle();
}
