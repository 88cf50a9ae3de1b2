//! Functions and listeners that make no sense.

use super::*;

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
