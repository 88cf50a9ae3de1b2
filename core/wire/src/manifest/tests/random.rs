use proptest::prelude::*;

use super::*;

/// Pieces of manifests, right and wrong.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[hub]\n",
        "[limits]\n",
        "[[routes]]\n",
        "[routes]\n",
        "[devices.fan]\n",
        "[devices.\"a b\"]\n",
        "[functions.f]\n",
        "[functions]\n",
        "[listeners]\n",
        "[durability]\n",
        "[listeners.mqtt]\n",
        "name = \"a\"\n",
        "name = 3\n",
        "from = \"device:fan\"\n",
        "from = [\"function:f\", 1]\n",
        "from = []\n",
        "topic = \"a/#\"\n",
        "topic = \"#a\"\n",
        "to = \"function:f\"\n",
        "to = \"\"\n",
        "when = \"payload.x > 1\"\n",
        "when = '''\n\nä >'''\n",
        "when = \"\\u0041 >\"\n",
        "when = \"payload.\"\n",
        "runtime = \"python3\"\n",
        "runtime = \"x\"\n",
        "handler = \"a.b\"\n",
        "code = \"f\"\n",
        "code = \"../f\"\n",
        "memory = \"64MiB\"\n",
        "memory = 64\n",
        "timeout = \"99999999999999999999s\"\n",
        "max_hops = 16\n",
        "max_hops = -1\n",
        "max_hops = 0xfff\n",
        "mode = \"process\"\n",
        "mode = \"pinned\"\n",
        "bind = \"[::1]:1\"\n",
        "anonymous = true\n",
        "mqtts = false\n",
        "mqtts = { bind = \"x\" }\n",
        "environment = { PATH = \"x\", \"\" = \"\" }\n",
        "workers = { reserve = 3, max = 1 }\n",
        "workers.reserve = \"auto\"\n",
        "on_unavailable = { hold = \"0s\", max = 1 }\n",
        "allow_cycle = true\n",
        "x = 1979-05-27\n",
        "y = 1.5\n",
        "= \n",
        "\"\"\"",
        "'",
        "\t\u{e4} = 1\n",
        "# comment\n",
        "\r\n",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn check_diagnostics(text: &str) -> Result<(), TestCaseError> {
    if let Err(diagnostics) = parse(text, "tomte.toml") {
        prop_assert!(!diagnostics.0.is_empty());
        for found in &diagnostics.0 {
            let line = text.split('\n').nth(found.line - 1).unwrap_or_default();
            prop_assert_eq!(line.trim_end_matches('\r'), &found.source_line);
            prop_assert!(found.column <= line.chars().count() + 1, "{:?}", found);
            prop_assert!(!found.message.is_empty() && found.length > 0);
        }
        let _ = diagnostics.to_string();
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,80}|[ -~\n\t]{0,80}") {
        check_diagnostics(&text)?;
    }

    #[test]
    fn any_pieces_are_parsed_or_refused(text in pieces()) {
        check_diagnostics(&text)?;
    }

    #[test]
    fn a_damaged_manifest_is_parsed_or_refused(
        at in 0..GREENHOUSE.len(),
        length in 0_usize..20,
        with in "\\PC{0,5}",
    ) {
        let end = (at + length).min(GREENHOUSE.len());
        let text = format!("{}{with}{}", &GREENHOUSE[..at], &GREENHOUSE[end..]);
        check_diagnostics(&text)?;
    }
}

#[test]
fn deep_and_long_texts_do_not_exhaust_the_stack() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{} = 1", "a.".repeat(100_000) + "a"),
        format!("[{}]", "a.".repeat(100_000) + "a"),
    ] {
        assert!(parse(&text, "").is_err());
    }
}
