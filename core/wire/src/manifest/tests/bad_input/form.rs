//! Text that is no manifest: syntax, keys, types, what comes twice.

use super::*;

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
