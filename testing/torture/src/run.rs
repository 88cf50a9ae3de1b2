//! One run: the hub, its clients, and who kills it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tomte_testkit::Hub;

use crate::Visitor;
use crate::publisher::{Progress, Publisher};
use crate::receiver::{self, Desk};
use crate::report::Report;
use crate::rng::Rng;

/// What the publishers send with.
const PUBLISHERS: [u8; 4] = [1, 1, 2, 2];
/// Deliveries that may wait before the publishers slow down. What waits makes each start longer, and this
/// is about deaths, not about how much a hub can hold.
const MOST_WAITING: u64 = 200_000;
/// How long receivers may get nothing at the end before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

const MANIFEST: &str = r##"
[hub]
name = "broker"

[listeners.mqtt]
bind = "127.0.0.1:{mqtt}"
anonymous = true

[listeners.mqtts]
bind = "127.0.0.1:{mqtts}"

[limits]
session_messages = 10000000
session_bytes = "16GiB"
queued_bytes = "64GiB"
queued_deliveries = 100000000

[[routes]]
from = "device:*"
topic = "#"
to = "subscribers"
"##;

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often the hub is killed.
    pub rounds: u64,
    /// Where the moments come from.
    pub seed: u64,
    /// The longest time between a start and the next kill.
    pub longest_round: Duration,
}

/// The clients of a run.
struct Clients {
    port: u16,
    progress: Vec<Arc<Progress>>,
    desks: Vec<Arc<Desk>>,
    slow: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Runs it, and says after each round how it stands.
///
/// # Errors
/// Fails when the hub does not start or a client cannot subscribe. What the hub did wrong is no
/// error but in the report.
pub fn torture(settings: Settings, mut tell: impl FnMut(u64, &str)) -> Result<Report> {
    let mut rng = Rng(settings.seed);
    let mut hub = Hub::start(MANIFEST)?;
    let clients = Clients::start(hub.mqtt)?;
    let mut report = Report::default();
    for round in 1..=settings.rounds {
        let most = u64::try_from(settings.longest_round.as_millis())?;
        thread::sleep(Duration::from_millis(rng.range(1, most)));
        for desk in clients.desks.iter().filter(|desk| desk.name.starts_with("away")) {
            desk.present.store(rng.one_in(2), Ordering::Release);
        }
        hub.kill9();
        report.kills += 1;
        if rng.one_in(5) {
            // The next death comes while it starts.
            hub.start_again()?;
            thread::sleep(Duration::from_millis(rng.range(0, 150)));
            hub.kill9();
            report.kills += 1;
        }
        let began = Instant::now();
        hub.restart()?;
        report.slowest_start = report.slowest_start.max(began.elapsed());
        clients.slow.store(clients.all_missing() > MOST_WAITING, Ordering::Release);
        let acknowledged: u64 =
            clients.progress.iter().map(|p| p.acknowledged.load(Ordering::Acquire)).sum();
        tell(round, &format!("{acknowledged} messages acknowledged, {}", clients.waiting()));
    }
    clients.finish(&mut report)?;
    Ok(report)
}

impl Clients {
    /// Starts the receivers, and the publishers once all subscriptions are confirmed.
    fn start(port: u16) -> Result<Self> {
        let desk = |name: &str, qos| Desk::new(name, qos, PUBLISHERS.len());
        let desks =
            vec![desk("here-2", 2), desk("away-2", 2), desk("away-1", 1), desk("rumqttc-1", 1)];
        let mut threads = Vec::new();
        for desk in &desks {
            let desk = Arc::clone(desk);
            threads.push(thread::spawn(move || match desk.name.as_str() {
                "rumqttc-1" => receiver::run_rumqttc(&desk, port),
                _ => receiver::run_own(&desk, port),
            }));
        }
        let began = Instant::now();
        while !desks.iter().all(|desk| desk.subscribed.load(Ordering::Acquire)) {
            if began.elapsed() > PATIENCE {
                bail!("a receiver could not subscribe");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let (slow, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut progress = Vec::new();
        for (index, qos) in PUBLISHERS.into_iter().enumerate() {
            let seen = Arc::new(Progress::default());
            let publisher = Publisher::new(index, qos, Arc::clone(&seen));
            let (slow, stop) = (Arc::clone(&slow), Arc::clone(&stop));
            threads.push(thread::spawn(move || publisher.run(port, &slow, &stop)));
            progress.push(seen);
        }
        Ok(Self { port, progress, desks, slow, stop, threads })
    }

    /// Lets everything that was acknowledged arrive, stops all clients, and counts.
    fn finish(self, report: &mut Report) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        for desk in &self.desks {
            desk.present.store(true, Ordering::Release);
        }
        self.wait_for_arrival();
        report.retained_lost = self.retained_lost().context("look at the retained messages")?;
        self.desks.iter().for_each(|desk| desk.stop.store(true, Ordering::Release));
        for progress in &self.progress {
            report.unfinished += u64::from(!progress.is_done.load(Ordering::Acquire));
            // Whoever could not finish would go on for ever.
            progress.is_done.store(true, Ordering::Release);
        }
        for (progress, qos) in self.progress.iter().zip(PUBLISHERS) {
            let acknowledged = progress.acknowledged.load(Ordering::Acquire);
            match qos {
                1 => report.acknowledged_1 += acknowledged,
                _ => report.acknowledged_2 += acknowledged,
            }
            report.sessions_lost += progress.sessions_lost.load(Ordering::Acquire);
        }
        self.desks.iter().for_each(|desk| self.count(desk, report));
        for thread in self.threads {
            let _it_panicked_and_said_so = thread.join();
        }
        Ok(())
    }

    fn count(&self, desk: &Desk, report: &mut Report) {
        report.sessions_lost += desk.sessions_lost.load(Ordering::Acquire);
        let tallies = desk.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        for ((tally, progress), qos) in tallies.iter().zip(&self.progress).zip(PUBLISHERS) {
            report.delivered += tally.delivered;
            report.reordered += tally.reordered;
            report.lost += tally.lost(progress.acknowledged.load(Ordering::Acquire));
            match qos.min(desk.qos) {
                2 => report.doubled += tally.doubled,
                _ => report.sent_again += tally.doubled,
            }
        }
    }

    fn wait_for_arrival(&self) {
        let (mut last, mut since) = (u64::MAX, Instant::now());
        loop {
            let done = self.progress.iter().all(|p| p.is_done.load(Ordering::Acquire));
            let missing = self.all_missing();
            if done && missing == 0 {
                return;
            }
            if missing != last {
                (last, since) = (missing, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How much waits for each receiver, in words.
    fn waiting(&self) -> String {
        let each = self.desks.iter().map(|desk| format!("{} {}", desk.name, self.missing(desk)));
        format!("waiting for {}", each.collect::<Vec<_>>().join(", "))
    }

    /// Deliveries that were promised and have not come yet.
    fn all_missing(&self) -> u64 {
        self.desks.iter().map(|desk| self.missing(desk)).sum()
    }

    fn missing(&self, desk: &Desk) -> u64 {
        let tallies = desk.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = tallies.iter().zip(&self.progress);
        pairs.map(|(tally, p)| tally.lost(p.acknowledged.load(Ordering::Acquire))).sum()
    }

    /// How many publishers have a retained message that is older than an acknowledged one.
    fn retained_lost(&self) -> Result<u64> {
        let mut visitor = Visitor::connect(self.port, "retained", true, None)?;
        visitor.subscribe("state/#", 0)?;
        let mut found = vec![None; self.progress.len()];
        visitor.receive(Duration::from_millis(500), |topic, payload| {
            let index = topic.strip_prefix("state/p").and_then(|index| index.parse::<usize>().ok());
            let text = String::from_utf8_lossy(payload);
            let number = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
            if let (Some(index), Some(number)) = (index, number) {
                found[index] = Some(number);
            }
            true
        })?;
        let is_lost = |(found, progress): (&Option<u64>, &Arc<Progress>)| {
            let acknowledged = progress.retained.load(Ordering::Acquire);
            let sent = progress.retained_sent.load(Ordering::Acquire);
            match found {
                Some(number) => number + 1 < acknowledged || *number >= sent,
                None => acknowledged > 0,
            }
        };
        Ok(found.iter().zip(&self.progress).filter(|pair| is_lost(*pair)).count() as u64)
    }
}
