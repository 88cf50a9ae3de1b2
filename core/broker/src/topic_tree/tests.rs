use proptest::prelude::*;
use tomte_base::{MAX_TOPIC_LEVELS, topic_matches};

use super::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn tree(filters: &[&str]) -> TopicTree<usize, ()> {
    let mut tree = TopicTree::new(0);
    for (key, text) in filters.iter().enumerate() {
        tree.insert(&filter(text), key, ());
    }
    tree
}

fn keys(tree: &TopicTree<usize, ()>, topic: &str) -> Vec<usize> {
    let mut keys = Vec::new();
    tree.matches(topic, |key, ()| keys.push(key));
    keys.sort_unstable();
    keys
}

/// Checks which of `filters` match `topic`.
fn check(filters: &[&str], topic: &str, expect: &[&str]) {
    let found: Vec<_> = keys(&tree(filters), topic).into_iter().map(|key| filters[key]).collect();
    assert_eq!(found, expect, "{topic}");
}

/// Proves: EVT-9.
#[test]
fn wildcards_match_as_the_standard_lists_them() {
    // The examples of MQTT 5, 4.7.1.2, 4.7.1.3 and 4.7.2.
    let sport = ["sport/tennis/player1/#", "sport/#", "sport/+", "sport/tennis/+", "#", "+"];
    check(&sport, "sport/tennis/player1", &[sport[0], sport[1], sport[3], sport[4]]);
    check(&sport, "sport/tennis/player1/score/wimbledon", &[sport[0], sport[1], sport[4]]);
    check(&sport, "sport", &["sport/#", "#", "+"]);
    check(&sport, "sport/", &["sport/#", "sport/+", "#"]);
    check(&["+/+", "/+", "+"], "/finance", &["+/+", "/+"]);
}

/// Proves: EVT-9.
#[test]
fn leading_wildcards_do_not_match_dollar_topics() {
    let filters = ["#", "+/monitor/Clients", "$SYS/#", "$SYS/monitor/+", "$SYS/+/Clients", "+/#"];
    check(&filters, "$SYS/monitor/Clients", &["$SYS/#", "$SYS/monitor/+", "$SYS/+/Clients"]);
    check(&["a/+", "a/#", "+/$x"], "a/$x", &["a/+", "a/#", "+/$x"]);
    check(&["#", "+"], "$", &[]);
}

#[test]
fn a_key_with_several_matching_filters_is_visited_once_for_each() {
    let mut tree = TopicTree::new(0);
    for (value, text) in ["a/b", "a/+", "a/#", "#"].into_iter().enumerate() {
        tree.insert(&filter(text), "key", value);
    }
    let mut values = Vec::new();
    tree.matches("a/b", |key, value| values.push((key, *value)));
    values.sort_unstable();
    assert_eq!(values, [("key", 0), ("key", 1), ("key", 2), ("key", 3)]);
}

#[test]
fn the_order_of_visits_does_not_depend_on_the_order_of_adding() {
    let filters = ["#", "a/#", "a/b", "a/+", "+/b", "+/+", "b"];
    let order = |adding: &mut dyn Iterator<Item = usize>| {
        let mut tree = TopicTree::new(0);
        for key in adding {
            tree.insert(&filter(filters[key % 7]), key, ());
        }
        let mut seen = Vec::new();
        tree.matches("a/b", |key, ()| seen.push(key));
        seen
    };
    let ascending = order(&mut (0..21));
    assert_eq!(ascending.len(), 18);
    assert_eq!(ascending, order(&mut (0..21).rev()));
}

#[test]
fn the_generation_grows_with_each_change_and_only_then() {
    let mut tree = TopicTree::new(0);
    let mut last = tree.generation();
    let mut grew = |tree: &TopicTree<u8, u8>| {
        let before = std::mem::replace(&mut last, tree.generation());
        tree.generation() > before
    };
    assert_eq!(tree.insert(&filter("a"), 1, 1), None);
    assert!(grew(&tree));
    assert_eq!(tree.insert(&filter("a"), 1, 2), Some(1));
    assert!(grew(&tree));
    assert_eq!(tree.remove(&filter("a"), 2), None);
    assert_eq!(tree.remove(&filter("a/b"), 1), None);
    tree.matches("a", |_, _| {});
    assert!(!grew(&tree));
    assert_eq!(tree.remove(&filter("a"), 1), Some(2));
    assert!(grew(&tree));
}

#[test]
fn removal_takes_away_all_empty_nodes() {
    let filters = ["a/b/c/d", "a/+/c", "a/b/#", "+/+/+", "#", "a/b", "/", "$x/y"];
    let mut tree = tree(&filters);
    for (key, text) in filters.iter().enumerate() {
        assert_eq!(tree.remove(&filter(text), key), Some(()));
        assert_eq!(tree.remove(&filter(text), key), None);
    }
    assert!(tree.is_empty());
    assert_eq!(tree.levels.len(), 1);
}

#[test]
fn a_session_that_ends_leaves_nothing_behind() {
    let mut tree = TopicTree::new(0);
    let filters: Vec<_> = (0..50).map(|n| filter(&format!("a/{n}/+"))).collect();
    for filter in &filters {
        tree.insert(filter, 1, ());
        tree.insert(filter, 2, ());
    }
    tree.remove_key(1, filters.iter());
    assert_eq!(tree.len(), 50);
    tree.remove_key(2, filters.iter());
    assert_eq!((tree.len(), tree.levels.len()), (0, 1));
}

#[test]
fn filters_at_the_level_limit_are_matched() {
    let deep = "/".repeat(MAX_TOPIC_LEVELS - 1);
    let plus = vec!["+"; MAX_TOPIC_LEVELS].join("/");
    let hash = "/".repeat(MAX_TOPIC_LEVELS - 1) + "#";
    let tree = tree(&[&deep, &plus, &hash]);
    assert_eq!(keys(&tree, &deep), [0, 1, 2]);
    assert_eq!(keys(&tree, &"/".repeat(MAX_TOPIC_LEVELS)), [2]);
    assert_eq!(keys(&tree, &"/".repeat(60_000)), [2]);
}

/// One step against the tree, with numbers that stand for filters, keys and topics.
#[derive(Clone, Debug)]
enum Step {
    Insert(String, u8, u16),
    Remove(String, u8),
    Match(String),
}

fn topics(wild: bool) -> impl Strategy<Value = String> {
    let level = if wild { "[ab$+]|" } else { "[ab$]|" };
    let tail = if wild { "(/#)?" } else { "" };
    let joined = (prop::collection::vec(level, 1..4), tail).prop_map(|(l, t)| l.join("/") + &t);
    let text = joined.prop_filter("topics have a character", |topic| !topic.is_empty());
    let hash = if wild { "#" } else { "$" };
    prop_oneof![8 => text, 1 => Just(hash.to_owned())]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (topics(true), 0..4u8, any::<u16>()).prop_map(|(f, k, v)| Step::Insert(f, k, v)),
        3 => (topics(true), 0..4u8).prop_map(|(f, k)| Step::Remove(f, k)),
        3 => topics(false).prop_map(Step::Match),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_tree_behaves_as_a_list_of_filters(steps in steps()) {
        let mut tree = TopicTree::new(0);
        let mut model: Vec<(String, u8, u16)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(text, key, value) => {
                    let old = remove_from(&mut model, &text, key);
                    model.push((text.clone(), key, value));
                    prop_assert_eq!(tree.insert(&filter(&text), key, value), old);
                    prop_assert_eq!(tree.get(&filter(&text), key), Some(&value));
                }
                Step::Remove(text, key) => {
                    let old = remove_from(&mut model, &text, key);
                    prop_assert_eq!(tree.remove(&filter(&text), key), old);
                    prop_assert_eq!(tree.get(&filter(&text), key), None);
                }
                Step::Match(topic) => {
                    let mut found = Vec::new();
                    tree.matches(&topic, |key, value| found.push((key, *value)));
                    found.sort_unstable();
                    prop_assert_eq!(found, matching(&model, &topic));
                }
            }
            prop_assert_eq!(tree.len(), model.len());
        }
        for (text, key, value) in model {
            prop_assert_eq!(tree.remove(&filter(&text), key), Some(value));
        }
        prop_assert_eq!(tree.levels.len(), 1, "empty nodes are left");
    }
}

fn remove_from(model: &mut Vec<(String, u8, u16)>, text: &str, key: u8) -> Option<u16> {
    let at = model.iter().position(|(t, k, _)| t == text && *k == key)?;
    Some(model.swap_remove(at).2)
}

fn matching(model: &[(String, u8, u16)], topic: &str) -> Vec<(u8, u16)> {
    let matched = model.iter().filter(|(text, ..)| topic_matches(text, topic));
    let mut found: Vec<_> = matched.map(|(_, key, value)| (*key, *value)).collect();
    found.sort_unstable();
    found
}
