use clap::Args;
use tomte_wire::control::{Change, ChangeKind, PlanReport};

use crate::context::Context;
use crate::exit::Exit;
use crate::paint::{Paint, Tint};

/// Show what `apply` would change on the hub
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte plan")]
pub(crate) struct Plan {}

impl Plan {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let packed = context.project()?.pack()?;
        let report: PlanReport = context.control()?.post("/v1/plan", &packed.request)?;
        context.screen.show(&report, render)?;
        Ok(Exit::Ok)
    }
}

/// Returns the changes as lines.
pub(super) fn render(report: &PlanReport, paint: Paint) -> String {
    let from = match report.from {
        Some(revision) => format!("against revision {revision}"),
        None => "against nothing: this is the first deployment".to_owned(),
    };
    let head = match report.changes.len() {
        0 => format!("no changes {from}"),
        1 => format!("1 change {from}"),
        n => format!("{n} changes {from}"),
    };
    let rest = changes(report, paint);
    if rest.is_empty() { head } else { format!("{head}\n{rest}") }
}

/// Returns the changes and the warnings without a head line.
pub(super) fn changes(report: &PlanReport, paint: Paint) -> String {
    let changes = report.changes.iter().map(|change| render_change(change, paint));
    let warnings = report.warnings.iter();
    let warnings = warnings.map(|text| format!("{} {text}", paint.apply(Tint::Warn, "warning:")));
    changes.chain(warnings).collect::<Vec<_>>().join("\n")
}

fn render_change(change: &Change, paint: Paint) -> String {
    let (sign, tint) = match change.kind {
        ChangeKind::Add => ("+", Tint::Good),
        ChangeKind::Change => ("~", Tint::Warn),
        ChangeKind::Remove => ("-", Tint::Bad),
    };
    let mut text = paint.apply(tint, &format!("  {sign} {}", change.what));
    for detail in &change.details {
        text += &format!("\n      {detail}");
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn change(kind: ChangeKind, what: &str, details: &[&str]) -> Change {
        let details = details.iter().map(|detail| (*detail).to_owned()).collect();
        Change { kind, what: what.to_owned(), details }
    }

    #[test]
    fn changes_are_listed_with_their_keys() {
        let report = PlanReport {
            from: Some(3),
            changes: vec![
                change(ChangeKind::Change, "functions.regulate", &["timeout: 3s -> 5s"]),
                change(ChangeKind::Add, "devices.lamp", &[]),
                change(ChangeKind::Remove, "routes[1]", &[]),
            ],
            missing_code: Vec::new(),
            warnings: vec!["python3.11 is asked, 3.12 is here".to_owned()],
        };
        expect![[r#"
            3 changes against revision 3
              ~ functions.regulate
                  timeout: 3s -> 5s
              + devices.lamp
              - routes[1]
            warning: python3.11 is asked, 3.12 is here"#]]
        .assert_eq(&render(&report, Paint::plain()));
    }

    #[test]
    fn no_change_is_said() {
        let report =
            PlanReport { from: Some(3), changes: vec![], missing_code: vec![], warnings: vec![] };
        assert_eq!(render(&report, Paint::plain()), "no changes against revision 3");
    }
}
