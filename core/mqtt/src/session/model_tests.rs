//! Two sessions talk over a line that is cut at random, against what the user of MQTT expects:
//! QoS 1 arrives at least once, QoS 2 exactly once, both in order, and no message ends twice.

use std::collections::{HashMap, HashSet, VecDeque};

use proptest::prelude::*;
use tomte_base::QoS;

use super::*;

/// A packet on the line. Messages are numbered in the order of sending.
#[derive(Clone, Copy, Debug)]
enum Wire {
    Publish { id: u16, qos: QoS, message: u32 },
    Puback(u16),
    Pubrec(u16, bool),
    Pubrel(u16),
    Pubcomp(u16),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(QoS),
    /// The receiver takes the next packet.
    Receive,
    /// The receiver takes the next packet and refuses it if it is a new message of QoS 2.
    Refuse,
    /// The sender takes the next answer.
    Answer,
    /// The line is cut; all that is on it is lost. The new one has this window.
    Reconnect(u16),
    /// The sender or the receiver restarts from what it saved, and the line is cut.
    Restart {
        sender: bool,
        window: u16,
    },
    /// The session ends on both sides and a new one begins: a clean start, or an expiry.
    Anew(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)].prop_map(Step::Send),
        8 => Just(Step::Receive),
        1 => Just(Step::Refuse),
        8 => Just(Step::Answer),
        1 => (1u16..6).prop_map(Step::Reconnect),
        1 => (any::<bool>(), 1u16..6).prop_map(|(sender, window)| Step::Restart { sender, window }),
        1 => (1u16..6).prop_map(Step::Anew),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What happened to one message, by the plain view of its user.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    qos: QoS,
    arrivals: u32,
    refused: bool,
    ended: bool,
    /// Its session ended before it was acknowledged.
    given_up: bool,
}

struct World {
    sender: Session<u32>,
    receiver: Session<u32>,
    forward: VecDeque<Wire>,
    back: VecDeque<Wire>,
    window: u16,
    fates: Vec<Fate>,
    /// The last message that arrived for the first time, by QoS.
    last_first: HashMap<QoS, u32>,
    /// Identifiers sent in a PUBLISH on this line and not ended, which the window bounds.
    unanswered: HashSet<u16>,
}

impl World {
    /// Begins with `next_packet_id`, so that identifiers go round soon.
    fn new(next_packet_id: u16) -> Self {
        let state = SessionState { next_packet_id, ..SessionState::default() };
        let mut world = Self {
            sender: Session::restore(state),
            receiver: Session::new(),
            forward: VecDeque::new(),
            back: VecDeque::new(),
            window: 3,
            fates: Vec::new(),
            last_first: HashMap::new(),
            unanswered: HashSet::new(),
        };
        world.reconnect(3);
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(qos) => self.send(qos),
            Step::Receive => self.receive(false),
            Step::Refuse => self.receive(true),
            Step::Answer => self.answer(),
            Step::Reconnect(window) => self.reconnect(window),
            Step::Restart { sender, window } => {
                let session = if sender { &mut self.sender } else { &mut self.receiver };
                *session = Session::restore(session.save());
                self.reconnect(window);
            }
            Step::Anew(window) => self.begin_anew(window),
        }
        assert!(self.unanswered.len() <= usize::from(self.window), "the window was passed");
    }

    fn send(&mut self, qos: QoS) {
        let message = u32::try_from(self.fates.len()).unwrap();
        let room = self.sender.window();
        match self.sender.send(qos, message) {
            Some(id) => {
                assert!(room > 0);
                self.fates.push(Fate { qos, ..Fate::default() });
                self.put(Wire::Publish { id, qos, message });
            }
            None => assert_eq!(room, 0),
        }
    }

    fn put(&mut self, packet: Wire) {
        if let Wire::Publish { id, .. } = packet {
            assert!(self.unanswered.insert(id), "{id} was sent twice on one line");
        }
        self.forward.push_back(packet);
    }

    fn redeliver(&mut self, redeliveries: Vec<Wire>) {
        let messages = redeliveries.iter().filter_map(|wire| match wire {
            Wire::Publish { message, .. } => Some(*message),
            _ => None,
        });
        assert!(messages.is_sorted(), "messages are sent again in their order");
        redeliveries.into_iter().for_each(|packet| self.put(packet));
    }

    fn reconnect(&mut self, window: u16) {
        self.forward.clear();
        self.back.clear();
        self.unanswered.clear();
        self.window = window;
        self.sender.set_window(window);
        let redeliveries = self.sender.resume().map(wire).collect();
        self.redeliver(redeliveries);
    }

    /// What was not acknowledged is given back in its order, and nothing else; then both sides know
    /// nothing any more.
    fn begin_anew(&mut self, window: u16) {
        let given_back = self.sender.drain();
        assert!(given_back.is_sorted(), "{given_back:?} is not in order");
        for message in given_back {
            let fate = &mut self.fates[usize::try_from(message).unwrap()];
            assert!(!fate.ended, "message {message} had ended");
            (fate.ended, fate.given_up) = (true, true);
        }
        self.receiver.drain();
        assert!(self.sender.is_empty() && self.receiver.is_empty());
        self.reconnect(window);
    }

    fn receive(&mut self, refuse: bool) {
        match self.forward.pop_front() {
            Some(Wire::Publish { id, qos: QoS::ExactlyOnce, message }) => {
                let receipt = self.receiver.receive_qos2(id);
                if receipt == Qos2Receive::First && refuse {
                    self.receiver.on_pubrel(id);
                    self.fates[usize::try_from(message).unwrap()].refused = true;
                } else if receipt == Qos2Receive::First {
                    self.arrive(QoS::ExactlyOnce, message);
                }
                let refused = receipt == Qos2Receive::First && refuse;
                self.back.push_back(Wire::Pubrec(id, refused));
            }
            Some(Wire::Publish { id, message, .. }) => {
                self.arrive(QoS::AtLeastOnce, message);
                self.back.push_back(Wire::Puback(id));
            }
            Some(Wire::Pubrel(id)) => {
                self.receiver.on_pubrel(id);
                self.back.push_back(Wire::Pubcomp(id));
            }
            other => assert!(other.is_none(), "{other:?} does not go forward"),
        }
    }

    fn arrive(&mut self, qos: QoS, message: u32) {
        let fate = &mut self.fates[usize::try_from(message).unwrap()];
        assert_eq!(fate.qos, qos);
        assert!(!fate.ended, "message {message} came after its end");
        fate.arrivals += 1;
        if fate.arrivals > 1 {
            assert_eq!(qos, QoS::AtLeastOnce, "message {message} of QoS 2 came twice");
            return;
        }
        // A message whose refusal was lost comes again, after others that were not refused.
        if fate.refused {
            return;
        }
        if let Some(last) = self.last_first.insert(qos, message) {
            assert!(last < message, "message {message} came after {last}");
        }
    }

    fn answer(&mut self) {
        match self.back.pop_front() {
            Some(Wire::Puback(id)) => {
                let message = self.sender.on_puback(id).expect("each PUBACK ends a message");
                self.end(id, message);
            }
            Some(Wire::Pubrec(id, failed)) => match self.sender.on_pubrec(id, failed) {
                Ok(Pubrec::SendPubrel(_)) => self.forward.push_back(Wire::Pubrel(id)),
                Ok(Pubrec::Ended(message)) => self.end(id, message),
                other => panic!("a line without repetition gave {other:?}"),
            },
            Some(Wire::Pubcomp(id)) => {
                self.sender.on_pubcomp(id).expect("each PUBCOMP ends a message");
                // A PUBREL that was sent again took no room.
                self.unanswered.remove(&id);
                self.send_deferred();
            }
            other => assert!(other.is_none(), "{other:?} does not go back"),
        }
    }

    fn end(&mut self, id: u16, message: u32) {
        let fate = &mut self.fates[usize::try_from(message).unwrap()];
        assert!(!fate.ended, "message {message} ended twice");
        fate.ended = true;
        assert!(self.unanswered.remove(&id), "{id} ended without being sent on this line");
        self.send_deferred();
    }

    fn send_deferred(&mut self) {
        let mut redeliveries = Vec::new();
        while let Some(redelivery) = self.sender.next_deferred() {
            redeliveries.push(wire(redelivery));
        }
        self.redeliver(redeliveries);
    }

    /// Lets the line be whole until nothing happens any more.
    fn settle(&mut self) {
        while !self.forward.is_empty() || !self.back.is_empty() {
            self.receive(false);
            self.answer();
        }
    }

    fn check_end(&self) {
        for (message, fate) in self.fates.iter().enumerate() {
            match (fate.qos, fate.refused) {
                (QoS::ExactlyOnce, _) if fate.given_up => assert!(fate.arrivals <= 1, "{message}"),
                (_, _) if fate.given_up => {}
                (QoS::ExactlyOnce, false) => assert_eq!(fate.arrivals, 1, "message {message}"),
                (QoS::ExactlyOnce, true) => assert!(fate.arrivals <= 1, "message {message}"),
                _ => assert!(fate.arrivals >= 1, "message {message}"),
            }
        }
        assert_eq!(self.sender.in_flight(), 0);
        assert!(self.sender.is_empty() && self.receiver.is_empty());
        assert!(self.sender.window() == usize::from(self.window));
    }
}

fn wire(redelivery: Redelivery<'_, u32>) -> Wire {
    match redelivery {
        Redelivery::Publish { id, qos, message } => Wire::Publish { id, qos, message: *message },
        Redelivery::Pubrel { id } => Wire::Pubrel(id),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn qos_2_arrives_once_and_qos_1_at_least_once_over_cuts_and_restarts(
        steps in steps(),
        next_packet_id in prop_oneof![Just(1), 65_500u16..=65_535],
    ) {
        let mut world = World::new(next_packet_id);
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check_end();
    }

    #[test]
    fn any_acknowledgements_at_all_leave_a_session_whole(
        inputs in proptest::collection::vec((0u8..8, 1u16..12), 0..300),
    ) {
        let mut session = Session::new();
        session.set_window(5);
        let mut model: HashMap<u16, Phase<u32>> = HashMap::new();
        for (number, (input, id)) in inputs.into_iter().enumerate() {
            let message = u32::try_from(number).unwrap();
            feed(&mut session, &mut model, input, id, message);
            prop_assert_eq!(session.in_flight(), model.len());
            let state: HashMap<u16, Phase<u32>> = session.save().in_flight.into_iter().collect();
            prop_assert_eq!(&state, &model);
        }
    }
}

/// Gives one input to the session and to a model that is a plain map.
fn feed(
    session: &mut Session<u32>,
    model: &mut HashMap<u16, Phase<u32>>,
    input: u8,
    id: u16,
    message: u32,
) {
    let known = model.get(&id).cloned();
    let in_use = known.is_some();
    let unknown = UnknownPacketId { packet_id: id, in_use };
    match (input, known) {
        (0 | 1, _) => {
            let phase =
                if input == 0 { Phase::AtLeastOnce(message) } else { Phase::ExactlyOnce(message) };
            let qos = if input == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            match session.send(qos, message) {
                Some(id) => assert!(model.insert(id, phase).is_none(), "{id} was in use"),
                None => assert!(model.len() >= 5),
            }
        }
        (2, Some(Phase::AtLeastOnce(message))) => {
            assert_eq!(session.on_puback(id), Ok(message));
            model.remove(&id);
        }
        (2, _) => assert_eq!(session.on_puback(id), Err(unknown)),
        (3, Some(Phase::ExactlyOnce(message))) => {
            assert_eq!(session.on_pubrec(id, false), Ok(Pubrec::SendPubrel(message)));
            model.insert(id, Phase::Released);
        }
        (4, Some(Phase::ExactlyOnce(message))) => {
            assert_eq!(session.on_pubrec(id, true), Ok(Pubrec::Ended(message)));
            model.remove(&id);
        }
        (3 | 4, Some(Phase::Released)) => {
            assert_eq!(session.on_pubrec(id, input == 4), Ok(Pubrec::AlreadyReceived));
        }
        (3 | 4, _) => assert_eq!(session.on_pubrec(id, input == 4), Err(unknown)),
        (5, Some(Phase::Released)) => {
            assert_eq!(session.on_pubcomp(id), Ok(()));
            model.remove(&id);
        }
        (5, _) => assert_eq!(session.on_pubcomp(id), Err(unknown)),
        (6, _) => session.set_window(5),
        _ => {
            *session = {
                let mut new = Session::restore(session.save());
                new.set_window(5);
                new
            }
        }
    }
}
