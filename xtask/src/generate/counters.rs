//! The counters of the hub as a table, from their declaration.

use std::fmt::Write;

/// Returns the table for `source`, the module that declares the counters.
pub(super) fn page(source: &str) -> String {
    let mut text = String::from("| counter | counts |\n|---|---|\n");
    let mut comment = "";
    for line in source.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("/// ") {
            comment = more;
        } else if let Some((_, name)) = line.split_once(" => \"tomte_") {
            let name = name.trim_end_matches("\",").replace("\\\"", "\"");
            let _ = writeln!(text, "| `tomte_{name}` | {comment} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_counter_is_a_row() {
        let source = "counters! {\n    /// Gone, by reason.\n    Drop => \"tomte_drops{reason=\\\"full\\\"}\",\n}";
        let page = super::page(source);
        assert!(
            page.ends_with("| `tomte_drops{reason=\"full\"}` | Gone, by reason. |\n"),
            "{page}"
        );
    }
}
