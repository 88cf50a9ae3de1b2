//! Which of mosquitto's tests concern a broker.

/// The groups, by the number that their tests begin with, and what they are about. The others test
/// what is mosquitto's alone: bridges, plug-ins, its files, its signals.
pub(crate) const GROUPS: [(&str, &str); 9] = [
    ("01", "connecting"),
    ("02", "subscribing, delivery"),
    ("03", "publishing"),
    ("04", "retained messages"),
    ("05", "sessions"),
    ("07", "wills"),
    ("08", "TLS"),
    ("12", "properties of MQTT 5"),
    ("13", "malformed packets of MQTT 5"),
];

/// One test of the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The name of its file, without `.py`.
    pub(crate) name: String,
    /// How many ports it takes; it refuses more.
    pub(crate) ports: u16,
}

/// Returns the tests of our groups that mosquitto's own runner lists, as `    (1, './NAME.py'),`.
pub(crate) fn cases(runner: &str) -> Vec<Case> {
    runner.lines().filter_map(case).filter(|case| group(&case.name).is_some()).collect()
}

fn case(line: &str) -> Option<Case> {
    let (ports, rest) = line.trim().strip_prefix('(')?.split_once(", './")?;
    let (name, _) = rest.split_once(".py'")?;
    Some(Case { name: name.to_owned(), ports: ports.parse().ok()? })
}

/// Returns the number of the test's group, if it is one of ours.
pub(crate) fn group(name: &str) -> Option<&'static str> {
    GROUPS.iter().map(|(number, _)| *number).find(|number| name.starts_with(number))
}

#[test]
fn the_suites_catalogue_has_our_groups_and_no_comments() {
    let runner = "tests = [\n    #(ports required, 'path'),\n    (2, './01-connect-a.py'),\n\n    \
                  #(1, './03-b.py'),\n    (1, './06-bridge.py'),\n    (1, './13-c.py'),\n    ]\n";
    let case = |name: &str, ports| Case { name: name.to_owned(), ports };
    assert_eq!(cases(runner), [case("01-connect-a", 2), case("13-c", 1)]);
}
