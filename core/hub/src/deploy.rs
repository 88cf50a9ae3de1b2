//! Another configuration: its routes, its functions, its limits.

use tomte_base::Time;

use crate::match_set::Key;
use crate::session::Subscription;
use crate::{Config, Hub};

impl Hub {
    /// Changes to another configuration. Each message is routed by exactly one of the two; running
    /// calls go on.
    ///
    /// New limits hold at once, also for sessions that are there. What waits already is not dropped:
    /// a queue past its new limits makes room when the next message comes. What CONNACK told a client
    /// stays as it is until it connects again.
    pub fn deploy(&mut self, now: Time, config: Config) {
        self.remove_routes();
        self.config = config;
        self.install_routes();
        self.install_functions(now);
        self.install_limits();
    }

    fn remove_routes(&mut self) {
        for (index, route) in self.config.table.routes().iter().enumerate() {
            self.tree.remove(&route.topic, Key::route(index));
        }
    }

    pub(crate) fn install_routes(&mut self) {
        for (index, route) in self.config.table.routes().iter().enumerate() {
            self.tree.insert(&route.topic, Key::route(index), Subscription::NONE);
        }
        self.route_matches = vec![0; self.config.table.routes().len()];
    }

    pub(crate) fn install_functions(&mut self, now: Time) {
        let functions = self.config.functions.values().map(|f| f.limits.clone()).collect();
        let mut out = Vec::new();
        self.scheduler.set_functions(now, functions, &mut out);
        self.perform_scheduling(now, out);
    }

    /// What keeps limits of its own gets the new ones; everything else asks the configuration.
    fn install_limits(&mut self) {
        let limits = &self.config.limits;
        for session in self.sessions.iter_mut().flatten() {
            session.queue.set_limits(limits.session_queue);
        }
        self.retained.set_limits(limits.retained());
        self.ledger.set_limits(self.config.log_limits());
        self.flow.set_limits(limits);
        self.set_hold_rules();
        self.make_room_in_memory();
    }
}
