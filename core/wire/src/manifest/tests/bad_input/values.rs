//! Values outside their range: numbers, sizes, times, words, names.

use super::*;

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
