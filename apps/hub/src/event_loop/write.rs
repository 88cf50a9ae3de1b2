//! What leaves a socket, and how it is closed.

use tomte_base::Time;
use tomte_core_hub::{CloseReason, Slot};

use super::EventLoop;

/// Capacity of an output buffer that an idle connection may keep.
const IDLE_OUTPUT_BYTES: usize = 0;

impl EventLoop {
    /// Closes the socket once its last output is written.
    pub(super) fn begin_close(&mut self, now: Time, slot: Slot, reason: CloseReason) {
        let Some(socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        tracing::debug!(slot = slot.0, %reason, "closing a connection");
        self.refusals.closed(now, &reason);
        socket.closing = Some(reason);
        self.write(now, slot);
    }

    pub(super) fn write_dirty(&mut self, now: Time) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.hub.take_dirty(&mut dirty);
        for slot in &dirty {
            self.write(now, *slot);
        }
        self.dirty = dirty;
    }

    pub(super) fn write(&mut self, now: Time, slot: Slot) {
        let Some(socket) = self.sockets.get_mut(slot.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        if !self.hub.may_write(slot) {
            // What waits tells of something that is not safe yet; a goodbye does not wait for it.
            if let Some(reason) = socket.closing.clone() {
                self.close(now, slot, &reason);
            }
            return;
        }
        let Some(output) = self.hub.output(slot) else { return };
        let (had_output, waiting) = (!output.is_empty(), output.len());
        let written = socket.write(output);
        if output.is_empty() && output.capacity() > IDLE_OUTPUT_BYTES {
            *output = Vec::new();
        }
        let progress = output.len() < waiting;
        let was_blocked = std::mem::replace(&mut socket.blocked, matches!(written, Ok(false)));
        match written {
            Ok(true) => {
                if let Some(reason) = socket.closing.clone() {
                    socket.close_notify();
                    self.close(now, slot, &reason);
                } else if had_output {
                    if was_blocked {
                        self.hub.on_written(slot);
                    }
                    self.hub.on_writable(now, slot);
                }
            }
            // A socket that is to be closed is not waited for: its reader is too slow or gone.
            Ok(false) => match socket.closing.clone() {
                Some(reason) => self.close(now, slot, &reason),
                None => self.hub.on_unwritten(now, slot, progress),
            },
            Err(_) => self.close(now, slot, &CloseReason::Lost),
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
