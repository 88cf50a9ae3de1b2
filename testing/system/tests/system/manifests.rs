//! Manifests that several subjects share, and the code of their functions.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Both listeners on free ports of this machine.
pub(crate) const LISTENERS: &str = r#"
[listeners.mqtt]
bind = "127.0.0.1:{mqtt}"
anonymous = true

[listeners.mqtts]
bind = "127.0.0.1:{mqtts}"

[limits]
connect_timeout = "2s"
session_messages = 100000
session_bytes = "64MiB"
"#;

/// A hub that is only a broker.
pub(crate) fn broker() -> String {
    format!(
        r##"
[hub]
name = "broker"
{LISTENERS}
[devices.one]
[devices.two]

[[routes]]
from = "device:*"
topic = "#"
to = "subscribers"
"##
    )
}

/// A thermometer, a function in `runtime`, a fan.
pub(crate) fn greenhouse(runtime: &str) -> String {
    format!(
        r#"
[hub]
name = "greenhouse"
{LISTENERS}
[devices.thermometer]
[devices.fan]

[functions.regulate]
runtime = "{runtime}"
handler = "app.handler"
code = "functions/regulate"
memory = "128MiB"
timeout = "3s"
result_topic = "actuators/fan"

[[routes]]
name = "hot"
from = "device:thermometer"
topic = "sensors/+/temperature"
when = "payload.celsius > 28"
to = "function:regulate"

[[routes]]
from = "function:regulate"
topic = "actuators/fan"
to = "device:fan"
on_unavailable = {{ hold = "10m", max = 1000, then = "drop-oldest" }}
"#
    )
}

/// A hub with one function called `work`, which an operator calls.
pub(crate) fn one_function(runtime: &str, more: &str) -> String {
    format!(
        r#"
[hub]
name = "work"
{LISTENERS}
[functions.work]
runtime = "{runtime}"
handler = "app.handler"
code = "functions/work"
{more}
"#
    )
}

/// Puts a file of a function into the project.
pub(crate) fn write_function(project: &Path, function: &str, file: &str, code: &str) -> Result<()> {
    let folder = project.join("functions").join(function);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(file), code)?)
}

/// The Python function of [`greenhouse`].
pub(crate) const REGULATE_PY: &str = r#"
def handler(event, context):
    subject = context.client_context.custom["subject"]
    return {"fan": "on", "celsius": event["celsius"], "subject": subject}
"#;

/// The JavaScript function of [`greenhouse`].
pub(crate) const REGULATE_JS: &str = r#"
exports.handler = async (event, context) => {
  const { subject } = context.clientContext.custom ?? context.clientContext.Custom;
  return { fan: "on", celsius: event.celsius, subject };
};
"#;
