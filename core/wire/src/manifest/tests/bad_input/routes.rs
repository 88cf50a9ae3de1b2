//! Routes that make no sense.

use super::*;

/// Proves: CFG-2.
#[test]
fn a_route_to_nowhere() {
    check_route(
        "from = \"device:*\"\ntopic = \"a\"\nto = \"device:fna\"",
        expect![[r#"
            error: routes[0].to: no device "fna" is declared; did you mean "fan"?
              --> tomte.toml:11:6
               |
            11 | to = "device:fna"
               |      ^^^^^^^^^^^^
               = expected: device:fan
               = help: declare it with [devices.fna]
        "#]],
    );
    check_route(
        "from = \"device:*\"\ntopic = \"a\"\nto = \"function:g\"",
        expect![[r#"
            error: routes[0].to: no function "g" is declared
              --> tomte.toml:11:6
               |
            11 | to = "function:g"
               |      ^^^^^^^^^^^^
               = expected: function:f
               = help: declare it with [functions.g]
        "#]],
    );
    check_route(
        "from = \"device:*\"\ntopic = \"a\"\nto = \"nowhere\"",
        expect![[r#"
        error: routes[0].to: "nowhere" is not known here
          --> tomte.toml:11:6
           |
        11 | to = "nowhere"
           |      ^^^^^^^^^
           = expected: device:NAME, function:NAME, subscribers, nobody
    "#]],
    );
}

/// Proves: CFG-2.
#[test]
fn a_route_from_nowhere() {
    check_route(
        "from = [\"device:fan\", \"device:lamp\"]\ntopic = \"a\"\nto = \"subscribers\"",
        expect![[r#"
            error: routes[0].from[1]: no device "lamp" is declared
             --> tomte.toml:9:23
              |
            9 | from = ["device:fan", "device:lamp"]
              |                       ^^^^^^^^^^^^^
              = expected: device:fan
              = help: declare it with [devices.lamp]
        "#]],
    );
    check_route(
        "from = []\ntopic = \"a\"\nto = \"subscribers\"",
        expect![[r#"
            error: routes[0].from: the list of sources is empty
             --> tomte.toml:9:8
              |
            9 | from = []
              |        ^^
        "#]],
    );
}

#[test]
fn a_bad_topic() {
    check_route(
        "from = \"device:*\"\ntopic = \"a/#/b\"\nto = \"subscribers\"",
        expect![[r##"
        error: routes[0].topic: in the filter "a/#/b" the wildcard of level "#" does not stand alone, or '#' is not last
          --> tomte.toml:10:9
           |
        10 | topic = "a/#/b"
           |         ^^^^^^^
           = expected: a topic filter such as "sensors/+/temperature" or "#"
    "##]],
    );
    check(
        &function("result_topic = \"a/+\""),
        expect![[r#"
        error: functions.f.result_topic: the topic name "a/+" holds the wildcard '+'
         --> tomte.toml:5:16
          |
        5 | result_topic = "a/+"
          |                ^^^^^
          = expected: a topic without wildcards
    "#]],
    );
}

#[test]
fn a_bad_condition_is_shown_where_it_is_bad() {
    let route =
        |when: &str| format!("from = \"device:*\"\ntopic = \"a\"\nto = \"subscribers\"\n{when}");
    check_route(
        &route("when = \"payload.celsius >\""),
        expect![[r#"
        error: routes[0].when: the expression ends too early
          --> tomte.toml:12:26
           |
        12 | when = "payload.celsius >"
           |                          ^
    "#]],
    );
    check_route(
        &route("when = 'payload.celsius = 28'"),
        expect![[r#"
            error: routes[0].when: unexpected '= '
              --> tomte.toml:12:25
               |
            12 | when = 'payload.celsius = 28'
               |                         ^
               = help: == compares
        "#]],
    );
    check_route(
        &route("when = \"temperature > 28\""),
        expect![[r#"
        error: routes[0].when: there is no variable "temperature"
          --> tomte.toml:12:9
           |
        12 | when = "temperature > 28"
           |         ^
           = expected: payload, topic, levels, source, size, properties
    "#]],
    );
    check_route(
        &route("when = '''\ntopic == 'ä' &&\n  paylaod.x > 1'''"),
        expect![[r#"
            error: routes[0].when: there is no variable "paylaod"; did you mean "payload"?
              --> tomte.toml:14:3
               |
            14 |   paylaod.x > 1'''
               |   ^
               = expected: payload, topic, levels, source, size, properties
        "#]],
    );
    check_route(
        &route("when = \"topic == \\\"a\\\" && x\""),
        expect![[r#"
        error: routes[0].when: there is no variable "x"
          --> tomte.toml:12:8
           |
        12 | when = "topic == \"a\" && x"
           |        ^^^^^^^^^^^^^^^^^^^^^
           = expected: payload, topic, levels, source, size, properties
    "#]],
    );
    check_route(
        &route("when = \"payload.celsius * 2.0\""),
        expect![[r#"
        error: routes[0].when: the condition yields a number, not true or false
          --> tomte.toml:12:25
           |
        12 | when = "payload.celsius * 2.0"
           |                         ^
           = expected: a comparison, for example payload.x > 28
    "#]],
    );
}

#[test]
fn a_circle_of_functions() {
    let text = function("")
        + &function("").replace("functions.f", "functions.g")
        + "[[routes]]\nname = \"there\"\nfrom = \"function:f\"\ntopic = \"a\"\nto = \"function:g\"\n"
        + "[[routes]]\nfrom = \"function:*\"\ntopic = \"b\"\nto = \"function:f\"\nallow_cycle = true\n"
        + "[[routes]]\nname = \"back\"\nfrom = [\"device:*\", \"function:g\"]\ntopic = \"b\"\nto = \"function:f\"\n";
    check(
        &text,
        expect![[r#"
        error: routes[2].to: messages would go round in a circle: function:f -> routes[0] "there" -> function:g -> routes[2] "back" -> function:f
          --> tomte.toml:25:6
           |
        25 | to = "function:f"
           |      ^^^^^^^^^^^^
           = help: take one of the routes out, or set allow_cycle = true in one of them if the circle is meant; limits.max_hops ends it
    "#]],
    );
}

#[test]
fn a_hold_for_nobody() {
    check_route(
        "from = \"device:*\"\ntopic = \"a\"\nto = \"subscribers\"\non_unavailable = { hold = \"1m\" }",
        expect![[r#"
            error: routes[0].on_unavailable: only messages to a device can be held, this route goes to subscribers
              --> tomte.toml:12:18
               |
            12 | on_unavailable = { hold = "1m" }
               |                  ^^^^^^^^^^^^^^^
        "#]],
    );
    check_route(
        "from = \"device:*\"\ntopic = \"a\"\nto = \"device:fan\"\non_unavailable = { hold = \"0s\", max = 0 }",
        expect![[r#"
            error: routes[0].on_unavailable.max: 0 is out of range
              --> tomte.toml:12:39
               |
            12 | on_unavailable = { hold = "0s", max = 0 }
               |                                       ^
               = expected: a whole number from 1 to 1000000
        "#]],
    );
}

#[test]
fn message_rules_that_make_no_sense() {
    check_route(
        "from = \"device:fan\"\ntopic = \"a/+\"\nto = \"subscribers\"\nonly = \"reciever.name\"",
        expect![[r#"
            error: routes[0].only: there is no variable "reciever"; did you mean "receiver"?
              --> tomte.toml:12:9
               |
            12 | only = "reciever.name"
               |         ^
               = expected: payload, topic, levels, source, size, properties, receiver
        "#]],
    );
    check_route(
        "from = \"device:fan\"\ntopic = \"a/#\"\nto = \"subscribers\"\npublish_as = \"b/{levels[1]}\"",
        expect![[r#"
            error: routes[0].publish_as: {levels[1]} is not in every topic of a/#, which has 1 for sure
              --> tomte.toml:12:14
               |
            12 | publish_as = "b/{levels[1]}"
               |              ^^^^^^^^^^^^^^^
               = expected: a topic such as "orders/{levels[1]}"; {levels[N]} is a level of the topic, {topic} all of it
        "#]],
    );
    check_route(
        "from = \"device:fan\"\ntopic = \"a\"\nto = \"function:f\"\nonly = \"true\"\nwithhold = 1",
        expect![[r#"
            error: routes[0].withhold: this is a whole number
              --> tomte.toml:13:12
               |
            13 | withhold = 1
               |            ^
               = expected: true or false
        "#]],
    );
    check_route(
        "from = \"device:fan\"\ntopic = \"a\"\nto = \"subscribers\"\nwhen = \"receiver.name == 'x'\"",
        expect![[r#"
            error: routes[0].when: there is no variable "receiver"
              --> tomte.toml:12:9
               |
            12 | when = "receiver.name == 'x'"
               |         ^
               = expected: payload, topic, levels, source, size, properties
               = help: the receiver is known in only, not in when
        "#]],
    );
}

#[test]
fn attributes_that_make_no_sense() {
    check(
        "[devices.fan.attributes]\nnested = { a = 1 }\nlists = [[1]]\n",
        expect![[r#"
            error: devices.fan.attributes.nested: this is a table
             --> tomte.toml:2:10
              |
            2 | nested = { a = 1 }
              |          ^^^^^^^^^
              = expected: true or false, or a whole number, or a number with a fraction, or a text in quotes, or a list

            error: devices.fan.attributes.lists[0]: this is a list
             --> tomte.toml:3:10
              |
            3 | lists = [[1]]
              |          ^^^
              = expected: true or false, or a whole number, or a number with a fraction, or a text in quotes
        "#]],
    );
    check(
        "[devices.fan.attributes]\nname = \"x\"\n1st = 2\n",
        expect![[r#"
        error: devices.fan.attributes.name: receiver.name is the name of the device
         --> tomte.toml:2:8
          |
        2 | name = "x"
          |        ^^^

        error: devices.fan.attributes.1st: an attribute has a name of letters, digits and _, not a digit first
         --> tomte.toml:3:7
          |
        3 | 1st = 2
          |       ^
    "#]],
    );
    let long = "x".repeat(257);
    let text = format!("[devices.fan]\nattributes = {{ a-b = 1, long = \"{long}\" }}\n");
    let complaints = complaints(&text);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[1].ends_with("257 bytes, at most 256 are allowed"), "{complaints:?}");
}
