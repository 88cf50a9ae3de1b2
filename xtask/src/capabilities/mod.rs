//! `docs/capabilities.md`: every capability with the tests that prove it, or "not yet".
//!
//! The list of capabilities is `docs/capabilities.toml`. A test claims one in its doc comment:
//! `/// Proves: EVT-5, EVT-9.`, or `/// Proves a part of: MQT-1.` The document is generated from both; `tidy` refuses it when it is not
//! what they would generate, and refuses claims of capabilities that are not in the list.

mod proofs;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use proofs::Proof;
use serde::Deserialize;

use crate::workspace::Workspace;

const LIST: &str = "docs/capabilities.toml";
const DOCUMENT: &str = "docs/capabilities.md";

/// The capabilities by area, as `docs/capabilities.toml` has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    area: Vec<Area>,
}

/// The capabilities of one area.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    title: String,
    /// Pairs of id and text.
    rows: Vec<(String, String)>,
}

impl List {
    fn ids(&self) -> impl Iterator<Item = &str> {
        self.area.iter().flat_map(|area| area.rows.iter().map(|(id, _)| id.as_str()))
    }
}

/// Writes the document anew.
///
/// # Errors
/// Fails when the list or a source file cannot be read, or the document not written.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let (list, proofs) = read(workspace)?;
    let text = render(&list, &proofs);
    fs::write(workspace.path(DOCUMENT), text).with_context(|| format!("write {DOCUMENT}"))?;
    println!("{DOCUMENT}: {}", score(&list, &proofs));
    Ok(())
}

/// Returns a sentence for each claim of an unknown capability, and one when the document is stale.
///
/// # Errors
/// Fails when the list, the document or a source file cannot be read.
pub(crate) fn offences(workspace: &Workspace) -> Result<Vec<String>> {
    let (list, proofs) = read(workspace)?;
    let mut offences = claim_offences(&list, &proofs);
    if workspace.read(DOCUMENT)? != render(&list, &proofs) {
        offences.push(format!("{DOCUMENT} is stale; run `cargo xtask capabilities`"));
    }
    Ok(offences)
}

fn read(workspace: &Workspace) -> Result<(List, Vec<Proof>)> {
    let list: List =
        toml::from_str(&workspace.read(LIST)?).with_context(|| format!("read {LIST}"))?;
    let mut proofs = Vec::new();
    for file in workspace.rust_files()? {
        proofs.extend(proofs::of_rust_file(&file, &workspace.read(&file)?));
    }
    Ok((list, proofs))
}

fn claim_offences(list: &List, proofs: &[Proof]) -> Vec<String> {
    let ids: HashSet<&str> = list.ids().collect();
    let mut offences = Vec::new();
    if ids.len() != list.ids().count() {
        offences.push(format!("{LIST} has an id twice"));
    }
    for proof in proofs {
        for id in proof.ids.iter().chain(&proof.parts).filter(|id| !ids.contains(id.as_str())) {
            let Proof { file, test, .. } = proof;
            offences.push(format!("{file}: {test} claims {id}, which is not in {LIST}"));
        }
    }
    offences
}

fn score(list: &List, proofs: &[Proof]) -> String {
    let count = |claimed: fn(&Proof, &str) -> bool| {
        list.ids().filter(|id| proofs.iter().any(|proof| claimed(proof, id))).count()
    };
    let (proven, touched) = (count(Proof::proves), count(Proof::touches));
    format!("{proven} of {} proven, {} more in part", list.ids().count(), touched - proven)
}

fn render(list: &List, proofs: &[Proof]) -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask capabilities` from capabilities.toml and the tests. -->\n\
         # Capabilities\n\n\
         What Tomte shall be able to do, and the tests that prove it so far. The ids are stable. A\n\
         test carries the ids that it proves in its doc comment.\n",
    );
    let _ = writeln!(text, "\n{}; the others say \"not yet\".", score(list, proofs));
    for area in &list.area {
        let _ = write!(text, "\n## {}\n\n| id | capability | tests |\n|---|---|---|\n", area.title);
        for (id, capability) in &area.rows {
            let _ = writeln!(text, "| {id} | {capability} | {} |", tests_cell(id, proofs));
        }
    }
    text
}

fn tests_cell(id: &str, proofs: &[Proof]) -> String {
    let tests = proofs.iter().filter(|proof| proof.touches(id));
    let name = |proof: &Proof| format!("`{}` in `{}`", proof.test, proof.file);
    let names: Vec<String> = tests.map(name).collect();
    if names.is_empty() {
        return "not yet".to_owned();
    }
    let whole = proofs.iter().any(|proof| proof.proves(id));
    format!("{}{}", if whole { "" } else { "in part: " }, names.join("<br>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        toml::from_str(
            "[[area]]\ntitle = \"Routes\"\nrows = [[\"EVT-1\", \"routed\"], [\"EVT-2\", \"told apart\"], [\"EVT-3\", \"changed\"]]\n",
        )
        .unwrap()
    }

    fn proof(test: &str, ids: &[&str]) -> Proof {
        Proof {
            file: "a.rs".to_owned(),
            test: test.to_owned(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            parts: vec!["EVT-3".to_owned()],
        }
    }

    #[test]
    fn a_row_names_its_tests_or_says_not_yet() {
        let text = render(&list(), &[proof("one", &["EVT-1"]), proof("two", &["EVT-1"])]);
        assert!(text.contains("| EVT-1 | routed | `one` in `a.rs`<br>`two` in `a.rs` |"), "{text}");
        assert!(text.contains("| EVT-2 | told apart | not yet |"), "{text}");
        let part = "| EVT-3 | changed | in part: `one` in `a.rs`<br>`two` in `a.rs` |";
        assert!(text.contains(part), "{text}");
        assert!(text.contains("1 of 3 proven, 1 more in part"), "{text}");
    }

    #[test]
    fn a_claim_of_an_unknown_capability_is_refused() {
        let offences = claim_offences(&list(), &[proof("one", &["EVT-1", "EVT-99"])]);
        let expect = "a.rs: one claims EVT-99, which is not in docs/capabilities.toml";
        assert_eq!(offences, [expect]);
    }

    #[test]
    fn the_document_is_in_step_with_the_list_and_the_tests() {
        assert_eq!(offences(&Workspace::locate().unwrap()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_tests_that_the_document_names_exist_and_carry_the_id() {
        let workspace = Workspace::locate().unwrap();
        let document = workspace.read(DOCUMENT).unwrap();
        for row in document.lines().filter(|line| line.starts_with("| ") && line.contains("` in `"))
        {
            let mut cells = row.split(" | ");
            let id = cells.next().unwrap().trim_start_matches("| ");
            let names: Vec<&str> = cells.nth(1).unwrap().split('`').skip(1).step_by(2).collect();
            for pair in names.chunks(2) {
                let source = workspace.read(pair[1]).unwrap();
                let proofs = proofs::of_rust_file(pair[1], &source);
                let carries = |proof: &Proof| proof.test == pair[0] && proof.touches(id);
                assert!(proofs.iter().any(carries), "{id}: {pair:?}");
            }
        }
    }
}
