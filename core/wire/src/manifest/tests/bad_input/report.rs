//! How errors are told: in order, bounded, under the right column.

use super::*;

#[test]
fn the_errors_of_one_file_are_told_at_once_and_in_its_order() {
    let text = GREENHOUSE
        .replace("\"greenhouse\"", "\"green house\"")
        .replace("device:thermometer", "device:thermomter")
        .replace("\"64MiB\"", "\"64Mb\"")
        .replace("celsius > 28", "celsius >> 28");
    let keys: Vec<String> =
        parse(&text, "").unwrap_err().0.into_iter().map(|found| found.key).collect();
    assert_eq!(keys, ["hub.name", "functions.regulate.memory", "routes[0].from", "routes[0].when"]);
}

#[test]
fn the_number_of_errors_is_bounded() {
    let text = "x = 1\n".replace('x', "k");
    let many: String = (0..80).map(|n| text.replace('k', &format!("k{n}"))).collect();
    assert_eq!(parse(&many, "").unwrap_err().0.len(), 50);
}

#[test]
fn errors_travel_as_json_and_as_a_problem() {
    let diagnostics = parse("[hub]\nnam = \"x\"\n", "tomte.toml").unwrap_err();
    let json = serde_json::to_string(&diagnostics).unwrap();
    let back: Diagnostics = serde_json::from_str(&json).unwrap();
    assert_eq!(back, diagnostics);
    expect![[r#"[{"file":"tomte.toml","line":2,"column":1,"length":3,"key":"hub","message":"there is no key \"nam\" here","expected":"name","help":"did you mean \"name\"?","source_line":"nam = \"x\""}]"#]].assert_eq(&json);
    let problem = Problem::from(&diagnostics);
    assert_eq!(problem.reason, "bad_manifest");
    assert!(problem.message.contains("tomte.toml:2:1"), "{}", problem.message);
    assert_eq!(problem.help, "did you mean \"name\"?");
}

#[test]
fn a_tab_keeps_its_width_below_the_line() {
    check(
        "[hub]\n\tnam = \"x\"\n",
        expect![[r#"
        error: hub: there is no key "nam" here
         --> tomte.toml:2:2
          |
        2 | 	nam = "x"
          | 	^^^
          = expected: name
          = help: did you mean "name"?
    "#]],
    );
}
