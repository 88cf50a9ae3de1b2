//! CONNECT and DISCONNECT: who comes, which session it takes up, and how it goes.

use std::sync::Arc;
use std::time::Duration;

use tomte_base::{QoS, Time, TopicName};
use tomte_broker::Queue;
use tomte_mqtt::codec::{
    self, Connack, ConnackProperties, Connect, DecodeError, Disconnect, Packet, ReasonCode, Version,
};
use tomte_mqtt::connection::ConnectionLimits;

use crate::Hub;
use crate::connection::{CloseReason, Connection, Slot};
use crate::counter::Counter;
use crate::flow::FlowEvent;
use crate::packet_ids::KeptIds;
use crate::record::{Destination, Record};
use crate::session::{Keeper, Owner, Session, StoredDelivery, Waiting};
use crate::timers::Timer;

/// Longest client identifier, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 256;

/// Returns how long a session is kept; the largest number means for ever (MQTT 5, 3.1.2.11.2).
pub(crate) fn expiry(seconds: u32) -> Duration {
    if seconds == u32::MAX { Duration::MAX } else { Duration::from_secs(u64::from(seconds)) }
}

/// Returns the CONNACK that lets a client in.
fn connack<'a>(
    connection: &Connection,
    connect: &Connect<'_>,
    assigned: Option<&'a str>,
    expiry_s: u32,
) -> Connack<'a> {
    let asked = connect.properties.session_expiry_seconds.unwrap_or(0);
    let properties = ConnackProperties {
        session_expiry_seconds: (asked != expiry_s).then_some(expiry_s),
        assigned_client_id: assigned,
        ..connection.mqtt.connack_properties()
    };
    Connack { properties, ..Connack::default() }
}

impl Hub {
    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        let limits = &self.config.limits;
        ConnectionLimits {
            max_packet_in: limits.max_packet,
            receive_maximum_in: limits.receive_maximum,
            topic_alias_maximum_in: limits.topic_alias_maximum,
            topic_alias_maximum_out: limits.topic_alias_maximum_out,
            maximum_qos: limits.maximum_qos,
            retain_available: limits.max_retained > 0,
            keep_alive_max: limits.keep_alive_max,
            connect_timeout: limits.connect_timeout,
            ..ConnectionLimits::default()
        }
    }

    pub(crate) fn on_connect(&mut self, now: Time, slot: Slot, connect: &Connect<'_>) {
        let Some(connection) = self.connection_mut(slot) else { return };
        if let Err(refusal) = connection.mqtt.on_connect(now, connect) {
            return self.refuse_connect(slot, refusal.reason(), refusal.to_string());
        }
        let allowed = self.check_connect(slot, connect).and_then(|()| self.check_login(slot));
        if let Err((reason, why)) = allowed {
            return self.refuse_connect(slot, reason, why);
        }
        let assigned = connect.client_id.is_empty().then(|| self.calls.next_client_id());
        let client_id = assigned.as_deref().unwrap_or(connect.client_id);
        let expiry_s = self.session_expiry(connect);
        if !self.may_send_connack(slot, connect, assigned.as_deref(), expiry_s) {
            let why = "the client's maximum packet size is less than CONNACK (MQTT-3.1.2-24)";
            return self.close(slot, CloseReason::Refused(why.to_owned()));
        }
        let Some(connection) = self.connection_mut(slot) else { return };
        let owner = connection.owner().clone();
        let before = self.ledger.appended();
        let (index, present) =
            self.take_up_session(now, owner.clone(), client_id, connect, expiry_s);
        let connection = self.connection_mut(slot).expect("looked up above");
        connection.session = Some(index);
        connection.resumed = present;
        let window = connection.mqtt.receive_maximum_out().min(self.config.limits.receive_maximum);
        let session = self.session_mut(index).expect("it was just taken up");
        session.connection = Some(slot);
        session.machine.set_window(window);
        let session_serial = session.serial;
        if let Some(will) = &connect.will {
            self.keep_will(slot, session_serial, will);
        }
        self.leave_connecting(slot);
        self.counters.add(Counter::Connected);
        self.flow.tell(now, || FlowEvent::Connected(owner));
        self.send_connack(slot, connect, present, assigned.as_deref(), expiry_s);
        self.watch_connection(slot);
        self.gate_if_persistent(slot, index);
        // A clean session may have ended a kept one, now or when that could not be written, which must
        // not come back after a crash; or it left a will.
        if self.ledger.appended() > before || self.has_ended_unsafely(index) {
            self.ask_to_catch_up();
            self.gate(slot);
        }
        if present {
            self.return_held(now, index);
            self.resume(now, index);
        }
    }

    /// Tells whether a kept session of the same client may come back after a crash.
    fn has_ended_unsafely(&self, index: u32) -> bool {
        let session = self.sessions.get(index as usize).and_then(Option::as_ref);
        let key = |session: &Session| (session.owner.clone(), Arc::clone(&session.client_id));
        !self.ended.is_empty() && session.is_some_and(|s| self.ended.contains_key(&key(s)))
    }

    pub(crate) fn check_connect(
        &self,
        slot: Slot,
        connect: &Connect<'_>,
    ) -> Result<(), (ReasonCode, String)> {
        if connect.properties.authentication_method.is_some() {
            let why = "enhanced authentication is not available".to_owned();
            return Err((ReasonCode::BadAuthenticationMethod, why));
        }
        let will_topic = connect.will.as_ref().map(|will| TopicName::check(will.topic));
        if let Some(Err(error)) = will_topic {
            let why = format!("the topic of the will: {error}");
            return Err((ReasonCode::TopicNameInvalid, why));
        }
        if connect.client_id.len() > MAX_CLIENT_ID_BYTES {
            let why = format!("the client identifier is longer than {MAX_CLIENT_ID_BYTES} bytes");
            return Err((ReasonCode::ClientIdentifierNotValid, why));
        }
        let owner = self.connection(slot).map_or(Owner::Anonymous, |c| c.owner().clone());
        let has_session = self.by_client.contains_key(&(owner, Arc::from(connect.client_id)));
        if !has_session && self.by_client.len() >= self.config.limits.max_sessions as usize {
            let why = format!("{} sessions are kept already", self.config.limits.max_sessions);
            return Err((ReasonCode::QuotaExceeded, why));
        }
        if self.n_connections > self.config.limits.max_connections as usize {
            let why =
                format!("{} clients are connected already", self.config.limits.max_connections);
            return Err((ReasonCode::ServerBusy, why));
        }
        Ok(())
    }

    /// Refuses a CONNECT that was understood.
    fn refuse_connect(&mut self, slot: Slot, reason: ReasonCode, why: String) {
        let mut connack = Connack::refusal(reason);
        connack.properties.reason_string = Some(&why);
        self.answer(slot, Packet::Connack(Box::new(connack)));
        self.close(slot, CloseReason::Refused(why));
    }

    /// Refuses a first packet that is no well-formed CONNECT.
    ///
    /// *Source*: MQTT 5, 4.13.1: CONNACK with the reason. 3.1.1 has one only for an unknown protocol
    /// level (MQTT-3.1.2-2 of 3.1.1); otherwise the connection is closed (MQTT-3.1.4-1 of 3.1.1).
    pub(crate) fn refuse_first_packet(&mut self, slot: Slot, frame: &[u8], error: &DecodeError) {
        let why = error.to_string();
        let version = match (codec::connect_version(frame), error) {
            (Some(Version::V5), _) => Some(Version::V5),
            // Who speaks a later version is told in the form of the latest that we know.
            (None, DecodeError::ProtocolLevel { level: 6.. }) => Some(Version::V5),
            (None, DecodeError::ProtocolLevel { .. }) => Some(Version::V311),
            _ => None,
        };
        if let (Some(version), Some(connection)) = (version, self.connection_mut(slot)) {
            let mut connack = Connack::refusal(error.reason());
            connack.properties.reason_string = Some(&why);
            codec::encode_connack(&mut connection.out, version, &connack);
            self.mark_dirty(slot);
        }
        self.close(slot, CloseReason::Refused(why));
    }

    /// Seconds that the session is kept: as asked, up to the limit. 3.1.1 knows only "with the
    /// connection" and "kept".
    fn session_expiry(&self, connect: &Connect<'_>) -> u32 {
        let longest =
            u32::try_from(self.config.limits.max_session_expiry.as_secs()).unwrap_or(u32::MAX);
        match connect.version {
            Version::V311 if connect.clean_start => 0,
            Version::V311 => longest,
            Version::V5 => connect.properties.session_expiry_seconds.unwrap_or(0).min(longest),
        }
    }

    /// Finds or makes the session, ending another connection that holds it. Tells whether it was
    /// there before.
    fn take_up_session(
        &mut self,
        now: Time,
        owner: Owner,
        client_id: &str,
        connect: &Connect<'_>,
        expiry_s: u32,
    ) -> (u32, bool) {
        let found = self.by_client.get(&(owner.clone(), Arc::from(client_id))).copied();
        if let Some(index) = found {
            let resumes = !connect.clean_start
                && self.session_mut(index).is_some_and(|session| session.is_persistent());
            if let Some(old) = self.session_mut(index).and_then(|session| session.connection.take())
            {
                self.take_over(old, resumes);
            }
            let session = self.session_mut(index).expect("the index is of a session");
            if resumes {
                let (serial, changed) = (session.serial, session.expiry_s != expiry_s);
                session.expiry_s = expiry_s;
                self.timers.clear(Timer::Session(serial));
                if changed {
                    self.keep_session(index);
                } else {
                    let returned = Record::SessionReturned { session: serial };
                    self.ledger.note(|out| returned.encode(out));
                }
                self.cancel_will(index);
                return (index, true);
            }
            self.end_session(now, index);
        }
        let serial = self.next_session;
        self.next_session += 1;
        let index = self.add_session(serial, owner, client_id, expiry_s);
        if expiry_s > 0 {
            self.keep_session(index);
        }
        (index, false)
    }

    /// The client identifier belongs to a newer connection (MQTT-3.1.4-3). When that one goes on
    /// with the session, a will with a delay is not published.
    fn take_over(&mut self, old: Slot, resumes: bool) {
        self.send_disconnect(old, ReasonCode::SessionTakenOver);
        if let Some(connection) = self.connection_mut(old) {
            connection.session = None;
            let delayed = connection.will.take_if(|will| resumes && will.will.delay_s > 0);
            if let Some(will) = delayed {
                self.forget_will(&will);
            }
        }
        self.close(old, CloseReason::TakenOver);
    }

    /// Makes an empty session and its entries in the look-up tables.
    pub(crate) fn add_session(
        &mut self,
        serial: u64,
        owner: Owner,
        client_id: &str,
        expiry_s: u32,
    ) -> u32 {
        let client_id: Arc<str> = client_id.into();
        let session = Session {
            serial,
            owner: owner.clone(),
            client_id: Arc::clone(&client_id),
            machine: tomte_mqtt::session::Session::new(),
            queue: Queue::new(self.config.limits.session_queue),
            is_fetching: false,
            subscriptions: Vec::new(),
            expiry_s,
            connection: None,
            ends: Time::NEVER,
            kept: None,
            ids: KeptIds::default(),
            will: None,
        };
        let index = match self.free_sessions.pop() {
            Some(index) => {
                self.sessions[index as usize] = Some(session);
                index
            }
            None => {
                self.sessions.push(Some(session));
                u32::try_from(self.sessions.len() - 1).expect("sessions are bounded")
            }
        };
        self.by_client.insert((owner, client_id), index);
        self.by_serial.insert(serial, index);
        index
    }

    /// Writes the session into the journal, with all that is read back only after it.
    fn keep_session(&mut self, index: u32) {
        if let Some(session) = self.sessions[index as usize].as_mut() {
            session.rewrite(&mut self.ledger);
        }
    }

    /// What a persistent session was told must be in the journal before it is told.
    pub(crate) fn gate_if_persistent(&mut self, slot: Slot, index: u32) {
        let persistent = self.session_mut(index).is_some_and(|session| session.is_persistent());
        if persistent {
            self.ask_to_catch_up();
            self.gate(slot);
        }
    }

    /// Nothing leaves the connection before all needed records up to now are safe.
    pub(crate) fn gate(&mut self, slot: Slot) {
        let needed = self.ledger.needed();
        if let Some(connection) = self.connection_mut(slot) {
            connection.gate = needed;
        }
    }

    fn send_connack(
        &mut self,
        slot: Slot,
        connect: &Connect<'_>,
        present: bool,
        assigned: Option<&str>,
        expiry_s: u32,
    ) {
        let Some(connection) = self.connection_mut(slot) else { return };
        let mut connack = connack(connection, connect, assigned, expiry_s);
        connack.session_present = present;
        codec::encode_connack(&mut connection.out, connect.version, &connack);
        self.mark_dirty(slot);
    }

    /// Tells whether the client takes a packet as large as the CONNACK that it is to get.
    fn may_send_connack(
        &self,
        slot: Slot,
        connect: &Connect<'_>,
        assigned: Option<&str>,
        expiry_s: u32,
    ) -> bool {
        let Some(connection) = self.connection(slot) else { return false };
        let connack = connack(connection, connect, assigned, expiry_s);
        connection.mqtt.encode(&mut Vec::new(), Packet::Connack(Box::new(connack)))
    }

    /// Tells a version 5 client why its connection ends; 3.1.1 has no such packet.
    pub(crate) fn send_disconnect(&mut self, slot: Slot, reason: ReasonCode) {
        let Some(connection) = self.connection_mut(slot) else { return };
        if connection.closing.is_some()
            || connection.session.is_none()
            || connection.mqtt.version() != Version::V5
        {
            return;
        }
        let goodbye = Packet::Disconnect(Disconnect::with_reason(reason));
        // A client that cannot take even this hears nothing.
        let _fits = connection.mqtt.encode(&mut connection.out, goodbye);
        self.mark_dirty(slot);
    }

    pub(crate) fn on_disconnect(&mut self, _now: Time, slot: Slot, disconnect: &Disconnect<'_>) {
        let Some(connection) = self.connection(slot) else { return };
        if let (Some(seconds), Some(index)) =
            (disconnect.session_expiry_seconds, connection.session)
            && !self.change_expiry(index, seconds)
        {
            // It is no valid DISCONNECT, so the will stays (MQTT 5, 3.14.2.2.2).
            let what = "DISCONNECT prolongs a session that ends with its connection";
            return self.breach(slot, ReasonCode::ProtocolError, what);
        }
        let Some(connection) = self.connection_mut(slot) else { return };
        let will = connection.will.take_if(|_| disconnect.reason == ReasonCode::Success);
        if let Some(will) = will {
            self.forget_will(&will);
        }
        self.close(slot, CloseReason::Disconnected);
    }

    /// DISCONNECT may change how long the session is kept, but not from nothing (MQTT 5,
    /// 3.14.2.2.2). Tells whether it did.
    fn change_expiry(&mut self, index: u32, seconds: u32) -> bool {
        let longest =
            u32::try_from(self.config.limits.max_session_expiry.as_secs()).unwrap_or(u32::MAX);
        let Some(session) = self.session_mut(index) else { return false };
        if session.expiry_s == 0 && seconds > 0 {
            return false;
        }
        session.expiry_s = seconds.min(longest);
        if session.is_persistent() {
            self.keep_session(index);
        }
        true
    }

    /// The client of a session is gone: the session ends, or waits.
    pub(crate) fn leave_session(&mut self, now: Time, index: u32) {
        let Some(session) = self.session_mut(index) else { return };
        session.connection = None;
        if !session.is_persistent() {
            self.end_session(now, index);
            return;
        }
        session.ends = now + expiry(session.expiry_s);
        let (serial, ends) = (session.serial, session.ends);
        self.timers.set(Timer::Session(serial), ends);
        let left = Record::SessionLeft { session: serial, ends };
        self.ledger.note(|out| left.encode(out));
    }

    pub(crate) fn check_session(&mut self, now: Time, serial: u64) {
        let Some(&index) = self.by_serial.get(&serial) else { return };
        let Some(session) = self.session_mut(index) else { return };
        if session.connection.is_none() && session.ends <= now {
            self.end_session(now, index);
        }
    }

    /// Ends a session: its subscriptions, its queue, its place in the journal.
    pub(crate) fn end_session(&mut self, now: Time, index: u32) {
        let Some(mut session) = self.sessions.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        self.free_sessions.push(index);
        self.by_client.remove(&(session.owner.clone(), Arc::clone(&session.client_id)));
        self.by_serial.remove(&session.serial);
        self.timers.clear(Timer::Session(session.serial));
        self.timers.clear(Timer::Will(session.serial));
        for subscription in session.subscriptions.drain(..) {
            self.leave_subscription(index, &subscription.filter);
            if let Some(kept) = subscription.kept {
                self.ledger.forget(kept);
            }
        }
        self.n_unreleased -= session.machine.unreleased();
        let on_their_way: Vec<Waiting> =
            session.machine.drain().into_iter().map(Waiting::from).collect();
        let n_sent = on_their_way.len();
        let waiting: Vec<Waiting> = on_their_way.into_iter().chain(session.queue.drain()).collect();
        let mut returned = Vec::new();
        for (at, waiting) in waiting.into_iter().enumerate() {
            self.flow.closed(waiting.id());
            match waiting {
                Waiting::Stored(StoredDelivery { message, qos, retain, .. }) => {
                    self.counters.add(Counter::DropSessionEnded);
                    let gone = Destination::session(session.serial, qos, retain);
                    self.done(message, &gone);
                }
                Waiting::Whole(delivery) => match &delivery.keeper {
                    Keeper::Share(filter) if at < n_sent && delivery.qos == QoS::ExactlyOnce => {
                        self.counters.add(Counter::DropSessionEnded);
                        self.share_done(filter, &delivery);
                    }
                    Keeper::Share(filter) => self.pass_on(now, filter, &delivery),
                    Keeper::Hold(..) => returned.push(delivery),
                    Keeper::Nobody | Keeper::Session => {
                        self.counters.add(Counter::DropSessionEnded);
                    }
                },
            }
        }
        self.give_back_held(now, returned);
        std::mem::take(&mut session.ids).forget_all(&mut self.ledger);
        // The end of the session ends the delay of its will too.
        if let Some(will) = session.will.take() {
            self.publish_will(now, &will);
        }
        if let Some(kept) = session.kept {
            self.ledger.forget(kept);
            let closed = Record::SessionClosed { session: session.serial };
            self.ledger.note(|out| closed.encode(out));
            self.ended.insert((session.owner, session.client_id), self.ledger.appended());
        }
    }

    /// Ends the connections of a device whose identity was taken away.
    pub fn revoke(&mut self, device: &tomte_base::DeviceName) {
        let sessions = self.sessions.iter().flatten();
        let slots: Vec<Slot> = sessions
            .filter(|session| session.owner.device() == Some(device))
            .filter_map(|session| session.connection)
            .collect();
        for slot in slots {
            self.send_disconnect(slot, ReasonCode::NotAuthorized);
            self.close(slot, CloseReason::Revoked);
        }
    }
}
