//! What other threads send to the loop, and what they are answered.

use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use tomte_base::{DeviceName, Time};
use tomte_core_hub::{CallReply, CheckId, PasswordCheck};

use super::EventLoop;
use crate::convert;
use crate::event::Event;
use crate::socket::PasswordStep;

/// How long the loop waits for acknowledgements and goodbyes to be written when it stops.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Events of other threads that one turn takes at most, so that sockets get their turn.
const INBOX_PER_TURN: usize = 1_024;

impl EventLoop {
    pub(super) fn take_inbox(&mut self, now: Time) {
        self.awake.store(false, std::sync::atomic::Ordering::Release);
        for _ in 0..INBOX_PER_TURN {
            match self.inbox.try_recv() {
                Ok(event) => self.on_event(now, event),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
        self.awake.store(true, std::sync::atomic::Ordering::Release);
    }

    pub(super) fn on_event(&mut self, now: Time, event: Event) {
        match event {
            Event::WorkerReady(worker) => self.hub.on_worker_ready(now, worker),
            Event::WorkerExited(worker, exit) => self.hub.on_worker_exited(now, worker, exit),
            Event::CallAnswered { call, worker, answer, reply } => {
                let known = self.hub.on_call_answered(now, call, worker, answer);
                let _the_worker_has_gone = reply.send(known);
            }
            Event::Call { function, payload, subject, client_context, reply } => {
                let request = self.next_request;
                self.next_request += 1;
                match self.hub.call(now, request, function, payload, subject, client_context) {
                    Ok(_) => self.replies.push((request, reply)),
                    Err(error) => {
                        let _nobody_waits = reply.send(Err(error));
                    }
                }
            }
            Event::Fetched(to, found) => self.hub.on_fetched(now, to, found),
            Event::Publish { publication, reply } => {
                let (message, result) = self.hub.publish(now, &publication);
                let _nobody_waits = reply.send((message, result));
            }
            Event::Deploy { config, listeners, reply } => {
                self.max_connections = config.limits.max_connections as usize;
                self.hub.deploy(now, *config);
                if let Some(Err(error)) = listeners.map(|bindings| self.listen(bindings)) {
                    tracing::error!(%error, "failed to watch the new listeners");
                }
                let _nobody_waits = reply.send(());
            }
            Event::Ask(look) => look(&mut self.hub, now),
            Event::WatchFlow(sender) => {
                self.hub.watch_flow(true);
                self.flow = Some(sender);
            }
            Event::PasswordChecked(id, device) => self.on_password_checked(now, id, device),
            Event::Revoke(device) => self.hub.revoke(&device),
            Event::Shutdown => {
                if self.stopping.is_none() {
                    self.stopping = Some(now + STOP_GRACE);
                    self.hub.shutdown(now);
                }
            }
        }
    }

    /// Begins the check of a password; its connection is not read until the answer is there.
    pub(super) fn check_password(&mut self, now: Time, check: PasswordCheck) {
        let id = check.id;
        if let Some(socket) = self.sockets[id.slot.0 as usize].as_mut() {
            socket.check = PasswordStep::Waiting;
        }
        if !self.passwords.check(check) {
            self.on_password_checked(now, id, None);
        }
    }

    /// The device may have lost its password, and the client may have gone, in the meantime.
    pub(super) fn on_password_checked(
        &mut self,
        now: Time,
        id: CheckId,
        device: Option<DeviceName>,
    ) {
        let device = device.filter(|name| self.identity.password_hash(name.as_str()).is_some());
        if !self.hub.on_password_checked(now, id, device) {
            return;
        }
        if let Some(socket) = self.sockets[id.slot.0 as usize].as_mut() {
            socket.check = PasswordStep::Answered;
            // Events that came meanwhile are gone, so that all must be read that is there.
            self.unread.push(id.slot.0);
            self.read(now, id.slot.0);
        }
    }

    pub(super) fn reply(&mut self, reply: CallReply) {
        let at = self.replies.iter().position(|(request, _)| *request == reply.request);
        if let Some(at) = at {
            let (_, sender) = self.replies.swap_remove(at);
            let _nobody_waits = sender.send(Ok(reply));
        }
    }

    pub(super) fn publish_flow(&mut self) {
        let Some(sender) = &self.flow else { return };
        if sender.receiver_count() == 0 {
            self.hub.watch_flow(false);
            self.flow = None;
            return;
        }
        for (at, event) in self.hub.take_flow() {
            let _nobody_watches = sender.send(convert::flow_event(at, event));
        }
    }
}
