use tomte_wire::control::Hop;

use crate::moments::span_us;
use crate::paint::Tint;
use crate::text_width::harmless;

/// What is remembered of a message after its line was printed.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) chain: u64,
    /// When the first message of the chain was accepted.
    pub(super) started_us: u64,
    published_us: u64,
    source: String,
    topic: String,
    caused: bool,
}

/// A message and what it led to, as far as it was not printed yet.
pub(super) struct Chain {
    pub(super) number: u64,
    /// When it was opened; later than its start when a part of it was printed before.
    pub(super) opened_us: u64,
    /// When something last happened to it.
    pub(super) last_us: u64,
    pub(super) messages: Vec<MessageLine>,
}

/// One message of a chain.
pub(super) struct MessageLine {
    message: u64,
    /// When the line begins: the acceptance of the message, or the first thing that came late.
    pub(super) at_us: u64,
    pub(super) caused: bool,
    pub(super) source: String,
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) ends: Vec<End>,
    /// Routes that matched: each leads to an end, some of them later than others.
    matched: usize,
    /// When the last delivery of a caused message ended, since the chain began.
    pub(super) total_us: Option<u64>,
    /// Routes that did not match, shown when nothing else happened.
    pub(super) not_matched: Vec<String>,
}

/// Where a message went.
pub(super) struct End {
    /// The receiver, empty when there is none.
    name: String,
    pub(super) tint: Tint,
    pub(super) text: String,
    pub(super) time: String,
}

/// A message that was dropped on its way to, or from, `client`.
pub(super) struct Drop {
    pub(super) client: String,
    pub(super) topic: String,
    pub(super) reason: String,
}

impl Known {
    pub(super) fn published(
        chain: u64,
        started_us: u64,
        published_us: u64,
        source: &str,
        topic: &str,
    ) -> Self {
        let (source, topic) = (short_name(source), harmless(topic));
        Self { chain, started_us, published_us, source, topic, caused: false }
    }

    /// Says whether another message led to this one.
    pub(super) fn caused(self, caused: bool) -> Self {
        Self { caused, ..self }
    }
}

impl Chain {
    pub(super) fn new(number: u64, opened_us: u64) -> Self {
        Self { number, opened_us, last_us: opened_us, messages: Vec::new() }
    }

    /// Tells whether a route matched whose end is not known yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.messages.iter().any(|line| line.matched > line.ends.len())
    }

    pub(super) fn publish(&mut self, message: u64, known: &Known, payload: &str) {
        self.line(message, known, known.published_us).payload = harmless(payload);
    }

    pub(super) fn hop(&mut self, message: u64, known: &Known, at_us: u64, hop: &Hop) {
        let line = self.line(message, known, at_us);
        match hop.kind.as_str() {
            "connection" | "retain" if !hop.bad => {}
            "route" if hop.verdict == "matched" => line.matched += 1,
            "route" if !hop.bad => line.not_matched.push(one_space(&hop.detail)),
            // That every condition is false is how routes are meant to work.
            "admission" if !hop.bad || !line.not_matched.is_empty() => {}
            _ => {
                line.add(End::of(hop, at_us.saturating_sub(known.published_us)));
                if known.caused && hop.verdict == "acknowledged" {
                    line.total_us = Some(at_us.saturating_sub(known.started_us));
                }
            }
        }
    }

    pub(super) fn dropped(&mut self, message: u64, known: &Known, at_us: u64, drop: Drop) {
        let line = self.line(message, known, at_us);
        let name = short_name(&drop.client);
        let text = format!("{name} dropped: {}", harmless(&drop.reason));
        line.add(End { name, tint: Tint::Bad, text, time: String::new() });
        if line.topic.is_empty() {
            line.topic = harmless(&drop.topic);
        }
    }

    fn line(&mut self, message: u64, known: &Known, at_us: u64) -> &mut MessageLine {
        self.last_us = self.last_us.max(at_us);
        let place = self.messages.iter().position(|line| line.message == message);
        let place = place.unwrap_or_else(|| {
            self.messages.push(MessageLine::new(message, known, at_us));
            self.messages.len() - 1
        });
        &mut self.messages[place]
    }
}

impl MessageLine {
    fn new(message: u64, known: &Known, at_us: u64) -> Self {
        Self {
            message,
            at_us,
            caused: known.caused,
            source: known.source.clone(),
            topic: known.topic.clone(),
            payload: String::new(),
            ends: Vec::new(),
            matched: 0,
            total_us: None,
            not_matched: Vec::new(),
        }
    }

    /// Adds where the message went; what is known of the same receiver from before gives way, as when
    /// a message that was sent is acknowledged.
    fn add(&mut self, end: End) {
        let same =
            self.ends.iter().position(|known| !end.name.is_empty() && known.name == end.name);
        match same {
            Some(place) => self.ends[place] = end,
            None => self.ends.push(end),
        }
    }

    /// Says in words why the message has no ends.
    pub(super) fn nowhere(&self) -> String {
        match self.not_matched.as_slice() {
            _ if self.matched > 0 => "…".to_owned(),
            [] => "nobody".to_owned(),
            [route] => format!("nobody: {route}"),
            routes => format!("nobody: {} routes do not match", routes.len()),
        }
    }
}

impl End {
    fn of(hop: &Hop, took_us: u64) -> Self {
        let name = short_name(&hop.subject);
        let verdict = harmless(&hop.verdict);
        let told = if name.is_empty() { verdict } else { format!("{name} {verdict}") };
        let time = String::new();
        if hop.bad {
            let text = match one_space(&hop.detail) {
                detail if detail.is_empty() => told,
                detail => format!("{told}: {detail}"),
            };
            return Self { name, tint: Tint::Bad, text, time };
        }
        match hop.verdict.as_str() {
            "queued" | "held" => Self { name, tint: Tint::Warn, text: told, time },
            _ => {
                let text = if name.is_empty() { told } else { name.clone() };
                Self { name, tint: Tint::Name, text, time: span_us(took_us) }
            }
        }
    }
}

/// Returns the name of a client without its kind: `device:fan` is `fan` to people.
pub(crate) fn short_name(client: &str) -> String {
    let name = ["device:", "function:"].iter().find_map(|kind| client.strip_prefix(kind));
    harmless(name.unwrap_or(client))
}

fn one_space(text: &str) -> String {
    harmless(text).split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
