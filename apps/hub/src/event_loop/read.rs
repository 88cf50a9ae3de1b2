//! What comes in on a socket: read, identified, unwrapped, handed to the machine.

use std::ops::Range;

use tomte_base::Time;
use tomte_core_hub::{CloseReason, Counter, Owner, Slot};

use super::{EventLoop, READ_BUFFER_BYTES};
use crate::refusals;
use crate::socket::{PasswordStep, ReadOutcome};
use crate::websocket::Carrier;

/// Bytes of half received packets that all connections together may hold.
pub(super) const PARTIAL_BYTES: usize = 64 << 20;

impl EventLoop {
    pub(super) fn read_again(&mut self, now: Time) {
        for slot in std::mem::take(&mut self.unread) {
            self.read(now, slot);
        }
    }

    /// Reads once and hands what came to the machine.
    pub(super) fn read(&mut self, now: Time, slot: u32) {
        let Some(socket) = self.sockets.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        // One that is to be closed has its last words written first, and says nothing any more.
        let is_closing = socket.closing.is_some() || self.hub.is_closing(Slot(slot));
        if socket.check == PasswordStep::Waiting || is_closing {
            return;
        }
        let answered = std::mem::take(&mut socket.check) == PasswordStep::Answered;
        let again = std::mem::take(&mut socket.has_more);
        let kept = socket.partial.len();
        if kept >= self.buffer.len() / 2 {
            // A packet larger than the buffer is on its way.
            let wanted = (kept * 2).max(READ_BUFFER_BYTES);
            self.buffer.resize(wanted, 0);
        }
        self.buffer[..kept].copy_from_slice(&socket.partial);
        // What is kept comes first: the end of the connection may stand behind it.
        let outcome =
            if again { Ok(ReadOutcome::Some(0)) } else { socket.read(&mut self.buffer[kept..]) };
        let (n, more) = match outcome {
            Ok(ReadOutcome::Some(n)) => (n, true),
            Ok(ReadOutcome::Drained(n)) => (n, false),
            Ok(ReadOutcome::Ended) => return self.close(now, Slot(slot), &CloseReason::Lost),
            Err(error) => {
                if let Some(counter) = refusals::counter_of_failure(&error) {
                    self.hub.count(counter);
                    self.refusals.refused(now, "TLS", &error);
                }
                return self.close(now, Slot(slot), &CloseReason::Lost);
            }
        };
        if !self.identify(now, slot) {
            return;
        }
        if n > 0 || answered || again {
            self.take_in(now, slot, kept, n);
        }
        if self.sockets[slot as usize].as_ref().is_some_and(|socket| more || socket.has_more) {
            self.unread.push(slot);
        }
    }

    /// Once the handshake is over, finds out which device it is. Tells whether the socket is still
    /// there.
    pub(super) fn identify(&mut self, now: Time, slot: u32) -> bool {
        let Some(socket) = self.sockets[slot as usize].as_mut() else { return false };
        if socket.identified || socket.is_handshaking() {
            return true;
        }
        socket.identified = true;
        let (certificate, without) = (socket.peer_certificate(), socket.without);
        let (counter, why) = match certificate.map(|shown| self.identity.device_of(&shown)) {
            Some(Ok(device)) => {
                self.hub.on_identified(Slot(slot), Owner::Device(device));
                return true;
            }
            None if without.anonymous => {
                self.hub.on_identified(Slot(slot), Owner::Anonymous);
                return true;
            }
            // CONNECT will have to tell.
            None if without.passwords => return true,
            Some(Err(refusal)) => (refusals::counter_of_identity(refusal), refusal.to_string()),
            None => (Counter::CertificateMissing, "the client showed no certificate".to_owned()),
        };
        self.hub.count(counter);
        self.refusals.refused(now, "certificate", &why);
        self.close(now, Slot(slot), &CloseReason::Refused(why));
        false
    }

    /// Hands over what is in the buffer: `kept` bytes from before, and `n` that came.
    pub(super) fn take_in(&mut self, now: Time, slot: u32, kept: usize, n: usize) {
        let Some(socket) = self.sockets[slot as usize].as_mut() else { return };
        if matches!(socket.carrier, Carrier::Unknown) {
            socket.carrier.choose(self.buffer[0], &socket.origins);
        }
        let Carrier::WebSocket(websocket) = &mut socket.carrier else {
            return self.hand_over(now, slot, kept + n);
        };
        let received = websocket.receive(&mut self.buffer[..kept + n], kept);
        let has_answer = websocket.has_answer();
        if received.is_mqtt && received.filled > 0 {
            self.hand_over(now, slot, received.filled);
        } else {
            self.keep(slot, 0..received.filled);
        }
        if let Some(reason) = received.end {
            self.count_websocket(&reason);
            self.close_after_output(now, Slot(slot), reason);
        } else if has_answer {
            self.hub.on_room(Slot(slot));
        }
    }

    pub(super) fn count_websocket(&mut self, reason: &CloseReason) {
        match reason {
            CloseReason::Refused(_) => self.hub.count(Counter::RefusedWebSocket),
            CloseReason::Protocol(_) => self.hub.count(Counter::ProtocolErrors),
            _ => {}
        }
    }

    pub(super) fn hand_over(&mut self, now: Time, slot: u32, filled: usize) {
        let used = self.hub.on_bytes(now, Slot(slot), &self.buffer[..filled]);
        let has_more = self.hub.has_more(Slot(slot));
        if let Some(socket) = self.sockets[slot as usize].as_mut() {
            socket.has_more = has_more;
        }
        self.keep(slot, used..filled);
    }

    /// Keeps that part of the buffer until more comes.
    pub(super) fn keep(&mut self, slot: u32, rest: Range<usize>) {
        let Some(socket) = self.sockets[slot as usize].as_mut() else { return };
        self.partial_bytes -= socket.partial.len();
        let rest = &self.buffer[rest];
        if rest.is_empty() {
            // An idle connection holds no buffer.
            socket.partial = Vec::new();
            return;
        }
        socket.partial.clear();
        socket.partial.extend_from_slice(rest);
        self.partial_bytes += rest.len();
        while self.partial_bytes > PARTIAL_BYTES {
            self.end_largest_partial();
        }
    }

    /// Ends the connection that holds the largest half received packet. To end the one that passed the
    /// mark would let a few that never finish theirs throw out everybody else.
    fn end_largest_partial(&mut self) {
        let sockets = self.sockets.iter_mut().enumerate();
        let sockets = sockets.filter_map(|(slot, socket)| Some((slot, socket.as_mut()?)));
        let largest = sockets.max_by_key(|(_, socket)| socket.partial.len());
        let (slot, socket) = largest.expect("the bytes that are counted are somebody's");
        // The machine takes nothing more from it, so that it holds nothing until it is closed.
        self.partial_bytes -= std::mem::take(&mut socket.partial).len();
        self.hub.end_unfinished(Slot(u32::try_from(slot).expect("connections are bounded")));
    }
}
