//! Shows what happens in a hub, one line for each message.
//!
//! ```text
//! 16:33:41.204  thermometer    sensors/1/temperature  → regulate 0.5 ms               {"celsius": 31}
//! 16:33:41.205  └ regulate     actuators/fan          → fan 0.6 ms · 1.3 ms in all    {"fan": "on", …
//! ```
//!
//! The messages that one reading leads to are its *chain*. A chain is held for a moment until its
//! hops came in, then printed as one block, so that the lines of two chains do not mix. Pure: events
//! and the time go in, lines come out.

mod chain;
mod columns;
mod lines;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use jiff::tz::TimeZone;
use tomte_wire::control::{Flow, FlowEvent};

pub(crate) use self::chain::short_name;
use self::chain::{Chain, Drop, Known};
use self::columns::Columns;
use crate::paint::Paint;

/// A chain is printed when nothing happened to it for this long, in microseconds.
const QUIET_US: u64 = 80_000;

/// A chain is printed at the latest this long after it began, in microseconds; what comes later gets
/// lines of its own.
const PATIENCE_US: u64 = 600_000;

/// Most chains that are held; the oldest is printed early.
const MAX_OPEN_CHAINS: usize = 512;

/// Most messages whose chain is remembered after it was printed.
const MAX_REMEMBERED: usize = 4_096;

/// Most lines that are printed in one second; more cannot be read, and are counted instead.
const MAX_LINES_PER_SECOND: u32 = 200;

/// The live view.
pub(crate) struct FlowView {
    style: Style,
    columns: Columns,
    pending: VecDeque<Pending>,
    known: HashMap<u64, Known>,
    remembered: VecDeque<u64>,
    next_chain: u64,
    budget: LineBudget,
}

/// How the lines look.
pub(crate) struct Style {
    pub(crate) paint: Paint,
    pub(crate) zone: TimeZone,
}

/// Something that waits to be printed.
enum Pending {
    Chain(Chain),
    Line { at_us: u64, event: Flow },
}

/// Counts the lines of the present second.
#[derive(Default)]
struct LineBudget {
    second: u64,
    printed: u32,
    left_out: u32,
}

impl FlowView {
    /// Makes a view that has seen nothing.
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            columns: Columns::default(),
            pending: VecDeque::new(),
            known: HashMap::new(),
            remembered: VecDeque::new(),
            next_chain: 0,
            budget: LineBudget::default(),
        }
    }

    /// Takes in what happened.
    pub(crate) fn take(&mut self, event: FlowEvent) {
        let at_us = event.at_us;
        match event.what {
            Flow::Published { message, cause, source, topic, payload, .. } => {
                let origin = cause.and_then(|cause| self.known.get(&cause));
                let origin = origin.map(|origin| (origin.chain, origin.started_us));
                let (chain, started_us) = origin.unwrap_or_else(|| (self.new_chain(), at_us));
                let caused = cause.is_some();
                let known =
                    Known::published(chain, started_us, at_us, &source, &topic).caused(caused);
                self.open(&known, at_us).publish(message, &known, &payload);
                self.remember(message, known);
            }
            Flow::Hop { message, hop } => {
                let known = self.known_or_new(message, at_us);
                self.open(&known, at_us).hop(message, &known, at_us, &hop);
            }
            Flow::Dropped { message: Some(message), client, topic, reason }
                if self.known.contains_key(&message) =>
            {
                let known = self.known_or_new(message, at_us);
                let drop = Drop { client, topic, reason };
                self.open(&known, at_us).dropped(message, &known, at_us, drop);
            }
            event => self.pending.push_back(Pending::Line { at_us, event }),
        }
    }

    /// Returns the lines that are due at `now_us`, each at most `width` columns wide.
    pub(crate) fn due(&mut self, now_us: u64, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(first) = self.pending.front() {
            if self.pending.len() <= MAX_OPEN_CHAINS && !first.is_due(now_us) {
                break;
            }
            self.print_first(width, &mut lines);
        }
        self.budget.limit(lines, now_us, &self.style)
    }

    /// Returns everything that still waits, at the end.
    pub(crate) fn rest(&mut self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while !self.pending.is_empty() {
            self.print_first(width, &mut lines);
        }
        lines
    }

    fn print_first(&mut self, width: usize, lines: &mut Vec<String>) {
        match self.pending.pop_front() {
            Some(Pending::Chain(chain)) => {
                lines.extend(lines::of_chain(&chain, &mut self.columns, &self.style, width));
            }
            Some(Pending::Line { at_us, event }) => {
                let line = lines::of_event(&event, at_us, &self.columns, &self.style, width);
                lines.push(line);
            }
            None => {}
        }
    }

    /// Returns the open chain of a message, or opens it again when it was printed before.
    fn open(&mut self, known: &Known, at_us: u64) -> &mut Chain {
        let place = self.pending.iter().rposition(|pending| pending.is_chain(known.chain));
        let place = place.unwrap_or_else(|| {
            self.pending.push_back(Pending::Chain(Chain::new(known.chain, at_us)));
            self.pending.len() - 1
        });
        match &mut self.pending[place] {
            Pending::Chain(chain) => chain,
            Pending::Line { .. } => unreachable!("the place was found or made as one of a chain"),
        }
    }

    /// Returns what is known of a message; one that was published before we looked is a chain of its
    /// own without source.
    fn known_or_new(&mut self, message: u64, at_us: u64) -> Known {
        if let Some(known) = self.known.get(&message) {
            return known.clone();
        }
        let known = Known::published(self.new_chain(), at_us, at_us, "", "");
        self.remember(message, known.clone());
        known
    }

    fn new_chain(&mut self) -> u64 {
        self.next_chain += 1;
        self.next_chain
    }

    fn remember(&mut self, message: u64, known: Known) {
        if self.remembered.len() == MAX_REMEMBERED
            && let Some(oldest) = self.remembered.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.remembered.push_back(message);
        self.known.insert(message, known);
    }
}

impl Pending {
    fn is_chain(&self, number: u64) -> bool {
        matches!(self, Pending::Chain(chain) if chain.number == number)
    }

    fn is_due(&self, now_us: u64) -> bool {
        match self {
            Pending::Chain(chain) => {
                let quiet = !chain.is_under_way() && now_us >= chain.last_us + QUIET_US;
                quiet || now_us >= chain.opened_us + PATIENCE_US
            }
            Pending::Line { at_us, .. } => now_us >= at_us + QUIET_US,
        }
    }
}

impl LineBudget {
    fn limit(&mut self, mut lines: Vec<String>, now_us: u64, style: &Style) -> Vec<String> {
        let mut notice = None;
        let second = now_us / 1_000_000;
        if second != self.second {
            let left_out = std::mem::take(&mut self.left_out);
            notice = (left_out > 0).then(|| lines::of_left_out(left_out, now_us, style));
            (self.second, self.printed) = (second, 0);
        }
        let room = usize::try_from(MAX_LINES_PER_SECOND - self.printed).unwrap_or(0);
        let over = lines.len().saturating_sub(room);
        lines.truncate(room);
        self.printed += u32::try_from(lines.len()).unwrap_or(MAX_LINES_PER_SECOND);
        self.left_out += u32::try_from(over).unwrap_or(u32::MAX);
        notice.into_iter().chain(lines).collect()
    }
}
