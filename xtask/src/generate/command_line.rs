//! The help of every command as one page.

use anyhow::Result;

const HEAD: &str = "\
<!-- Written by `cargo xtask generate` from the help of the program. -->
# Command line

Every command has `--help` and `-o json`.
";

/// Returns the page; `print` runs the program with arguments and returns what it prints.
///
/// # Errors
/// Fails when `print` does.
pub(super) fn page(print: &dyn Fn(&[&str]) -> Result<String>) -> Result<String> {
    let main = print(&["--help"])?;
    let mut text = format!("{HEAD}\n```text\n{}\n```\n", without_spaces_at_ends(&main));
    for verb in verbs(&main) {
        let help = without_spaces_at_ends(&print(&[&verb, "--help"])?);
        // The options that every command has are told once, above.
        let help = help.split("\nGlobal options:").next().unwrap_or_default().trim_end();
        text += &format!("\n## tomte {verb}\n\n```text\n{help}\n```\n");
    }
    Ok(text)
}

fn without_spaces_at_ends(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Returns the first word of each line below `Commands:`.
fn verbs(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let lines = commands.take_while(|line| line.starts_with("  "));
    // A line that goes on is indented further.
    let verbs = lines.filter(|line| !line.starts_with("    "));
    verbs.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "A hub\n\nUsage: tomte\n\nCommands:\n  new   Make a project\n  device  Devices,\n          many of them\n\nOptions:\n  -h  Help\n";

    #[test]
    fn verbs_are_the_first_words_below_commands() {
        assert_eq!(verbs(HELP), ["new", "device"]);
    }

    #[test]
    fn the_page_has_a_chapter_for_each_verb_without_what_all_have() {
        let print = |arguments: &[&str]| {
            Ok(match arguments {
                ["--help"] => HELP.to_owned(),
                [verb, _] => format!("About {verb}  \n\nGlobal options:\n  -o\n"),
                _ => String::new(),
            })
        };
        let page = page(&print).unwrap();
        assert!(page.contains("## tomte new\n\n```text\nAbout new\n```\n"), "{page}");
        assert!(page.contains("## tomte device\n"), "{page}");
    }
}
