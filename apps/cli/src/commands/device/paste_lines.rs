//! Command lines for mosquitto's clients, ready to paste.

use std::path::{Path, PathBuf};

use tomte_wire::control::RouteStatus;

use crate::paint::{Paint, Tint};

/// A line for each direction that the routes give the device.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct PasteLines {
    /// None when no route takes what the device publishes.
    pub(super) publish: Option<String>,
    /// None when no route brings the device anything: its subscription would be refused.
    pub(super) subscribe: Option<String>,
}

/// What a device can publish, as far as the routes tell.
struct Example {
    topic: String,
    payload: String,
}

/// What a device shows when it connects.
pub(super) enum Login {
    /// A certificate, its key and the hub's CA, in this folder.
    Files(PathBuf),
    /// A password. With TLS the hub's CA is in this folder.
    Password {
        /// The password.
        password: String,
        /// The folder.
        ca: Option<PathBuf>,
    },
}

impl Login {
    fn options(&self, device: &str) -> String {
        let file = |folder: &Path, name: &str| quote(&folder.join(name).display().to_string());
        match self {
            Self::Files(folder) => format!(
                "--cafile {} --cert {} --key {}",
                file(folder, "ca.crt"),
                file(folder, &format!("{device}.crt")),
                file(folder, &format!("{device}.key")),
            ),
            Self::Password { password, ca } => {
                let ca = ca.as_ref().map(|folder| format!("--cafile {} ", file(folder, "ca.crt")));
                format!("{}-u {device} -P {}", ca.unwrap_or_default(), quote(password))
            }
        }
    }
}

impl PasteLines {
    /// Returns the lines with what they are for.
    pub(super) fn render(&self, name: &str, paint: Paint) -> String {
        let dim = |text: &str| paint.apply(Tint::Dim, text);
        let publish = match &self.publish {
            Some(line) => format!("{}\n{line}\n\n", dim("# publish as this device")),
            None => dim(&format!("# no route takes what {name} publishes\n\n")),
        };
        let subscribe = match &self.subscribe {
            Some(line) => format!("{}\n{line}", dim("# receive as this device")),
            None => dim(&format!("# no route brings {name} anything")),
        };
        publish + &subscribe
    }
}

/// Returns the lines for `device`, which logs in with `login`, at `address` (`host:port`).
pub(super) fn of(device: &str, login: &Login, address: &str, routes: &[RouteStatus]) -> PasteLines {
    let client = |program: &str, id: &str| {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "8883"));
        let (host, login) = (quote(reachable(host)), login.options(device));
        format!("{program} -h {host} -p {port} {login} -i {id} -q 1")
    };
    let publish = example(device, routes).map(|Example { topic, payload }| {
        let client = client("mosquitto_pub", device);
        format!("{client} -t {} -m {}", quote(&topic), quote(&payload))
    });
    let subscribe = subscription(device, routes)
        .map(|topic| format!("{} -t {} -v", client("mosquitto_sub", device), quote(&topic)));
    PasteLines { publish, subscribe }
}

/// A listener on all addresses is reached on this machine by the loopback address.
fn reachable(host: &str) -> &str {
    match host.trim_start_matches('[').trim_end_matches(']') {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    }
}

fn example(device: &str, routes: &[RouteStatus]) -> Option<Example> {
    let route = routes.iter().find(|route| comes_from(route, device))?;
    let topic = route.topic.replace(['+', '#'], "1");
    let payload = route.when.as_deref().and_then(payload_for);
    Some(Example { topic, payload: payload.unwrap_or_else(|| "{\"hello\": true}".to_owned()) })
}

fn comes_from(route: &RouteStatus, device: &str) -> bool {
    let source = format!("device:{device}");
    route.from.iter().any(|from| *from == source || from == "device:*")
}

fn subscription(device: &str, routes: &[RouteStatus]) -> Option<String> {
    let to_device = format!("device:{device}");
    let route = routes.iter().find(|route| route.to == to_device);
    let route = route.or_else(|| routes.iter().find(|route| route.to == "subscribers"));
    route.map(|route| route.topic.clone())
}

/// Returns a payload that a plain condition such as `payload.celsius > 28` lets through.
fn payload_for(when: &str) -> Option<String> {
    let words: Vec<&str> = when.split_whitespace().collect();
    let [field, operator, value] = words.as_slice() else { return None };
    let key = field.strip_prefix("payload.")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let number: f64 = value.parse().ok()?;
    let number = match *operator {
        ">" | ">=" => number + 3.0,
        "<" | "<=" => number - 3.0,
        "==" => number,
        _ => return None,
    };
    key.chars().all(plain).then(|| format!("{{\"{key}\": {number}}}"))
}

/// Returns `text` as one word of a shell.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tomte_base::topic_matches;

    use super::*;

    fn route(from: &str, topic: &str, when: Option<&str>, to: &str) -> RouteStatus {
        RouteStatus {
            name: String::new(),
            from: vec![from.to_owned()],
            topic: topic.to_owned(),
            when: when.map(str::to_owned),
            to: to.to_owned(),
            matched: 0,
        }
    }

    fn greenhouse() -> Vec<RouteStatus> {
        vec![
            route(
                "device:thermometer",
                "sensors/+/temperature",
                Some("payload.celsius > 28"),
                "function:regulate",
            ),
            route("function:regulate", "actuators/fan", None, "device:fan"),
        ]
    }

    #[test]
    fn a_sensor_publishes_what_its_route_lets_through() {
        let lines = of(
            "thermometer",
            &Login::Files("devices/thermometer".into()),
            "0.0.0.0:8883",
            &greenhouse(),
        );
        expect!["mosquitto_pub -h 127.0.0.1 -p 8883 --cafile devices/thermometer/ca.crt --cert devices/thermometer/thermometer.crt --key devices/thermometer/thermometer.key -i thermometer -q 1 -t sensors/1/temperature -m '{\"celsius\": 31}'"]
        .assert_eq(&lines.publish.unwrap());
        assert_eq!(lines.subscribe, None);
    }

    #[test]
    fn an_actuator_subscribes_to_what_its_route_brings() {
        let lines =
            of("fan", &Login::Files("my devices/fan".into()), "hub.local:8883", &greenhouse());
        expect!["mosquitto_sub -h hub.local -p 8883 --cafile 'my devices/fan/ca.crt' --cert 'my devices/fan/fan.crt' --key 'my devices/fan/fan.key' -i fan -q 1 -t actuators/fan -v"]
        .assert_eq(&lines.subscribe.unwrap());
        assert_eq!(lines.publish, None);
    }

    #[test]
    fn a_device_with_a_password_shows_that() {
        let ca = Some("devices/fan".into());
        for (ca, expected) in [
            (
                None,
                "mosquitto_sub -h 127.0.0.1 -p 1 -u fan -P sesame -i fan -q 1 -t actuators/fan -v",
            ),
            (
                ca,
                "mosquitto_sub -h 127.0.0.1 -p 1 --cafile devices/fan/ca.crt -u fan -P sesame -i fan -q 1 -t actuators/fan -v",
            ),
        ] {
            let login = Login::Password { password: "sesame".to_owned(), ca };
            let lines = of("fan", &login, "127.0.0.1:1", &greenhouse());
            assert_eq!(lines.subscribe.unwrap(), expected);
        }
    }

    #[test]
    fn a_condition_that_is_not_plain_gives_no_payload() {
        assert_eq!(payload_for("payload.a < 5"), Some("{\"a\": 2}".to_owned()));
        for when in ["payload.a > payload.b", "payload.a[0] > 1", "topic == 'x'", "true"] {
            assert_eq!(payload_for(when), None, "{when}");
        }
    }

    #[test]
    fn examples_fit_their_route() {
        let routes = [route("device:*", "a/+/b/#", None, "subscribers")];
        assert!(topic_matches(&routes[0].topic, &example("x", &routes).unwrap().topic));
        assert_eq!(subscription("x", &routes).unwrap(), "a/+/b/#");
    }

    #[test]
    fn a_word_for_the_shell_keeps_its_quotes() {
        assert_eq!(quote("it's"), "'it'\\''s'");
        assert_eq!(quote(""), "''");
    }
}
