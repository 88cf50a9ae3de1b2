use proptest::prelude::*;

use super::*;

fn item(what: &str, kind: Kind, fields: &[(&str, &str)]) -> Item {
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Item { what: what.to_owned(), kind, fields: fields.collect() }
}

fn function(name: &str, fields: &[(&str, &str)]) -> Item {
    item(&format!("functions.{name}"), Kind::Function(FunctionName::new(name).unwrap()), fields)
}

fn device(name: &str) -> Item {
    item(&format!("devices.{name}"), Kind::Device(DeviceName::new(name).unwrap()), &[])
}

/// Routes in order, each as name (may be empty), topic, destination.
fn routes(rows: &[(&str, &str, &str)]) -> Desired {
    let route = |(at, (name, topic, to)): (usize, &(&str, &str, &str))| {
        let label = if name.is_empty() {
            format!("routes[{at}]")
        } else {
            format!("routes[{at}] {name:?}")
        };
        let name = (!name.is_empty()).then(|| (*name).to_owned());
        item(&label, Kind::Route(name), &[("topic", topic), ("to", to)])
    };
    Desired { sections: rows.iter().enumerate().map(route).collect() }
}

fn check(installed: &Desired, desired: &Desired, expect: &str) {
    assert_eq!(plan(desired, Some(installed)).to_string(), expect);
}

fn effects_between(installed: Item, desired: Item) -> Vec<Effect> {
    let one = |item| Desired { sections: vec![item] };
    let plan = plan(&one(desired), Some(&one(installed)));
    plan.effects().into_iter().cloned().collect()
}

#[test]
fn the_first_deployment_adds_everything() {
    let desired = Desired { sections: vec![device("fan"), function("f", &[("memory", "64MiB")])] };
    let plan = plan(&desired, None);
    assert_eq!(plan.to_string(), "+ devices.fan\n+ functions.f\n    memory: 64MiB\n");
    assert!(plan.changes.iter().all(|change| change.kind == ChangeKind::Add));
}

#[test]
fn an_equal_configuration_changes_nothing() {
    let mut desired =
        routes(&[("a", "x", "device:fan"), ("", "x", "device:fan"), ("", "x", "device:fan")]);
    desired.sections.push(function("f", &[("memory", "64MiB")]));
    assert!(plan(&desired, Some(&desired)).is_empty());
}

#[test]
fn a_change_names_the_keys_with_old_and_new() {
    let old = Desired { sections: vec![function("f", &[("memory", "64MiB"), ("timeout", "3s")])] };
    let new = Desired {
        sections: vec![function(
            "f",
            &[("memory", "128MiB"), ("timeout", "3s"), ("result_topic", "a")],
        )],
    };
    check(&old, &new, "~ functions.f\n    memory: 64MiB -> 128MiB\n    result_topic: none -> a\n");
    check(&new, &old, "~ functions.f\n    memory: 128MiB -> 64MiB\n    result_topic: a -> none\n");
}

#[test]
fn what_goes_comes_last_and_in_reverse() {
    let old = Desired { sections: vec![device("fan"), device("lamp"), function("f", &[])] };
    let new = Desired { sections: vec![device("lamp"), device("valve")] };
    check(&old, &new, "+ devices.valve\n- functions.f\n- devices.fan\n");
}

#[test]
fn environments_are_hidden_and_digests_shortened() {
    let digest = |letter: &str| letter.repeat(DIGEST_DIGITS);
    let with = |code: &str, token: &str| Desired {
        sections: vec![function("f", &[("code", code), ("environment.TOKEN", token)])],
    };
    let expect = "~ functions.f\n    code: aaaaaaaaaaaa... -> bbbbbbbbbbbb...\n    environment.TOKEN: (hidden) -> (hidden)\n";
    check(&with(&digest("a"), "one"), &with(&digest("b"), "two"), expect);
}

#[test]
fn a_route_put_in_front_does_not_change_those_behind_it() {
    let old = routes(&[("hot", "t", "function:f"), ("", "a", "device:fan")]);
    let new =
        routes(&[("", "log", "subscribers"), ("hot", "t", "function:f"), ("", "a", "device:fan")]);
    check(&old, &new, "+ routes[0]\n    to: subscribers\n    topic: log\n");
    check(&new, &old, "- routes[0]\n");
}

#[test]
fn routes_that_change_places_say_so() {
    let old = routes(&[("a", "x", "s"), ("b", "y", "s"), ("c", "z", "s")]);
    let new = routes(&[("c", "z", "s"), ("a", "x", "s"), ("b", "y", "s")]);
    check(&old, &new, "~ routes[0] \"c\"\n    place: 2 -> 0\n");
}

#[test]
fn a_nameless_route_is_known_by_topic_and_destination() {
    let mut old = routes(&[("", "t", "function:f"), ("", "t", "device:fan")]);
    old.sections[1].fields.insert("when".into(), "payload.x > 1".into());
    let mut new = old.clone();
    new.sections[1].fields.insert("when".into(), "payload.x > 2".into());
    check(&old, &new, "~ routes[1]\n    when: payload.x > 1 -> payload.x > 2\n");
}

#[test]
fn code_and_environment_need_new_workers_and_limits_of_calls_do_not() {
    let name = FunctionName::new("f").unwrap();
    let (workers, calls) = (Effect::Workers(name.clone()), Effect::Calls(name));
    for (key, expect) in [
        ("code", vec![workers.clone()]),
        ("runtime", vec![workers.clone()]),
        ("handler", vec![workers.clone()]),
        ("memory", vec![workers.clone()]),
        ("mode", vec![workers.clone()]),
        ("environment.A", vec![workers.clone()]),
        ("timeout", vec![calls.clone()]),
        ("priority", vec![calls.clone()]),
        ("workers.max", vec![calls.clone()]),
        ("result_topic", vec![calls.clone()]),
    ] {
        let found = effects_between(function("f", &[(key, "1")]), function("f", &[(key, "2")]));
        assert_eq!(found, expect, "{key}");
    }
    let both = effects_between(
        function("f", &[("code", "1"), ("timeout", "1s")]),
        function("f", &[("code", "2"), ("timeout", "2s")]),
    );
    assert_eq!(both, [workers, calls]);
}

#[test]
fn each_part_disturbs_only_itself() {
    let changed = |kind: Kind| {
        effects_between(item("x", kind.clone(), &[("k", "1")]), item("x", kind, &[("k", "2")]))
    };
    assert_eq!(changed(Kind::Hub), [Effect::Hub]);
    assert_eq!(changed(Kind::Limits), [Effect::Limits]);
    assert_eq!(changed(Kind::Durability), [Effect::Durability]);
    assert_eq!(changed(Kind::Listener("mqtts".into())), [Effect::Listener("mqtts".into())]);
    assert_eq!(changed(Kind::Route(Some("hot".into()))), [Effect::Routes]);
}

#[test]
fn a_device_that_goes_ends_its_session() {
    let (fan, lamp) = (device("fan"), device("lamp"));
    let gone = effects_between(fan, lamp);
    assert_eq!(gone, [Effect::Session(DeviceName::new("fan").unwrap())]);
}

fn any_item() -> impl Strategy<Value = Item> {
    let fields = prop::collection::btree_map("[ab]|topic|to", "[xy]", 0..4);
    let kind = prop_oneof![
        Just(Kind::Hub),
        Just(Kind::Limits),
        "[fg]".prop_map(|name| Kind::Function(FunctionName::new(&name).unwrap())),
        "[dt]".prop_map(|name| Kind::Device(DeviceName::new(&name).unwrap())),
        prop::option::of("[rs]").prop_map(Kind::Route),
    ];
    (kind, fields).prop_map(|(kind, fields)| Item { what: format!("{kind:?}"), kind, fields })
}

/// Items of one kind and name appear once; routes without a name as often as they like.
fn any_desired() -> impl Strategy<Value = Desired> {
    prop::collection::vec(any_item(), 0..8).prop_map(|items| {
        let mut sections: Vec<Item> = Vec::new();
        for item in items {
            let nameless = item.kind == Kind::Route(None);
            if nameless || sections.iter().all(|other| other.kind != item.kind) {
                sections.push(item);
            }
        }
        Desired { sections }
    })
}

proptest! {
    #[test]
    fn a_plan_is_empty_exactly_when_nothing_differs(a in any_desired(), b in any_desired()) {
        let sorted = |desired: &Desired, routes: bool| {
            let of_kind = |item: &&Item| matches!(item.kind, Kind::Route(_)) == routes;
            let mut items: Vec<Item> = desired.sections.iter().filter(of_kind).cloned().collect();
            if !routes {
                items.sort_by_key(|item| format!("{item:?}"));
            }
            items
        };
        let equal = sorted(&a, true) == sorted(&b, true) && sorted(&a, false) == sorted(&b, false);
        prop_assert_eq!(plan(&b, Some(&a)).is_empty(), equal);
        prop_assert!(plan(&a, Some(&a)).is_empty());
    }

    #[test]
    fn what_is_added_one_way_is_removed_the_other(a in any_desired(), b in any_desired()) {
        let count = |plan: &Plan, kind| plan.changes.iter().filter(|c| c.kind == kind).count();
        let (there, back) = (plan(&b, Some(&a)), plan(&a, Some(&b)));
        prop_assert_eq!(count(&there, ChangeKind::Add), count(&back, ChangeKind::Remove));
        let grown = b.sections.len() + count(&there, ChangeKind::Remove);
        prop_assert_eq!(grown, a.sections.len() + count(&there, ChangeKind::Add));
    }
}
