//! The daemon's sockets: bytes from the line into the hub, and what the hub wrote onto the line.

use tomte_core_hub::{CloseReason, Counter, Owner, Peer, Slot};
use tomte_mqtt::codec::{self, Packet};

use crate::mark::Mark;
use crate::network::{ConnId, End};
use crate::oracle::Signs;
use crate::world::World;

impl World {
    pub(crate) fn accept(&mut self, id: ConnId) {
        let now = self.hub_now();
        let conn = &mut self.conns[id.0];
        let Some(host) = &mut self.host else { return };
        let owner = match conn.device {
            Some(name) => Owner::Device(tomte_base::DeviceName::new(name).expect("valid")),
            None => Owner::Anonymous,
        };
        let slot = host.place(id);
        conn.slot = Some(slot);
        host.hub.on_opened(now, slot, Peer::known(owner));
    }

    pub(crate) fn read(&mut self, id: ConnId, bytes: &[u8]) {
        let (Some(slot), Some(host)) = (self.conns[id.0].slot, &mut self.host) else { return };
        let Some(socket) = host.socket(slot) else { return };
        let mut buffer = std::mem::take(&mut socket.partial);
        buffer.extend_from_slice(bytes);
        // A client that is thrown out for not reading is thrown out in the middle of what it sent:
        // where that may happen, the hub gets its packets one by one, so that the oracle knows which
        // one was the last.
        let waiting = host.hub.output(slot).map_or(usize::MAX / 2, |output| output.len());
        // So does a QoS 2 message, which the hub may take as a new one or not.
        let is_safe = waiting + buffer.len() < self.settings.limits.output_high_water / 4
            && !holds_exactly_once(&buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let next = match codec::frame_len(rest, u32::MAX) {
                Ok(Some(length)) if !is_safe => length.min(rest.len()),
                _ => rest.len(),
            };
            let used = self.hand_over(id, slot, &rest[..next]);
            rest = &rest[used..];
            if used < next {
                break;
            }
        }
        let rest = rest.to_vec();
        if let Some(socket) = self.host.as_mut().and_then(|host| host.socket(slot)) {
            socket.partial = rest;
        }
    }

    /// Hands bytes to the hub and shows them to the oracle. Returns how many were used.
    fn hand_over(&mut self, id: ConnId, slot: Slot, bytes: &[u8]) -> usize {
        let now = self.hub_now();
        let Some(host) = &mut self.host else { return bytes.len() };
        let before = host.hub.counters().clone();
        let used = host.hub.on_bytes(now, slot, bytes);
        let after = host.hub.counters();
        let is_more = |counter| after.get(counter) > before.get(counter);
        let signs = Signs {
            connected: is_more(Counter::Connected),
            slow: is_more(Counter::SlowReaders),
            received: is_more(Counter::Received),
        };
        if let End::Client(_) = self.conns[id.0].end {
            if is_more(Counter::ProtocolErrors) {
                self.oracle.blame(|| "a client that keeps to the protocol was cut off".to_owned());
            }
            let received = after.get(Counter::Received);
            self.oracle.on_bytes(now, id, &bytes[..used], signs);
            self.oracle.check_received(received);
        }
        used
    }

    /// Writes what the line takes, as the daemon does.
    pub(crate) fn write(&mut self, slot: Slot) {
        let now = self.hub_now();
        let Some(id) = self.host.as_mut().and_then(|h| h.socket(slot)).map(|s| s.conn) else {
            return;
        };
        let room = self.room_down(id);
        let Some(host) = &mut self.host else { return };
        if !host.hub.may_write(slot) {
            // A goodbye does not wait for the journal.
            if let Some(reason) = host.socket(slot).and_then(|socket| socket.closing.clone()) {
                self.close(id, &reason);
            }
            return;
        }
        let Some(output) = host.hub.output(slot) else { return };
        let had_output = !output.is_empty();
        let n = output.len().min(room);
        let bytes: Vec<u8> = output.drain(..n).collect();
        let is_written = output.is_empty();
        if !bytes.is_empty() {
            self.left(id, &bytes);
            self.send_down(id, &bytes);
        }
        let closing =
            self.host.as_mut().and_then(|h| h.socket(slot)).and_then(|s| s.closing.clone());
        match closing {
            Some(reason) => self.close(id, &reason),
            None if is_written && had_output => {
                if let Some(host) = &mut self.host {
                    host.hub.on_writable(now, slot);
                }
            }
            None => {}
        }
    }

    /// The hub's end of a connection is closed.
    pub(crate) fn close(&mut self, id: ConnId, reason: &CloseReason) {
        let now = self.hub_now();
        let Some(slot) = self.conns[id.0].slot.take() else { return };
        let Some(host) = &mut self.host else { return };
        let socket = host.sockets[slot.0 as usize].take();
        let reason = socket.and_then(|socket| socket.closing).unwrap_or_else(|| reason.clone());
        self.log.tell(self.now, || format!("hub: closes connection {}: {reason}", id.0));
        host.hub.on_closed(now, slot, &reason);
        self.cover_close(&reason);
        self.oracle.on_closed(now, id);
        self.end_down(id);
    }

    fn cover_close(&mut self, reason: &CloseReason) {
        self.coverage.hit(match reason {
            CloseReason::TakenOver => "session: taken over",
            CloseReason::KeepAlive => "connection: silent for too long",
            CloseReason::ConnectTimeout => "connection: no CONNECT in time",
            CloseReason::NotStored => "connection: closed because the journal failed",
            CloseReason::SlowReader => "connection: reads too slowly",
            CloseReason::Protocol(_) => "connection: breach of the protocol",
            CloseReason::Refused(_) => "connection: refused",
            CloseReason::Revoked => "connection: identity revoked",
            CloseReason::Disconnected => "connection: said goodbye",
            _ => "connection: lost",
        });
    }

    /// Looks at each packet at the moment at which its last byte leaves.
    fn left(&mut self, id: ConnId, bytes: &[u8]) {
        let End::Client(_) = self.conns[id.0].end else { return };
        self.conns[id.0].leaving.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut self.conns[id.0].leaving);
        let version = self.conns[id.0].version;
        let mut used = 0;
        while let Ok(Some(length)) = codec::frame_len(&buffer[used..], u32::MAX) {
            if used + length > buffer.len() {
                break;
            }
            let Some(host) = &mut self.host else { return };
            match codec::decode(&buffer[used..used + length], version) {
                Ok(packet) => {
                    host.n_sent += u64::from(matches!(packet, Packet::Publish(_)));
                    self.oracle.on_left(id, &packet, &host.durable, self.settings.mode);
                }
                Err(error) => self.oracle.blame(|| format!("the hub wrote rubbish: {error}")),
            }
            used += length;
        }
        buffer.drain(..used);
        self.conns[id.0].leaving = buffer;
    }

    /// Reads the mark that an output would carry, for the log.
    pub(crate) fn word_of(payload: &[u8]) -> String {
        Mark::read(payload).map_or_else(|| "(no mark)".to_owned(), |(mark, _)| mark.to_string())
    }
}

/// Tells whether there is a QoS 2 PUBLISH among packets.
fn holds_exactly_once(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Ok(Some(length)) = codec::frame_len(rest, u32::MAX) {
        if rest[0] & 0xF6 == 0x34 {
            return true;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}
