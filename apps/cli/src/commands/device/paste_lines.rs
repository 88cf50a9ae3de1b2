//! Command lines for mosquitto's clients, ready to paste.

use std::path::Path;

use tomte_wire::control::RouteStatus;

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

/// Returns the lines for `device`, whose files are in `folder`, at `address` (`host:port`).
pub(super) fn of(device: &str, folder: &Path, address: &str, routes: &[RouteStatus]) -> PasteLines {
    let client = |program: &str, id: &str| {
        let file = |name: &str| quote(&folder.join(name).display().to_string());
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "8883"));
        format!(
            "{program} -h {} -p {port} --cafile {} --cert {} --key {} -i {id} -q 1",
            quote(reachable(host)),
            file("ca.crt"),
            file(&format!("{device}.crt")),
            file(&format!("{device}.key")),
        )
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
        let lines =
            of("thermometer", Path::new("devices/thermometer"), "0.0.0.0:8883", &greenhouse());
        expect!["mosquitto_pub -h 127.0.0.1 -p 8883 --cafile devices/thermometer/ca.crt --cert devices/thermometer/thermometer.crt --key devices/thermometer/thermometer.key -i thermometer -q 1 -t sensors/1/temperature -m '{\"celsius\": 31}'"]
        .assert_eq(&lines.publish.unwrap());
        assert_eq!(lines.subscribe, None);
    }

    #[test]
    fn an_actuator_subscribes_to_what_its_route_brings() {
        let lines = of("fan", Path::new("my devices/fan"), "hub.local:8883", &greenhouse());
        expect!["mosquitto_sub -h hub.local -p 8883 --cafile 'my devices/fan/ca.crt' --cert 'my devices/fan/fan.crt' --key 'my devices/fan/fan.key' -i fan -q 1 -t actuators/fan -v"]
        .assert_eq(&lines.subscribe.unwrap());
        assert_eq!(lines.publish, None);
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
