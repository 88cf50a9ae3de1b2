//! Finds the tests that claim a capability, line by line; no parser is needed for doc comments.

/// A test and the capabilities that its doc comment claims.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The file, relative to the root of the workspace.
    pub(super) file: String,
    /// The name of the function.
    pub(super) test: String,
    /// The claimed ids, in the order of the comment.
    pub(super) ids: Vec<String>,
    /// Those of which it proves a part only.
    pub(super) parts: Vec<String>,
}

impl Proof {
    /// Tells whether the test claims `id`, all of it or a part.
    pub(super) fn touches(&self, id: &str) -> bool {
        self.ids.iter().chain(&self.parts).any(|claimed| claimed == id)
    }

    /// Tells whether the test claims all of `id`.
    pub(super) fn proves(&self, id: &str) -> bool {
        self.ids.iter().any(|claimed| claimed == id)
    }
}

/// Returns the tests of `source` that claim a capability, in order.
pub(super) fn of_rust_file(file: &str, source: &str) -> Vec<Proof> {
    let mut proofs = Vec::new();
    let mut head = Head::default();
    for line in source.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            head.comment.push_str(comment);
            head.comment.push('\n');
        } else if line.starts_with("#[") {
            head.is_test |= line.contains("test]") || line.contains("test(");
        } else {
            if let (true, Some(test)) = (head.is_test, function_name(line)) {
                let (ids, mut parts) = claimed_ids(&head.comment, "Proves:");
                let (more, limited) = claimed_ids(&head.comment, "Proves a part of:");
                parts.extend(more.into_iter().chain(limited));
                if !ids.is_empty() || !parts.is_empty() {
                    proofs.push(Proof { file: file.to_owned(), test, ids, parts });
                }
            }
            head = Head::default();
        }
    }
    proofs
}

/// What stands above an item.
#[derive(Default)]
struct Head {
    comment: String,
    is_test: bool,
}

fn function_name(line: &str) -> Option<String> {
    let rest = line.strip_prefix("pub ").unwrap_or(line);
    let rest = rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")?;
    let name: String =
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// Returns the ids after each `mark`, up to the end of the sentence; it may go over lines. Those with
/// a remark in parentheses, `SCH-9 (memory)`, come second: they are claimed with that limit.
fn claimed_ids(comment: &str, mark: &str) -> (Vec<String>, Vec<String>) {
    let (mut whole, mut limited) = (Vec::new(), Vec::new());
    for claim in comment.split(mark).skip(1) {
        let sentence = claim.split('.').next().unwrap_or_default();
        let words = sentence.split(|c: char| c == ',' || c.is_whitespace());
        let mut words = words.filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            if is_id(word) {
                let is_limited = words.peek().is_some_and(|next| next.starts_with('('));
                let ids = if is_limited { &mut limited } else { &mut whole };
                ids.push(word.to_owned());
            }
        }
    }
    (whole, limited)
}

/// Tells whether `word` has the form of an id: three capitals or digits, a dash, a number.
fn is_id(word: &str) -> bool {
    let Some((area, number)) = word.split_once('-') else { return false };
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    area.len() == 3
        && area.chars().all(capital)
        && number.parse::<u32>().is_ok_and(|number| number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expect: &[(&str, &[&str])]) {
        let found = of_rust_file("a.rs", source);
        let found: Vec<(&str, Vec<&str>)> = found
            .iter()
            .map(|proof| (proof.test.as_str(), proof.ids.iter().map(String::as_str).collect()))
            .collect();
        let expect: Vec<(&str, Vec<&str>)> =
            expect.iter().map(|(test, ids)| (*test, ids.to_vec())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn claims_are_read_from_the_doc_comment_of_a_test() {
        check(
            "/// Says more. Proves: EVT-5, GG1-1.\n#[test]\nfn a_threshold_decides() {}\n\
             \n    /// Proves: MQT-1,\n    /// MQT-2.\n    #[tokio::test]\n    async fn kept() {}\n",
            &[("a_threshold_decides", &["EVT-5", "GG1-1"]), ("kept", &["MQT-1", "MQT-2"])],
        );
    }

    #[test]
    fn a_claim_of_a_part_is_told_apart() {
        let source = "/// Proves: EVT-5, SCH-9 (memory, no more).\n/// Proves a part of: MQT-1.\n\
                      #[test]\nfn some() {}\n";
        let found = &of_rust_file("a.rs", source)[0];
        assert_eq!(found.ids, ["EVT-5"]);
        assert_eq!(found.parts, ["SCH-9", "MQT-1"]);
    }

    #[test]
    fn what_is_no_test_claims_nothing() {
        check("/// Proves: EVT-5.\nfn helper() {}\n#[test]\nfn claims_nothing() {}\n", &[]);
    }

    #[test]
    fn an_ignored_test_keeps_its_claim() {
        check(
            "/// Proves: OFF-1.\n#[test]\n#[ignore = \"needs root\"]\nfn reboots() {}\n",
            &[("reboots", &["OFF-1"])],
        );
    }
}
