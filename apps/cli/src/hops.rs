//! The table of `tomte why`: what happened, or would happen, to a message, hop by hop.

use tomte_wire::control::{Hop, Why};

use crate::flow_view::short_name;
use crate::paint::{Paint, Tint};
use crate::text_width::{columns, cut, harmless, pad};

/// One line of the table before it is aligned.
struct Row {
    kind: String,
    verdict: String,
    /// The route, in the lines of routes.
    about: String,
    detail: String,
    tint: Tint,
}

/// The widths of the columns.
struct Widths {
    kind: usize,
    verdict: usize,
    about: usize,
    line: usize,
}

/// Returns the table, its lines at most `width` columns wide.
pub(crate) fn render(why: &Why, paint: Paint, width: usize) -> String {
    let mut lines = vec![format!(
        "{} {} {}",
        paint.apply(Tint::Name, &short_name(&why.source)),
        paint.apply(Tint::Dim, "-->"),
        paint.apply(Tint::Topic, &harmless(&why.topic)),
    )];
    let rows: Vec<Row> = final_hops(&why.hops).map(Row::of).collect();
    let widths = Widths::of(&rows, width);
    let rows = rows.iter().enumerate();
    lines.extend(rows.map(|(place, row)| row.render(place + 1, &widths, paint)));
    if why.message.is_none() {
        let note = "nothing was sent: this is what would happen";
        lines.push(paint.apply(Tint::Dim, note));
    }
    lines.join("\n")
}

/// Tells whether the message, or a copy of it, reached somebody.
pub(crate) fn arrived(why: &Why) -> bool {
    why.hops
        .iter()
        .any(|hop| !hop.bad && matches!(hop.kind.as_str(), "function" | "delivery" | "hold"))
}

/// Leaves out that a message was sent where the next thing known is what came of it.
fn final_hops(hops: &[Hop]) -> impl Iterator<Item = &Hop> {
    let is_passed = |at: usize, hop: &Hop| {
        let later = hops[at + 1..].iter().filter(|later| later.depth == hop.depth);
        let mut same = later.filter(|later| later.kind == hop.kind && later.subject == hop.subject);
        matches!(hop.verdict.as_str(), "sent" | "queued") && same.next().is_some()
    };
    hops.iter().enumerate().filter(move |(at, hop)| !is_passed(*at, hop)).map(|(_, hop)| hop)
}

impl Widths {
    fn of(rows: &[Row], line: usize) -> Self {
        let widest = |field: fn(&Row) -> &str, least: usize| {
            rows.iter().map(|row| columns(field(row))).fold(least, usize::max)
        };
        Self {
            kind: widest(|row| &row.kind, 10),
            verdict: widest(|row| &row.verdict, 8),
            about: widest(|row| &row.about, 0),
            line,
        }
    }
}

impl Row {
    fn of(hop: &Hop) -> Self {
        let (kind, verdict) = (harmless(&hop.kind), harmless(&hop.verdict));
        let (subject, detail) = (short_name(&hop.subject), harmless(&hop.detail));
        let tint = tint_of(hop);
        match hop.kind.as_str() {
            "function" | "delivery" | "hold" if !subject.is_empty() => {
                let detail = sentence(&verdict, &detail);
                Self { kind, verdict: subject, about: String::new(), detail, tint }
            }
            "route" => Self { kind, verdict, about: subject, detail, tint },
            _ if subject.is_empty() || detail.contains(&subject) => {
                Self { kind, verdict, about: String::new(), detail, tint }
            }
            _ if detail.is_empty() => {
                Self { kind, verdict, about: String::new(), detail: subject, tint }
            }
            _ => {
                let detail = format!("{subject}, {detail}");
                Self { kind, verdict, about: String::new(), detail, tint }
            }
        }
    }

    fn render(&self, number: usize, widths: &Widths, paint: Paint) -> String {
        let kind = format!("{number:>3} {}   ", pad(&self.kind, widths.kind));
        let verdict = pad(&self.verdict, widths.verdict);
        let room = widths.line.saturating_sub(columns(&kind) + columns(&verdict) + 2);
        let detail = match self.about.as_str() {
            "" => cut(&self.detail, room),
            about => cut(&format!("{}   {}", pad(about, widths.about), self.detail), room),
        };
        let detail = match self.tint {
            Tint::Bad => paint.apply(Tint::Bad, detail.trim_end()),
            _ => detail,
        };
        format!("{kind}{}  {detail}", paint.apply(self.tint, &verdict)).trim_end().to_owned()
    }
}

/// Returns verdict and detail as one phrase; the detail may already say what the verdict says.
fn sentence(verdict: &str, detail: &str) -> String {
    match (verdict, detail) {
        (verdict, "") => verdict.to_owned(),
        ("ok", detail) => detail.to_owned(),
        (verdict, detail) if detail.contains(verdict) => detail.to_owned(),
        (verdict, detail) if detail.starts_with("after ") => format!("{verdict} {detail}"),
        (verdict, detail) => format!("{verdict}: {detail}"),
    }
}

fn tint_of(hop: &Hop) -> Tint {
    match (hop.bad, hop.verdict.as_str()) {
        (true, _) => Tint::Bad,
        (false, "not matched") => Tint::Dim,
        (false, "queued" | "held") => Tint::Warn,
        (false, _) => Tint::Good,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn hop(kind: &str, subject: &str, verdict: &str, detail: &str) -> Hop {
        Hop {
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            verdict: verdict.to_owned(),
            detail: detail.to_owned(),
            bad: matches!(verdict, "dropped" | "failed" | "refused"),
            depth: 0,
            at_us: None,
        }
    }

    fn why(message: Option<u64>, hops: Vec<Hop>) -> Why {
        let (source, topic) = ("device:thermometer".to_owned(), "sensors/1/temperature".to_owned());
        Why { source, topic, message, at_ms: None, hops }
    }

    fn greenhouse() -> Why {
        let connection = "thermometer, certificate 4f:1c..., expires in 89 days";
        let function = "queued 0.1 ms, warm worker 3, ran 0.4 ms, returned 41 bytes";
        why(
            Some(7),
            vec![
                hop("connection", "thermometer", "ok", connection),
                hop("route", "routes[0] \"hot\"", "matched", "when payload.celsius > 28"),
                hop("function", "regulate", "ok", function),
                hop("route", "routes[1]", "matched", "to device:fan on actuators/fan"),
                hop("delivery", "fan", "sent", ""),
                hop("delivery", "fan", "acknowledged", "after 0.6 ms"),
            ],
        )
    }

    /// Proves: WHY-1.
    #[test]
    fn the_way_of_a_message_reads_as_the_design_shows_it() {
        expect![[r#"
            thermometer --> sensors/1/temperature
              1 connection   ok        thermometer, certificate 4f:1c..., expires in 89 days
              2 route        matched   routes[0] "hot"   when payload.celsius > 28
              3 function     regulate  queued 0.1 ms, warm worker 3, ran 0.4 ms, returned 41 bytes
              4 route        matched   routes[1]         to device:fan on actuators/fan
              5 delivery     fan       acknowledged after 0.6 ms"#]]
        .assert_eq(&render(&greenhouse(), Paint::plain(), 120));
        assert!(arrived(&greenhouse()));
    }

    #[test]
    fn lines_are_cut_to_the_terminal() {
        let text = render(&greenhouse(), Paint::plain(), 40);
        assert!(text.lines().skip(1).all(|line| columns(line) <= 40), "{text}");
    }

    #[test]
    fn what_only_would_happen_says_so() {
        let supposed = why(
            None,
            vec![
                hop("route", "routes[0] \"hot\"", "not matched", "payload.celsius is 20"),
                hop("delivery", "fan", "dropped", "no session and no hold"),
            ],
        );
        expect![[r#"
            thermometer --> sensors/1/temperature
              1 route        not matched  routes[0] "hot"   payload.celsius is 20
              2 delivery     fan          dropped: no session and no hold
            nothing was sent: this is what would happen"#]]
        .assert_eq(&render(&supposed, Paint::plain(), 120));
        assert!(!arrived(&supposed));
    }
}
