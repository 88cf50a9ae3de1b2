use expect_test::{Expect, expect};

use super::*;
use crate::control::Problem;

fn check(text: &str, expect: Expect) {
    let diagnostics = parse(text, "tomte.toml").expect_err("the manifest was accepted");
    expect.assert_eq(&diagnostics.to_string());
}

/// A route with these keys beside a device and a function to name.
fn check_route(keys: &str, expect: Expect) {
    let text = format!("[devices.fan]\n{}\n[[routes]]\n{keys}\n", function(""));
    check(&text, expect);
}

#[test]
fn text_that_is_no_toml() {
    check(
        "[hub\nname = \"x\"\n[limits]\nmax_hops = \n",
        expect![[r#"
        error: unclosed table, expected `]`
         --> tomte.toml:1:5
          |
        1 | [hub
          |     ^

        error: string values must be quoted, expected literal string
         --> tomte.toml:4:12
          |
        4 | max_hops = 
          |            ^
    "#]],
    );
}

#[test]
fn unknown_keys_are_all_named_with_those_that_are_allowed() {
    check(
        &GREENHOUSE.replace("memory =", "memroy =").replace("name = \"hot\"", "nmae = \"hot\""),
        expect![[r#"
            error: functions.regulate: there is no key "memroy" here
              --> tomte.toml:12:1
               |
            12 | memroy = "64MiB"
               | ^^^^^^
               = expected: one of runtime, handler, code, memory, timeout, mode, max_concurrency, priority, checkpoint, workers, idle_timeout, environment, result_topic, description
               = help: did you mean "memory"?

            error: routes[0]: there is no key "nmae" here
              --> tomte.toml:22:1
               |
            22 | nmae = "hot"
               | ^^^^
               = expected: one of name, from, topic, when, to, only, publish_as, withhold, on_unavailable, allow_cycle
               = help: did you mean "name"?
        "#]],
    );
}

#[test]
fn an_unknown_table() {
    check(
        "[device.fan]\n",
        expect![[r#"
        error: there is no key "device" here
         --> tomte.toml:1:2
          |
        1 | [device.fan]
          |  ^^^^^^
          = expected: one of hub, listeners, limits, durability, devices, functions, routes
          = help: did you mean "devices"?
    "#]],
    );
}

#[test]
fn wrong_types() {
    check(
        "[limits]\nmax_packet = 1024\nmax_hops = \"16\"\nmax_connections = 1.5\n[hub]\nname = [\"a\"]\n",
        expect![[r#"
            error: limits.max_packet: this is a whole number
             --> tomte.toml:2:14
              |
            2 | max_packet = 1024
              |              ^^^^
              = expected: a size such as "64MiB"; units are B, KiB, MiB, GiB, kB, MB, GB

            error: limits.max_hops: this is a text in quotes
             --> tomte.toml:3:12
              |
            3 | max_hops = "16"
              |            ^^^^
              = expected: a whole number from 1 to 255

            error: limits.max_connections: this is a number with a fraction
             --> tomte.toml:4:19
              |
            4 | max_connections = 1.5
              |                   ^^^
              = expected: a whole number from 1 to 10000000

            error: hub.name: this is a list
             --> tomte.toml:6:8
              |
            6 | name = ["a"]
              |        ^^^^^
              = expected: a text in quotes
        "#]],
    );
    check(
        "routes = { from = 1 }\n",
        expect![[r#"
        error: routes: this is a table
         --> tomte.toml:1:10
          |
        1 | routes = { from = 1 }
          |          ^^^^^^^^^^^^
          = expected: a list
    "#]],
    );
    check(
        "[[routes]]\nfrom = [\"device:*\", 3]\ntopic = true\nto = \"subscribers\"\n",
        expect![[r#"
            error: routes[0].from[1]: this is a whole number
             --> tomte.toml:2:21
              |
            2 | from = ["device:*", 3]
              |                     ^
              = expected: a text in quotes

            error: routes[0].topic: this is true or false
             --> tomte.toml:3:9
              |
            3 | topic = true
              |         ^^^^
              = expected: a text in quotes
        "#]],
    );
}

#[test]
fn numbers_out_of_range() {
    check(
        "[limits]\nmax_hops = 256\nreceive_maximum = 0\nsession_messages = -5\n",
        expect![[r#"
            error: limits.max_hops: 256 is out of range
             --> tomte.toml:2:12
              |
            2 | max_hops = 256
              |            ^^^
              = expected: a whole number from 1 to 255

            error: limits.receive_maximum: 0 is out of range
             --> tomte.toml:3:19
              |
            3 | receive_maximum = 0
              |                   ^
              = expected: a whole number from 1 to 65535

            error: limits.session_messages: -5 is out of range
             --> tomte.toml:4:20
              |
            4 | session_messages = -5
              |                    ^^
              = expected: a whole number from 1 to 10000000
        "#]],
    );
}

#[test]
fn sizes_and_times_that_are_none() {
    check(
        "[limits]\nmax_packet = \"1 parsec\"\nconnect_timeout = \"soon\"\nsession_bytes = \"12B\"\n",
        expect![[r#"
            error: limits.max_packet: "1 parsec" has no unit that is known here; units are B, KiB, MiB, GiB, kB, MB, GB
             --> tomte.toml:2:14
              |
            2 | max_packet = "1 parsec"
              |              ^^^^^^^^^^
              = expected: a size such as "64MiB"; units are B, KiB, MiB, GiB, kB, MB, GB

            error: limits.connect_timeout: "soon" does not start with a number
             --> tomte.toml:3:19
              |
            3 | connect_timeout = "soon"
              |                   ^^^^^^
              = expected: a time such as "3s"; units are ms, s, m, h, d

            error: limits.session_bytes: "12B" is out of range
             --> tomte.toml:4:17
              |
            4 | session_bytes = "12B"
              |                 ^^^^^
              = expected: 1KiB to 1024GiB
        "#]],
    );
}

#[test]
fn words_that_are_not_known() {
    check(
        "[durability]\nmode = \"proces\"\n",
        expect![[r#"
        error: durability.mode: "proces" is not known here
         --> tomte.toml:2:8
          |
        2 | mode = "proces"
          |        ^^^^^^^^
          = expected: one of "process", "power", "none"
          = help: did you mean "process"?
    "#]],
    );
    check(
        &function("mode = \"always\"\npriority = \"hihg\""),
        expect![[r#"
        error: functions.f.mode: "always" is not known here
         --> tomte.toml:5:8
          |
        5 | mode = "always"
          |        ^^^^^^^^
          = expected: one of "on-demand", "pinned"

        error: functions.f.priority: "hihg" is not known here
         --> tomte.toml:6:12
          |
        6 | priority = "hihg"
          |            ^^^^^^
          = expected: one of "low", "normal", "high", "urgent"
          = help: did you mean "high"?
    "#]],
    );
}

/// Proves: CFG-2.
#[test]
fn missing_keys() {
    check(
        "[functions.f]\nhandler = \"a.b\"\n\n[[routes]]\ntopic = \"a\"\n",
        expect![[r#"
        error: functions.f: the key "runtime" is missing
         --> tomte.toml:1:1
          |
        1 | [functions.f]
          | ^^^^^^^^^^^^^
          = expected: a text in quotes

        error: functions.f: the key "code" is missing
         --> tomte.toml:1:1
          |
        1 | [functions.f]
          | ^^^^^^^^^^^^^
          = expected: a text in quotes

        error: routes[0]: the key "from" is missing
         --> tomte.toml:4:1
          |
        4 | [[routes]]
          | ^^^^^^^^^^
          = expected: a text in quotes, or a list

        error: routes[0]: the key "to" is missing
         --> tomte.toml:4:1
          |
        4 | [[routes]]
          | ^^^^^^^^^^
          = expected: a text in quotes
    "#]],
    );
    check(
        "[functions.f]\nruntime = \"python3\"\ncode = \"f\"\n",
        expect![[r#"
        error: functions.f.handler: the key "handler" is missing
         --> tomte.toml:1:1
          |
        1 | [functions.f]
          | ^^^^^^^^^^^^^
          = expected: "module.function", for example "app.handler"
    "#]],
    );
}

#[test]
fn duplicate_keys_and_tables() {
    check(
        "[hub]\nname = \"a\"\nname = \"b\"\n",
        expect![[r#"
        error: duplicate key
         --> tomte.toml:3:1
          |
        3 | name = "b"
          | ^^^^
    "#]],
    );
    check(
        "[devices.fan]\n[devices.fan]\n",
        expect![[r#"
        error: duplicate key
         --> tomte.toml:2:10
          |
        2 | [devices.fan]
          |          ^^^
    "#]],
    );
}

#[test]
fn duplicate_names_of_routes() {
    let route =
        "[[routes]]\nname = \"all\"\nfrom = \"device:*\"\ntopic = \"#\"\nto = \"subscribers\"\n";
    check(
        &route.repeat(2),
        expect![[r#"
        error: routes[1].name: the name "all" is taken by routes[0] "all"
         --> tomte.toml:7:8
          |
        7 | name = "all"
          |        ^^^^^
    "#]],
    );
}

#[test]
fn bad_names() {
    check(
        "[devices.\"a/b\"]\n[functions.\"\"]\nruntime = \"provided\"\ncode = \"f\"\n",
        expect![[r#"
            error: devices."a/b": the name "a/b" holds '/'; allowed are a-z, A-Z, 0-9, '-', '_', '.' and ':'
             --> tomte.toml:1:10
              |
            1 | [devices."a/b"]
              |          ^^^^^

            error: functions."": the name is empty
             --> tomte.toml:2:12
              |
            2 | [functions.""]
              |            ^^
        "#]],
    );
    check(
        "[hub]\nname = \"green house\"\n",
        expect![[r#"
        error: hub.name: the name "green house" holds ' '; allowed are a-z, A-Z, 0-9, '-', '_', '.' and ':'
         --> tomte.toml:2:8
          |
        2 | name = "green house"
          |        ^^^^^^^^^^^^^
    "#]],
    );
}

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
fn words_of_later_versions() {
    check_route(
        "from = \"timer:daily\"\ntopic = \"a\"\nto = \"remote:cloud\"",
        expect![[r#"
        error: routes[0].from: "timer:daily" is not available in this version yet
         --> tomte.toml:9:8
          |
        9 | from = "timer:daily"
          |        ^^^^^^^^^^^^^
          = expected: device:NAME, device:*, function:NAME, function:*, anonymous

        error: routes[0].to: "remote:cloud" is not available in this version yet
          --> tomte.toml:11:6
           |
        11 | to = "remote:cloud"
           |      ^^^^^^^^^^^^^^
           = expected: device:NAME, function:NAME, subscribers, nobody
    "#]],
    );
    check(
        &function("checkpoint = \"transparent\""),
        expect![[r#"
        error: functions.f.checkpoint: checkpoints are not available in this version yet
         --> tomte.toml:5:14
          |
        5 | checkpoint = "transparent"
          |              ^^^^^^^^^^^^^
          = expected: "none"
    "#]],
    );
    check(
        "[functions.f]\nruntime = \"wasm\"\ncode = \"f.wasm\"\n",
        expect![[r#"
        error: functions.f.runtime: "wasm" is not available in this version yet
         --> tomte.toml:2:11
          |
        2 | runtime = "wasm"
          |           ^^^^^^
          = expected: python3, python3.8 to python3.14, nodejs, nodejs18.x, nodejs20.x, nodejs22.x, nodejs24.x, provided, provided.al2, provided.al2023
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
fn functions_that_make_no_sense_are_told_all_at_once() {
    let text = r#"
[functions.bad]
runtime = "python3.111"
handler = "app"
code = "../secrets"
memory = "1MiB"
timeout = "16m"
workers = { reserve = 20 }
environment = { AWS_LAMBDA_RUNTIME_API = "x", "1A" = "y", TOMTE_X = "z" }
"#;
    check(
        text,
        expect![[r#"
        error: functions.bad.runtime: there is no runtime "python3.111"
         --> tomte.toml:3:11
          |
        3 | runtime = "python3.111"
          |           ^^^^^^^^^^^^^
          = expected: python3, python3.8 to python3.14, nodejs, nodejs18.x, nodejs20.x, nodejs22.x, nodejs24.x, provided, provided.al2, provided.al2023
          = help: did you mean "python3.11"?

        error: functions.bad.code: "../secrets": the path leads out of the folder
         --> tomte.toml:5:8
          |
        5 | code = "../secrets"
          |        ^^^^^^^^^^^^
          = expected: a folder or a .zip below the manifest, for example "functions/regulate"

        error: functions.bad.memory: "1MiB" is out of range
         --> tomte.toml:6:10
          |
        6 | memory = "1MiB"
          |          ^^^^^^
          = expected: 8MiB to 10GiB

        error: functions.bad.timeout: "16m" is out of range
         --> tomte.toml:7:11
          |
        7 | timeout = "16m"
          |           ^^^^^
          = expected: 1ms to 15m

        error: functions.bad.workers.reserve: 20 workers cannot be held ready, there are at most 10
         --> tomte.toml:8:23
          |
        8 | workers = { reserve = 20 }
          |                       ^^
          = expected: 0 to 10, or "auto"
          = help: raise workers.max

        error: functions.bad.environment.AWS_LAMBDA_RUNTIME_API: the name "AWS_LAMBDA_RUNTIME_API" is reserved
         --> tomte.toml:9:17
          |
        9 | environment = { AWS_LAMBDA_RUNTIME_API = "x", "1A" = "y", TOMTE_X = "z" }
          |                 ^^^^^^^^^^^^^^^^^^^^^^
          = help: the hub sets it for each worker; choose another name

        error: functions.bad.environment.1A: "1A" is no name of an environment variable
         --> tomte.toml:9:47
          |
        9 | environment = { AWS_LAMBDA_RUNTIME_API = "x", "1A" = "y", TOMTE_X = "z" }
          |                                               ^^^^
          = expected: letters, digits and _, not a digit first

        error: functions.bad.environment.TOMTE_X: the name "TOMTE_X" is reserved
         --> tomte.toml:9:59
          |
        9 | environment = { AWS_LAMBDA_RUNTIME_API = "x", "1A" = "y", TOMTE_X = "z" }
          |                                                           ^^^^^^^
          = help: the hub sets it for each worker; choose another name
    "#]],
    );
    check(
        &function("memory = \"1MiB\"").replace("python3", "nodejs"),
        expect![[r#"
        error: functions.f.memory: "1MiB" is out of range
         --> tomte.toml:5:10
          |
        5 | memory = "1MiB"
          |          ^^^^^^
          = expected: 32MiB to 10GiB
    "#]],
    );
    check(
        &function("mode = \"pinned\"\nworkers = { max = 2 }"),
        expect![[r#"
        error: functions.f.workers.max: a pinned function has one worker, not 2
         --> tomte.toml:6:19
          |
        6 | workers = { max = 2 }
          |                   ^
          = expected: 1
    "#]],
    );
    check(
        &function("").replace("a.b", "handler"),
        expect![[r#"
        error: functions.f.handler: "handler" is no handler
         --> tomte.toml:3:11
          |
        3 | handler = "handler"
          |           ^^^^^^^^^
          = expected: "module.function", for example "app.handler"
    "#]],
    );
}

#[test]
fn listeners_that_let_the_wrong_people_in() {
    check(
        "[listeners]\nmqtt = { bind = \"0.0.0.0:1883\", anonymous = true }\nmqtts = { anonymous = true }\n",
        expect![[r#"
            error: listeners.mqtt.anonymous: anybody who reaches 0.0.0.0:1883 could connect without identity
             --> tomte.toml:2:45
              |
            2 | mqtt = { bind = "0.0.0.0:1883", anonymous = true }
              |                                             ^^^^
              = expected: a loopback address such as 127.0.0.1, or anonymous = "anywhere"

            error: listeners.mqtts.anonymous: anybody who reaches 0.0.0.0:8883 could connect without identity
             --> tomte.toml:3:23
              |
            3 | mqtts = { anonymous = true }
              |                       ^^^^
              = expected: a loopback address such as 127.0.0.1, or anonymous = "anywhere"
        "#]],
    );
    check(
        "[listeners]\nmqtt = { bind = \"127.0.0.1:1883\" }\n",
        expect![[r#"
            error: listeners.mqtt.anonymous: plain TCP knows no certificates, so nobody could connect
             --> tomte.toml:2:8
              |
            2 | mqtt = { bind = "127.0.0.1:1883" }
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = expected: anonymous = true or password = true, or "anywhere" for one of them
              = help: for devices with a certificate use the listener mqtts
        "#]],
    );
    check(
        "[listeners]\nmqtt = { bind = \"0.0.0.0:1883\", password = true }\n\
         origins = [\"dashboard.example\", \"https://a/b\"]\n",
        expect![[r#"
            error: listeners.mqtt.password: passwords would travel to 0.0.0.0:1883 so that others on the way can read them
             --> tomte.toml:2:44
              |
            2 | mqtt = { bind = "0.0.0.0:1883", password = true }
              |                                            ^^^^
              = expected: a loopback address such as 127.0.0.1, or password = "anywhere"

            error: listeners.origins[0]: "dashboard.example" is not the origin of a web page
             --> tomte.toml:3:12
              |
            3 | origins = ["dashboard.example", "https://a/b"]
              |            ^^^^^^^^^^^^^^^^^^^
              = expected: a scheme and a host without a path, such as "https://dashboard.example"

            error: listeners.origins[1]: "https://a/b" is not the origin of a web page
             --> tomte.toml:3:33
              |
            3 | origins = ["dashboard.example", "https://a/b"]
              |                                 ^^^^^^^^^^^^^
              = expected: a scheme and a host without a path, such as "https://dashboard.example"
        "#]],
    );
    check(
        "[listeners]\nmqtt = { bind = \"localhost\", anonymous = true }\n",
        expect![[r#"
            error: listeners.mqtt.bind: "localhost" is no address with a port
             --> tomte.toml:2:17
              |
            2 | mqtt = { bind = "localhost", anonymous = true }
              |                 ^^^^^^^^^^^
              = expected: an address and a port such as "127.0.0.1:1883" or "[::1]:1883"
        "#]],
    );
    check(
        "[listeners]\nmqtts = false\n",
        expect![[r#"
        error: listeners.mqtts: nobody could connect: there is no listener for MQTT
         --> tomte.toml:2:9
          |
        2 | mqtts = false
          |         ^^^^^
          = help: leave mqtts out, or set mqtt = { bind = "127.0.0.1:1883", anonymous = true }
    "#]],
    );
    check(
        "[listeners]\nmqtts = { bind = \"127.0.0.1:1883\" }\nmqtt = { bind = \"127.0.0.1:1883\", anonymous = true }\n",
        expect![[r#"
            error: listeners.mqtt.bind: 127.0.0.1:1883 is taken by the listener mqtts
             --> tomte.toml:3:17
              |
            3 | mqtt = { bind = "127.0.0.1:1883", anonymous = true }
              |                 ^^^^^^^^^^^^^^^^
              = help: give each listener a port of its own
        "#]],
    );
    check(
        "[listeners]\nmqtt = { bind = \"127.0.0.1:1\", anonymous = \"everywhere\" }\n",
        expect![[r#"
            error: listeners.mqtt.anonymous: "everywhere" is not known here
             --> tomte.toml:2:44
              |
            2 | mqtt = { bind = "127.0.0.1:1", anonymous = "everywhere" }
              |                                            ^^^^^^^^^^^^
              = expected: "anywhere"
        "#]],
    );
}

#[test]
fn listeners_in_each_others_way() {
    let errors = |mqtts: &str, http: &str| {
        let bind = |name: &str, bind: &str| format!("{name} = {{ bind = \"{bind}\" }}\n");
        complaints(&format!("[listeners]\n{}{}", bind("mqtts", mqtts), bind("http", http))).len()
    };
    assert_eq!(errors("127.0.0.1:1883", "127.0.0.1:1883"), 1);
    assert_eq!(errors("0.0.0.0:1883", "127.0.0.1:1883"), 1);
    assert_eq!(errors("127.0.0.1:1883", "[::]:1883"), 1);
    assert_eq!(errors("127.0.0.1:1883", "127.0.0.2:1883"), 0);
    assert_eq!(errors("127.0.0.1:1883", "127.0.0.1:1884"), 0);
    assert_eq!(errors("127.0.0.1:0", "127.0.0.1:0"), 0);
}

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
