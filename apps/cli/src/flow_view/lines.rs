use tomte_wire::control::{Flow, LogLine};

use super::Style;
use super::chain::{Chain, End, MessageLine, short_name};
use super::columns::Columns;
use crate::moments::{span_us, time_of_day};
use crate::paint::Tint;
use crate::text_width::{columns, cut, harmless, pad};

/// A line that is put together from pieces and never gets wider than the terminal.
struct Line<'a> {
    style: &'a Style,
    text: String,
    room: usize,
}

impl<'a> Line<'a> {
    fn at(at_us: u64, style: &'a Style, width: usize) -> Self {
        let mut line = Self { style, text: String::new(), room: width };
        line.push(Tint::Dim, &time_of_day(at_us, &style.zone));
        line.gap(2);
        line
    }

    fn push(&mut self, tint: Tint, text: &str) {
        let text = cut(text, self.room);
        self.room -= columns(&text);
        self.text += &self.style.paint.apply(tint, &text);
    }

    fn gap(&mut self, width: usize) {
        let width = width.min(self.room);
        self.room -= width;
        self.text += &" ".repeat(width);
    }

    fn push_padded(&mut self, tint: Tint, text: &str, width: usize) {
        let text = cut(text, width);
        self.push(tint, &text);
        self.gap(width.saturating_sub(columns(&text)));
    }

    fn finish(self) -> String {
        self.text.trim_end().to_owned()
    }
}

/// Returns the lines of a chain: its first message, then what that led to.
pub(super) fn of_chain(
    chain: &Chain,
    widths: &mut Columns,
    style: &Style,
    width: usize,
) -> Vec<String> {
    for message in &chain.messages {
        widths.fit_source(&source_of(message));
        widths.fit_topic(&message.topic);
        // A long reason is read once; the column is for what is read all the time.
        if !message.ends.is_empty() && message.ends.iter().all(|end| end.tint != Tint::Bad) {
            widths.fit_ends(&plain_ends(message));
        }
    }
    chain.messages.iter().map(|message| of_message(message, widths, style, width)).collect()
}

fn of_message(message: &MessageLine, widths: &Columns, style: &Style, width: usize) -> String {
    let mut line = Line::at(message.at_us, style, width);
    line.push_padded(Tint::Name, &source_of(message), widths.source);
    line.gap(2);
    line.push_padded(Tint::Topic, &message.topic, widths.topic);
    line.gap(2);
    let room_before = line.room;
    push_ends(&mut line, message);
    let used = room_before - line.room;
    if !message.payload.is_empty() {
        line.gap(widths.ends.saturating_sub(used) + 2);
        line.push(Tint::Dim, &message.payload);
    }
    line.finish()
}

fn source_of(message: &MessageLine) -> String {
    if message.caused { format!("└ {}", message.source) } else { message.source.clone() }
}

fn push_ends(line: &mut Line<'_>, message: &MessageLine) {
    if message.ends.is_empty() {
        line.push(Tint::Dim, &format!("→ {}", message.nowhere()));
        return;
    }
    line.push(Tint::Dim, "→ ");
    for (place, end) in message.ends.iter().enumerate() {
        if place > 0 {
            line.push(Tint::Dim, ", ");
        }
        push_end(line, end);
    }
    if let Some(total_us) = message.total_us {
        line.push(Tint::Dim, &total(total_us));
    }
}

fn push_end(line: &mut Line<'_>, end: &End) {
    line.push(end.tint, &end.text);
    if !end.time.is_empty() {
        line.gap(1);
        line.push(Tint::Good, &end.time);
    }
}

/// What [`push_ends`] writes, without colour, to measure it.
fn plain_ends(message: &MessageLine) -> String {
    if message.ends.is_empty() {
        return format!("→ {}", message.nowhere());
    }
    let ends = message.ends.iter().map(|end| format!("{} {}", end.text, end.time));
    let ends = ends.map(|end| end.trim_end().to_owned()).collect::<Vec<_>>().join(", ");
    format!("→ {ends}{}", message.total_us.map(total).unwrap_or_default())
}

fn total(total_us: u64) -> String {
    format!(" · {} in all", span_us(total_us))
}

/// Returns the line of an event that belongs to no chain.
pub(super) fn of_event(
    event: &Flow,
    at_us: u64,
    widths: &Columns,
    style: &Style,
    width: usize,
) -> String {
    let mut line = Line::at(at_us, style, width);
    let (tint, who, what) = match event {
        Flow::Log(log) => return of_log(line, log, widths),
        Flow::Connected { client } => (Tint::Good, short_name(client), "connected".to_owned()),
        Flow::Disconnected { client, reason } => {
            (Tint::Warn, short_name(client), format!("disconnected: {}", harmless(reason)))
        }
        Flow::Dropped { client, topic, reason, .. } => {
            let on = if topic.is_empty() { String::new() } else { format!(" {}", harmless(topic)) };
            (Tint::Bad, short_name(client), format!("dropped{on}: {}", harmless(reason)))
        }
        Flow::Deployed { revision } => {
            (Tint::Good, "hub".to_owned(), format!("revision {revision} runs"))
        }
        Flow::Lagged { events } => {
            let what = format!("{events} events came too fast to be shown");
            (Tint::Warn, "hub".to_owned(), what)
        }
        Flow::Published { .. } | Flow::Hop { .. } => {
            unreachable!("messages and their hops belong to chains")
        }
    };
    line.push_padded(Tint::Name, &who, widths.source);
    line.gap(2);
    line.push(tint, &what);
    line.finish()
}

fn of_log(mut line: Line<'_>, log: &LogLine, widths: &Columns) -> String {
    let tint = if log.stream == "platform" { Tint::Warn } else { Tint::Dim };
    line.push(tint, &pad(&harmless(&log.function), widths.source));
    line.gap(2);
    line.push(tint, &format!("│ {}", harmless(log.text.trim_end())));
    line.finish()
}

/// Returns the line that tells how many lines were not printed.
pub(super) fn of_left_out(count: u32, now_us: u64, style: &Style) -> String {
    let mut line = Line::at(now_us, style, usize::MAX);
    line.push(Tint::Warn, &format!("… {count} more lines in the last second"));
    line.finish()
}
