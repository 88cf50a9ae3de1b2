//! What leaves a socket, and how it is closed.

use mio::{Interest, Token};
use tomte_base::Time;
use tomte_core_hub::{CloseReason, Slot};

use super::EventLoop;

/// Capacity of an output buffer that an idle connection may keep.
const IDLE_OUTPUT_BYTES: usize = 0;

impl EventLoop {
    /// Closes the socket at the end of the turn, once its last output is written.
    pub(super) fn close_after_output(&mut self, now: Time, slot: Slot, reason: CloseReason) {
        let Some(socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        tracing::debug!(slot = slot.0, %reason, "closing a connection");
        self.refusals.closed(now, &reason);
        socket.closing = Some(reason);
        self.closing.push(slot);
    }

    pub(super) fn write_dirty(&mut self, now: Time) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.hub.take_dirty(&mut dirty);
        for slot in &dirty {
            let socket = self.sockets.get(slot.0 as usize).and_then(Option::as_ref);
            if socket.is_some_and(|socket| socket.closing.is_none()) {
                self.write(now, *slot);
            }
        }
        self.dirty = dirty;
    }

    /// Writes the last output of the sockets that are to be closed, then closes them. What the machine makes
    /// of that is for the next turn.
    pub(super) fn close_closing(&mut self, now: Time) {
        let closing = std::mem::take(&mut self.closing);
        for slot in &closing {
            self.say_goodbye(*slot);
        }
        for slot in closing {
            let socket = self.sockets.get(slot.0 as usize).and_then(Option::as_ref);
            if let Some(reason) = socket.and_then(|socket| socket.closing.clone()) {
                self.close(now, slot, &reason);
            }
        }
    }

    /// A socket that is to be closed is not waited for: not for the journal, and not for a reader that is
    /// too slow or gone.
    fn say_goodbye(&mut self, slot: Slot) {
        let socket = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut);
        let socket = socket.filter(|socket| socket.closing.is_some());
        let Some(socket) = socket else { return };
        let Some(output) = self.hub.output(slot) else { return };
        if matches!(socket.write(output), Ok(true)) {
            socket.close_notify();
        }
    }

    fn write(&mut self, now: Time, slot: Slot) {
        let Some(socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(output) = self.hub.output(slot) else { return };
        let (had_output, waiting) = (!output.is_empty(), output.len());
        let written = socket.write(output);
        if output.is_empty() && output.capacity() > IDLE_OUTPUT_BYTES {
            *output = Vec::new();
        }
        let progress = output.len() < waiting;
        let was_blocked = std::mem::replace(&mut socket.blocked, matches!(written, Ok(false)));
        match written {
            // What blocked may have been the rest of a TLS session, with nothing of the machine left.
            Ok(true) if had_output || was_blocked => {
                if was_blocked {
                    self.hub.on_written(slot);
                }
                self.hub.on_writable(now, slot);
            }
            Ok(true) => {}
            Ok(false) => {
                self.hub.on_unwritten(now, slot, progress);
                self.watch_room(slot);
            }
            Err(_) => {
                socket.closing = Some(CloseReason::Lost);
                self.closing.push(slot);
            }
        }
    }

    /// Asks the system to say when the socket takes more.
    fn watch_room(&mut self, slot: Slot) {
        let socket = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut);
        let Some(socket) = socket.filter(|socket| !socket.watches_room) else { return };
        let (token, interest) = (Token(slot.0 as usize), Interest::READABLE | Interest::WRITABLE);
        match self.poll.registry().reregister(socket.stream_mut(), token, interest) {
            Ok(()) => socket.watches_room = true,
            Err(error) => {
                tracing::error!(%error, "failed to watch a connection for room");
                socket.closing = Some(CloseReason::Lost);
                self.closing.push(slot);
            }
        }
    }

    pub(super) fn close(&mut self, now: Time, slot: Slot, reason: &CloseReason) {
        let Some(mut socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::take) else {
            return;
        };
        self.partial_bytes -= socket.partial.len();
        let _it_is_closed_anyway = self.poll.registry().deregister(socket.stream_mut());
        let reason = socket.closing.take().unwrap_or_else(|| reason.clone());
        self.farewells.keep(now, socket.into_stream(), &reason);
        self.hub.on_closed(now, slot, &reason);
        self.free_slots.push(slot.0);
    }
}
