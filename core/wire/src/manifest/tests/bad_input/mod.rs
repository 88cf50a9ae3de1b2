//! Manifests that are refused, each with the words that say why.

mod form;
mod parts;
mod report;
mod routes;
mod values;

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
