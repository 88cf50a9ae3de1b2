//! The normative statements of MQTT with the tests that show them: `docs/reference/mqtt-statements`.
//!
//! `generate` makes a page of each list. `tidy` refuses a list that lacks a statement of its standard or
//! has one twice, that names a test which is not there, or that says nothing where a server is bound.

mod ids;
mod tests_by_name;

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace::Workspace;
use ids::STANDARDS;
use tests_by_name::{Found, TestsByName};

const FOLDER: &str = "docs/reference/mqtt-statements";
const MUTATIONS: &str = "docs/reference/mqtt-mutations.md";

/// One list, as a file of the folder has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    statements: Vec<Statement>,
    /// What the text asks of a server without giving it a number, by clause.
    #[serde(default)]
    unnumbered: Vec<Statement>,
}

impl List {
    fn all(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().chain(&self.unnumbered)
    }
}

/// A statement in our own words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    id: String,
    binds: Binds,
    says: String,
    #[serde(default)]
    tests: Vec<String>,
    why: Option<String>,
}

/// Who has to do what a statement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Binds {
    Server,
    Client,
    Both,
}

impl Statement {
    /// Tells whether a server is bound and nothing shows or explains what it does.
    fn is_open(&self) -> bool {
        self.binds != Binds::Client && self.tests.is_empty() && self.why.is_none()
    }
}

/// Returns the generated pages with their names.
///
/// # Errors
/// Fails when a list or a source file cannot be read.
pub(crate) fn pages(workspace: &Workspace) -> Result<Vec<(&'static str, String)>> {
    let tests = TestsByName::read(workspace)?;
    let page = |standard: &ids::Standard| {
        let list = read(workspace, standard.version)?;
        Ok((standard.page, render(standard.version, &list, &tests)))
    };
    STANDARDS.iter().map(page).collect()
}

/// Returns a sentence for each thing that is wrong with a list.
///
/// # Errors
/// Fails when a list or a source file cannot be read.
pub(crate) fn offences(workspace: &Workspace) -> Result<Vec<String>> {
    let tests = TestsByName::read(workspace)?;
    let mut offences = Vec::new();
    for standard in STANDARDS {
        let list = read(workspace, standard.version)?;
        let file = format!("{FOLDER}/{}.toml", standard.version);
        let wrong = id_offences(standard, &list)
            .into_iter()
            .chain(test_offences(&list, &tests))
            .chain(unnumbered_offences(&list));
        offences.extend(wrong.map(|what| format!("{file}: {what}")));
    }
    let mutations = workspace.read(MUTATIONS)?;
    let unknown = unknown_tests(&mutations, &tests);
    offences.extend(unknown.map(|name| format!("{MUTATIONS}: {name} is no test")));
    Ok(offences)
}

/// The page of rules that were broken on purpose names tests in the last column of its table.
fn unknown_tests<'a>(page: &'a str, tests: &'a TestsByName) -> impl Iterator<Item = &'a str> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let named = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    named.filter(|name| tests.find(name) == Found::None)
}

fn read(workspace: &Workspace, version: &str) -> Result<List> {
    let file = format!("{FOLDER}/{version}.toml");
    toml::from_str(&workspace.read(&file)?).with_context(|| format!("read {file}"))
}

/// The list has the statements of the standard, in its order.
fn id_offences(standard: &ids::Standard, list: &List) -> Vec<String> {
    let expected = standard.ids();
    let found: Vec<&str> = list.statements.iter().map(|statement| statement.id.as_str()).collect();
    let missing = expected.iter().filter(|id| !found.contains(&id.as_str()));
    let mut offences: Vec<String> = missing.map(|id| format!("{id} is missing")).collect();
    for (at, id) in found.iter().enumerate() {
        if !expected.iter().any(|expected| expected == id) {
            offences.push(format!("{id} is no statement of the standard"));
        } else if found[..at].contains(id) {
            offences.push(format!("{id} comes twice"));
        }
    }
    if offences.is_empty() && found != expected {
        offences.push("the statements are not in the order of the standard".to_owned());
    }
    offences
}

/// A rule without a number is in the list because a test shows it, or because something is to be said
/// of it.
fn unnumbered_offences(list: &List) -> Vec<String> {
    let open = list.unnumbered.iter().filter(|rule| rule.is_open());
    open.map(|rule| format!("nothing shows the rule of {}", rule.id)).collect()
}

fn test_offences(list: &List, tests: &TestsByName) -> Vec<String> {
    let mut offences = Vec::new();
    for Statement { id, tests: named, .. } in list.all() {
        for name in named {
            match tests.find(name) {
                Found::One(_) => {}
                Found::None => offences.push(format!("{id} names {name}, which is no test")),
                Found::Several(files) => offences.push(format!(
                    "{id} names {name}, which is in {}; put a part of the path before it",
                    files.join(" and ")
                )),
            }
        }
    }
    offences
}

fn render(version: &str, list: &List, tests: &TestsByName) -> String {
    let mut text = format!(
        "<!-- Written by `cargo xtask generate` from {FOLDER}/{version}.toml. -->\n\
         # Statements of MQTT {version}\n\n\
         Every normative statement of the standard, in our own words, with the tests that show what the\n\
         hub does. {}\n\n",
        score(list),
    );
    table(&mut text, "statement", &list.statements, tests);
    if !list.unnumbered.is_empty() {
        text.push_str(
            "\n## Rules without a number\n\n\
             What the text asks of a server and the appendix does not list, by clause: above all what is\n\
             a protocol error.\n\n",
        );
        table(&mut text, "clause", &list.unnumbered, tests);
    }
    text
}

fn table(text: &mut String, first: &str, statements: &[Statement], tests: &TestsByName) {
    let _ = writeln!(text, "| {first} | binds | says | shown by |\n|---|---|---|---|");
    for statement in statements {
        let Statement { id, binds, says, .. } = statement;
        let binds = format!("{binds:?}").to_lowercase();
        let shown = shown_by(statement, tests);
        let _ = writeln!(text, "| {id} | {binds} | {} | {shown} |", says.replace('|', "\\|"));
    }
}

fn score(list: &List) -> String {
    let bound = || list.statements.iter().filter(|statement| statement.binds != Binds::Client);
    let shown = bound().filter(|statement| !statement.tests.is_empty()).count();
    let open = bound().filter(|statement| statement.is_open()).count();
    let total = bound().count();
    format!(
        "Of {} statements {total} bind a server: {shown} are shown by tests, {} do not apply for a \
         reason that is given, {open} say \"not yet\".",
        list.statements.len(),
        total - shown - open,
    )
}

fn shown_by(statement: &Statement, tests: &TestsByName) -> String {
    let cell = |name: &String| match tests.find(name) {
        Found::One((file, test)) => format!("`{test}` in `{file}`"),
        _ => format!("`{name}`"),
    };
    let mut parts: Vec<String> = statement.tests.iter().map(cell).collect();
    parts.extend(statement.why.clone());
    match parts.is_empty() {
        true if statement.is_open() => "not yet".to_owned(),
        true => String::new(),
        false => parts.join("<br>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &str) -> List {
        toml::from_str(&format!("statements = [\n{rows}\n]")).unwrap()
    }

    const ONE: ids::Standard =
        ids::Standard { version: "0", page: "0.md", sections: &[("1.1.0", &[1..=2])] };

    fn row(id: &str, rest: &str) -> String {
        format!("{{ id = \"MQTT-1.1.0-{id}\", says = \"s\", {rest} }},\n")
    }

    #[test]
    fn a_statement_that_is_missing_twice_or_strange_is_named() {
        let check = |ids: &[&str], expect: &[&str]| {
            let rows: String = ids.iter().map(|id| row(id, "binds = \"both\"")).collect();
            assert_eq!(id_offences(&ONE, &list(&rows)), expect);
        };
        check(&["1", "2"], &[]);
        check(&["1"], &["MQTT-1.1.0-2 is missing"]);
        check(&["1", "2", "2"], &["MQTT-1.1.0-2 comes twice"]);
        check(&["1", "2", "3"], &["MQTT-1.1.0-3 is no statement of the standard"]);
        check(&["2", "1"], &["the statements are not in the order of the standard"]);
    }

    #[test]
    fn a_server_without_a_test_says_not_yet_and_a_client_says_nothing() {
        let rows = row("1", "binds = \"server\"")
            + &row("2", "binds = \"client\"")
            + &row("3", "binds = \"both\", why = \"because\"");
        let text = render("0", &list(&rows), &TestsByName::default());
        assert!(text.contains("| MQTT-1.1.0-1 | server | s | not yet |"), "{text}");
        assert!(text.contains("| MQTT-1.1.0-2 | client | s |  |"), "{text}");
        assert!(text.contains("| MQTT-1.1.0-3 | both | s | because |"), "{text}");
        assert!(text.contains("2 bind a server: 0 are shown by tests, 1 do not apply"), "{text}");
    }

    #[test]
    fn a_rule_without_a_number_stands_below_and_needs_a_test_or_a_reason() {
        let rules = row("9", "binds = \"server\"") + &row("8", "binds = \"both\", why = \"so\"");
        let list: List =
            toml::from_str(&format!("statements = []\nunnumbered = [\n{rules}\n]")).unwrap();
        assert_eq!(unnumbered_offences(&list), ["nothing shows the rule of MQTT-1.1.0-9"]);
        let text = render("0", &list, &TestsByName::default());
        let (_, below) = text.split_once("## Rules without a number").unwrap();
        assert!(below.contains("| clause |") && below.contains("| both | s | so |"), "{text}");
    }

    #[test]
    fn a_test_that_told_of_a_broken_rule_and_is_gone_is_named() {
        let mut tests = TestsByName::default();
        tests.add("a.rs", "#[test]\nfn there() {}");
        let page = "`prose`\n| 5.0: 1-1 | what | `there`<br>`gone` |\n";
        assert_eq!(unknown_tests(page, &tests).collect::<Vec<_>>(), ["gone"]);
    }

    #[test]
    fn the_standards_have_as_many_statements_as_their_appendices() {
        let counts: Vec<usize> = STANDARDS.iter().map(|standard| standard.ids().len()).collect();
        assert_eq!(counts, [141, 251]);
    }

    #[test]
    fn the_lists_are_whole_and_name_tests_that_exist() {
        assert_eq!(offences(&Workspace::locate().unwrap()).unwrap(), Vec::<String>::new());
    }
}
