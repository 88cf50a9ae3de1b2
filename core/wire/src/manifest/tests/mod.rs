mod bad_input;
mod comparison;
mod defaults;
mod meaning;
mod random;

use super::*;

/// The example of the design.
const GREENHOUSE: &str = r#"
[hub]
name = "greenhouse"

[devices.thermometer]
[devices.fan]

[functions.regulate]
runtime = "python3.11"            # a Lambda managed-runtime name
handler = "app.handler"
code = "functions/regulate"       # a folder or a .zip
memory = "64MiB"
timeout = "3s"
mode = "on-demand"                # or "pinned"
max_concurrency = 4
priority = "normal"
checkpoint = "none"
workers = { reserve = "auto", max = 4 }
result_topic = "actuators/fan"

[[routes]]
name = "hot"
from = "device:thermometer"
topic = "sensors/+/temperature"
when = "payload.celsius > 28"     # CEL
to = "function:regulate"

[[routes]]
from = "function:regulate"
topic = "actuators/fan"
to = "device:fan"
on_unavailable = { hold = "10m", max = 1000, then = "drop-oldest" }
"#;

fn parsed(text: &str) -> Manifest {
    parse(text, "tomte.toml").unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// Returns the messages and keys of what is wrong, a line each.
fn complaints(text: &str) -> Vec<String> {
    let Err(Diagnostics(found)) = parse(text, "tomte.toml") else { return Vec::new() };
    found.iter().map(|found| format!("{}: {}", found.key, found.message)).collect()
}

/// A function with further keys.
fn function(keys: &str) -> String {
    format!("[functions.f]\nruntime = \"python3\"\nhandler = \"a.b\"\ncode = \"f\"\n{keys}\n")
}
