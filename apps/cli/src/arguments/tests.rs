use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use expect_test::{expect, expect_file};

use super::*;

fn help_of(words: &[&str]) -> String {
    let words = ["tomte"].iter().chain(words).chain(&["--help"]);
    let command = Arguments::command().term_width(100);
    command.try_get_matches_from(words).unwrap_err().to_string()
}

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

fn error_of(line: &str) -> String {
    parse(line).unwrap_err().to_string()
}

#[test]
fn the_definitions_are_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn the_help_of_every_verb_is_as_it_was_read_last() {
    expect_file!["help/tomte.txt"].assert_eq(&help_of(&[]));
    for verb in Arguments::command().get_subcommands() {
        let name = verb.get_name();
        let inner = verb.get_subcommands().map(|inner| help_of(&[name, inner.get_name()]));
        let text =
            [help_of(&[name])].into_iter().chain(inner).collect::<Vec<_>>().join("\n---\n\n");
        expect_file![format!("help/{name}.txt")].assert_eq(&text);
    }
}

#[test]
fn every_verb_shows_an_example() {
    let root = Arguments::command();
    for verb in root.get_subcommands() {
        let example = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let name = verb.get_name();
        assert!(example.contains(&format!("tomte {name}")), "{name}: {example}");
        for inner in verb.get_subcommands() {
            let example = inner.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(&format!("tomte {name} {}", inner.get_name())), "{example}");
        }
    }
}

#[test]
fn global_options_stand_before_or_after_the_verb() {
    for line in ["tomte -o json --state /s status", "tomte status --state /s -o json"] {
        let global = parse(line).unwrap().global;
        assert_eq!(global.output, Format::Json, "{line}");
        assert_eq!(global.state, Some("/s".into()), "{line}");
    }
}

#[test]
fn what_is_not_understood_is_a_usage_error() {
    for line in [
        "tomte",
        "tomte fly",
        "tomte send topic",
        "tomte send topic {} --as x --qos 3",
        "tomte demo --for 10",
        "tomte demo --for soon",
        "tomte status -o yaml",
    ] {
        let error = parse(line).unwrap_err();
        let exit = if error.kind() == ErrorKind::DisplayHelp { 0 } else { 2 };
        assert_eq!(error.exit_code(), exit, "{line}");
        assert_eq!(exit, 2, "{line}");
    }
}

#[test]
fn usage_errors_say_what_was_expected() {
    expect![[r#"
        error: invalid value 'soon' for '--for <TIME>': "soon" does not start with a number

        For more information, try '--help'.
    "#]]
    .assert_eq(&error_of("tomte demo --for soon"));
    expect![[r#"
        error: unrecognized subcommand 'stat'

          tip: a similar subcommand exists: 'status'

        Usage: tomte [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]]
    .assert_eq(&error_of("tomte stat"));
    expect![[r#"
        error: the following required arguments were not provided:
          --as <NAME>

        Usage: tomte send --as <NAME> <TOPIC> <PAYLOAD>

        For more information, try '--help'.
    "#]]
    .assert_eq(&error_of("tomte send sensors/1 {}"));
}

#[test]
fn completion_and_man_pages_come_from_the_same_definitions() {
    let mut script = Vec::new();
    clap_complete::generate(
        clap_complete::Shell::Bash,
        &mut Arguments::command(),
        "tomte",
        &mut script,
    );
    let script = String::from_utf8(script).unwrap();
    assert!(script.contains("doctor"), "{script}");
    let folder = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(Arguments::command(), folder.path()).unwrap();
    let page = std::fs::read_to_string(folder.path().join("tomte-why.1")).unwrap();
    assert!(page.contains("hop by hop"), "{page}");
}
