//! What a person or program may see of the machine.

use std::collections::BTreeMap;

use tomte_base::{DeviceName, FunctionName};
use tomte_scheduler::Scheduler;

use crate::calls::EndedCalls;
use crate::flow::FlowEvent;
use crate::session::Owner;
use crate::{Config, Hub};

/// Numbers of the whole hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubView {
    /// Open connections, with or without a session.
    pub connections: usize,
    /// Sessions, connected or kept.
    pub sessions: usize,
    /// Retained messages.
    pub retained: usize,
    /// Messages in queues of sessions, in flight, and in holds.
    pub queued: usize,
    /// Subscriptions and routes in the topic tree.
    pub filters: usize,
}

/// What one device is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceView {
    /// A session of it is connected.
    pub connected: bool,
    /// Messages that wait for it.
    pub queued: usize,
}

/// One route and how often it matched since it was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// Its place in the manifest.
    pub index: usize,
    /// Messages that matched.
    pub matched: u64,
}

impl Hub {
    /// Returns the numbers of the whole hub.
    #[must_use]
    pub fn view(&self) -> HubView {
        let sessions = self.sessions.iter().flatten();
        let waiting: usize = sessions.clone().map(|s| s.queue.len() + s.machine.in_flight()).sum();
        HubView {
            connections: self.n_connections,
            sessions: sessions.count(),
            retained: self.retained.len(),
            queued: waiting + self.holds.total(),
            filters: self.tree.len(),
        }
    }

    /// Returns what `device` is doing.
    #[must_use]
    pub fn device(&self, device: &DeviceName) -> DeviceView {
        let mut view = DeviceView { connected: false, queued: self.holds.len(device) };
        for session in self.sessions.iter().flatten() {
            if session.owner.device() == Some(device) {
                view.connected |= session.connection.is_some();
                view.queued += session.queue.len() + session.machine.in_flight();
            }
        }
        view
    }

    /// Returns the names of the connected owners.
    #[must_use]
    pub fn connected(&self) -> Vec<Owner> {
        let sessions = self.sessions.iter().flatten();
        sessions.filter(|s| s.connection.is_some()).map(|s| s.owner.clone()).collect()
    }

    /// Returns how often each route matched, in the order of the manifest.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        let matches = self.route_matches.iter().enumerate();
        matches.map(|(index, matched)| RouteView { index, matched: *matched }).collect()
    }

    /// Returns the scheduler, to list calls and workers.
    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Returns how the calls of each function ended since the hub started.
    #[must_use]
    pub fn ended_calls(&self) -> &BTreeMap<FunctionName, EndedCalls> {
        self.calls.ended()
    }

    /// Returns how many calls a worker has finished.
    #[must_use]
    pub fn calls_finished_by(&self, worker: tomte_base::WorkerId) -> u64 {
        self.calls.finished_by(worker)
    }

    /// Returns the configuration that decides at the moment.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Turns the live view on or off.
    pub fn watch_flow(&mut self, watched: bool) {
        self.flow.watch(watched);
    }

    /// Takes what happened since the last time, for the live view.
    pub fn take_flow(&mut self) -> Vec<(tomte_base::Time, FlowEvent)> {
        self.flow.take_events()
    }
}
