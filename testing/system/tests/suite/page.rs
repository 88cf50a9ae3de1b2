//! The part of the reference page that is made from the list.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::catalogue::{GROUPS, group};
use crate::expected::Expected;

/// The page, in the repository.
pub(crate) const PATH: &str = "docs/reference/mqtt-conformance.md";
const BEGIN: &str = "<!-- made from testing/system/suite/expected.toml -->\n";
const END: &str = "<!-- end -->\n";

/// Returns the page `text` with the tables of `expected` between its two marks.
///
/// # Errors
/// Fails when the page lacks a mark.
pub(crate) fn with_table(text: &str, expected: &Expected) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the page has no begin mark")?;
    let (_, after) = rest.split_once(END).context("the page has no end mark")?;
    Ok(format!("{before}{BEGIN}\n{}\n{}\n{END}{after}", groups(expected), exceptions(expected)))
}

fn groups(expected: &Expected) -> String {
    let mut table = String::from("| group | about | pass | of |\n|---|---|---|---|\n");
    let mut sum = (0, 0);
    for (number, about) in GROUPS {
        let of_group = || expected.iter().filter(|(name, _)| group(name) == Some(number));
        let (of, pass) = (of_group().count(), of_group().filter(|(_, why)| why.is_none()).count());
        let _ = writeln!(table, "| {number} | {about} | {pass} | {of} |");
        sum = (sum.0 + pass, sum.1 + of);
    }
    let _ = writeln!(table, "| all | | {} | {} |", sum.0, sum.1);
    table
}

/// One row for each reason, with all its tests.
fn exceptions(expected: &Expected) -> String {
    let mut by_reason = BTreeMap::<&str, Vec<String>>::new();
    for (name, reason) in expected.iter() {
        if let Some(reason) = reason {
            by_reason.entry(reason).or_default().push(format!("`{name}`"));
        }
    }
    let mut table = String::from("| why not | tests |\n|---|---|\n");
    for (reason, tests) in by_reason {
        let _ = writeln!(table, "| {reason} | {} |", tests.join(", "));
    }
    table
}

#[test]
fn the_suites_table_counts_groups_and_gathers_reasons() {
    let list = "01-a = \"pass\"\n01-b = \"why\"\n13-c = \"why\"\n";
    let text = format!("before\n{BEGIN}old\n{END}after\n");
    let page = with_table(&text, &Expected::parse(list).unwrap()).unwrap();
    assert!(page.starts_with("before\n") && page.ends_with("after\n") && !page.contains("old"));
    assert!(page.contains("| 01 | connecting | 1 | 2 |"), "{page}");
    assert!(page.contains("| all | | 1 | 3 |"), "{page}");
    assert!(page.contains("| why | `01-b`, `13-c` |"), "{page}");
}
