//! A run from its seed to its verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tomte_core_hub::{CloseReason, Counter, Limits};

use crate::coverage::Coverage;
use crate::host::Host;
use crate::mark::Mark;
use crate::network::ConnId;
use crate::oracle::Books;
use crate::world::{Event, Input, World};

/// Virtual time that a run may take before and after it calms down.
const LONGEST: Duration = Duration::from_secs(3_000);
/// How long nothing must have left the hub for the world to be at rest: longer than any timeout.
const QUIET: Duration = Duration::from_secs(40);
/// Steps that a run may take; more means that it spins.
const MOST_STEPS: u64 = 300_000;

/// What a run found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What happened.
    pub coverage: Coverage,
    /// Steps that the world made.
    pub steps: u64,
    /// What was broken, with the last events.
    pub failure: Option<Failure>,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that leads there.
    pub seed: u64,
    /// What was broken.
    pub what: String,
    /// The last events before.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.log)?;
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        write!(
            f,
            "again: TOMTE_SIM_SEED={} cargo test -p tomte-sim -- repeat --nocapture",
            self.seed
        )
    }
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    let mut steps = 0;
    let result = catch_unwind(AssertUnwindSafe(|| world.run(&mut steps)));
    let what = match result {
        Ok(()) => world.oracle.violation().map(str::to_owned),
        Err(panic) => Some(format!("the hub panicked: {}", words(&*panic))),
    };
    let failure = what.map(|what| {
        let settings = format!("{:?}\n", world.settings);
        Failure { seed, what, log: settings + &world.log.to_string() }
    });
    Outcome { seed, coverage: world.coverage, steps, failure }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

impl World {
    fn run(&mut self, steps: &mut u64) {
        let end = self.now + LONGEST;
        while !self.calm && self.advance(end, steps) {}
        let end = self.now + LONGEST;
        while !self.is_at_rest() && self.advance(end, steps) {}
        if self.now < end && self.oracle.violation().is_none() {
            // Nothing is left that could happen.
            self.now += QUIET;
        }
        if self.oracle.violation().is_none() && !self.is_at_rest() {
            let why = self.unrest();
            self.oracle.blame(|| format!("the world does not come to rest: {why}"));
        }
        self.look_at_retained(steps);
        if let Some(host) = self.host.take() {
            if !host.requests.is_empty() {
                self.oracle.blame(|| format!("calls {:?} were never answered", host.requests));
            }
            self.take_counters(&host);
        }
        if self.oracle.violation().is_none() {
            let all_came = !self.clients.iter().any(|client| client.is_refused);
            let now = self.hub_now();
            self.oracle.check_promises(now, all_came);
        }
        self.cover_counters();
    }

    /// Makes one step, until something is broken or `end` has come.
    fn advance(&mut self, end: tomte_base::Time, steps: &mut u64) -> bool {
        *steps += 1;
        if *steps > MOST_STEPS {
            self.oracle.blame(|| "the world spins".to_owned());
        }
        self.oracle.violation().is_none() && self.step(end)
    }

    /// Ends all faults, starts the hub anew, and lets every client come back.
    pub(crate) fn calm_down(&mut self) {
        if !std::mem::replace(&mut self.calm, true) {
            self.tell(|| "all faults end".to_owned());
            self.disk.set_capacity(None);
            for id in 0..self.conns.len() {
                self.cut(ConnId(id));
            }
            if self.host.is_some() {
                self.restart();
            }
            self.renew_disk();
            for client in 0..self.clients.len() {
                self.forget_refusal(client);
            }
            self.after(Duration::from_secs(5), Event::Calm);
            return;
        }
        if self.host.is_some() {
            self.reconnect_all();
        }
    }

    /// Nothing is under way any more.
    fn is_at_rest(&self) -> bool {
        self.unrest().is_empty()
    }

    fn unrest(&self) -> String {
        let Some(host) = &self.host else { return "the hub is down".to_owned() };
        let view = host.hub.view();
        let mut why = String::new();
        if !self.clients_are_at_rest() {
            why += "a client waits; ";
        }
        let calls = host.hub.scheduler().queued().count() + host.hub.scheduler().running().count();
        if calls > 0 {
            why += &format!("{calls} calls wait or run; ");
        }
        if self.now - self.last_traffic < QUIET {
            why += &format!("bytes still flow, {view:?}; ");
        }
        if host.hub.has_work() || !host.written.is_empty() {
            why += "records are not safe; ";
        }
        if !host.inbox.is_empty() {
            why += "the hub has not looked at everything; ";
        }
        why
    }

    /// Lets everything through and looks at what is retained.
    fn look_at_retained(&mut self, steps: &mut u64) {
        if self.oracle.violation().is_some() || self.host.is_none() {
            return;
        }
        self.settings.limits = Limits { traces: 0, ..Limits::default() };
        let open = self.tables.len() - 1;
        self.at(self.now, Event::Hub(Input::Deploy(open)));
        let end = self.now + Duration::from_secs(2);
        while self.advance(end, steps) {}
        let conn = self.checker_connects();
        let end = self.now + Duration::from_secs(30);
        while self.advance(end, steps) {}
        let found: BTreeMap<String, Mark> = std::mem::take(&mut self.found_retained);
        if self.checker_subscribed {
            self.coverage.hit("retained: looked at in the end");
            self.oracle.check_retained(&found);
        }
        self.close(conn, &CloseReason::Lost);
    }

    /// A process ends: its numbers are compared and added up.
    pub(crate) fn take_counters(&mut self, host: &Host) {
        let scheduler = host.hub.scheduler();
        let n_calls = (scheduler.queued().count() + scheduler.running().count()) as u64;
        let books = Books { counters: host.hub.counters(), n_calls, n_sent: host.n_sent };
        self.oracle.on_books(&books);
    }

    fn cover_counters(&mut self) {
        const COUNTED: [(Counter, &str); 19] = [
            (Counter::DropQueueFull, "drop: queue full"),
            (Counter::DropExpired, "drop: expired"),
            (Counter::PassedOn, "group: passed on to another member"),
            (Counter::DropNoMember, "drop: no member"),
            (Counter::DropUnreadable, "drop: unreadable"),
            (Counter::DropHoldFull, "drop: hold full"),
            (Counter::DropHoldExpired, "drop: hold expired"),
            (Counter::DropHopLimit, "drop: hop limit"),
            (Counter::DropSessionEnded, "drop: session ended"),
            (Counter::DropSlowReader, "drop: slow reader"),
            (Counter::DropTooLarge, "drop: too large"),
            (Counter::DropOffline, "drop: QoS 0 offline"),
            (Counter::DropCallRefused, "drop: call refused"),
            (Counter::DropNoRoute, "drop: no route"),
            (Counter::DropNoMatch, "drop: no match"),
            (Counter::RefusedNotStored, "refusal: not stored"),
            (Counter::RefusedSubscribe, "refusal: subscribe"),
            (Counter::RefusedPublish, "refusal: publish"),
            (Counter::CallsUnhandled, "call: ended by the platform"),
        ];
        for (counter, name) in COUNTED {
            let n = self.oracle.totals().get(&counter).copied().unwrap_or(0);
            self.coverage.add(name, n);
        }
        self.coverage.add("delivery: QoS 2 all the way", self.oracle.n_once());
        self.coverage.add("will: published after its delay", self.oracle.n_delayed_wills());
        let delivered = self.oracle.totals().get(&Counter::Delivered).copied().unwrap_or(0);
        self.coverage.add("delivery", delivered);
    }

    /// Queues, buffers and tables stay within their bounds.
    pub(crate) fn check_bounds(&mut self) {
        let limits = &self.settings.limits;
        let Some(host) = &mut self.host else { return };
        let view = host.hub.view();
        let sessions = limits.max_sessions as usize;
        // Sessions that were made under a higher limit stay.
        if view.sessions > sessions {
            self.oracle.blame(|| format!("{} sessions, {sessions} are allowed", view.sessions));
        }
        let window = usize::from(limits.receive_maximum);
        let per_session = limits.session_queue.max_messages as usize + 2 * window;
        let most = view.sessions * per_session + 3 * 1_000;
        if view.queued > most {
            self.oracle.blame(|| format!("{} messages wait, {most} are allowed", view.queued));
        }
        let (waiting, _) = host.hub.scheduler().queue_size();
        if waiting > 100 {
            self.oracle.blame(|| format!("{waiting} calls wait, 100 are allowed"));
        }
        let longest = 2 * limits.output_high_water + (window + 1) * 4_096 + 16_384;
        for index in 0..host.sockets.len() {
            let slot = tomte_core_hub::Slot(u32::try_from(index).expect("few"));
            let length = host.hub.output(slot).map_or(0, |output| output.len());
            if length > longest {
                self.oracle.blame(|| format!("{length} bytes wait for one client"));
            }
        }
    }
}
