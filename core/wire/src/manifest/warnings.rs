use std::collections::BTreeSet;

use tomte_base::Source;
use tomte_route::{NAME_KEY, nearest};

use super::meant::Manifest;

/// Returns what a manifest says that is allowed, but hardly what was meant.
#[must_use]
pub fn warnings(manifest: &Manifest) -> Vec<String> {
    let mut warnings = unrouted_results(manifest);
    warnings.extend(unknown_attributes(manifest));
    warnings
}

fn unrouted_results(manifest: &Manifest) -> Vec<String> {
    let unrouted = manifest.functions.values().filter_map(|function| {
        let topic = function.result_topic.as_ref()?;
        let source = Source::Function(function.name.clone());
        (!manifest.table.may_publish(&source, topic)).then(|| {
            format!(
                "functions.{}: results go nowhere, no route takes {topic} from function:{}",
                function.name, function.name
            )
        })
    });
    unrouted.collect()
}

/// A rule that asks for an attribute that no device has chooses nobody.
fn unknown_attributes(manifest: &Manifest) -> Vec<String> {
    let attributes = manifest.devices.values().flat_map(|device| device.attributes.keys());
    let known: BTreeSet<&str> = attributes.map(String::as_str).chain([NAME_KEY]).collect();
    let routes = manifest.table.routes().iter();
    let asked = routes.filter_map(|route| Some((&route.label, route.rule.only.as_ref()?)));
    let asked = asked.flat_map(|(label, only)| only.receiver_keys().map(move |key| (label, key)));
    let unknown = asked.filter(|(_, key)| !known.contains(key));
    unknown
        .map(|(label, key)| {
            let near = nearest(key, known.iter().copied());
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            format!(
                "{label}: only asks for receiver.{key}, and no device has the attribute {key}{hint}"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    #[test]
    fn results_that_no_route_takes_are_warned_of() {
        let text = "[functions.f]\nruntime = \"provided\"\ncode = \"f\"\nresult_topic = \"a/b\"\n";
        let warned = |text: &str| warnings(&parse(text, "tomte.toml").unwrap());
        assert_eq!(
            warned(text),
            ["functions.f: results go nowhere, no route takes a/b from function:f"]
        );
        let route = "[[routes]]\nfrom = \"function:f\"\ntopic = \"a/+\"\nto = \"subscribers\"\n";
        assert!(warned(&format!("{text}{route}")).is_empty());
    }

    #[test]
    fn a_rule_that_asks_for_what_no_device_has_is_warned_of() {
        let warned = |only: &str| {
            let text = format!(
                "[devices.fan.attributes]\ncodes = [\"A\"]\n[devices.lamp.attributes]\nfloor = 2\n\
                 [[routes]]\nname = \"alarm\"\nfrom = \"device:*\"\ntopic = \"a/+\"\nto = \"subscribers\"\n\
                 only = \"{only}\"\n"
            );
            warnings(&parse(&text, "tomte.toml").unwrap())
        };
        assert_eq!(
            warned("'A' in receiver.code || receiver.floors > 1.0"),
            [
                "routes[0] \"alarm\": only asks for receiver.code, and no device has the attribute code; did you mean codes?",
                "routes[0] \"alarm\": only asks for receiver.floors, and no device has the attribute floors; did you mean floor?"
            ]
        );
        assert_eq!(
            warned("has(receiver.temperature)"),
            [
                "routes[0] \"alarm\": only asks for receiver.temperature, and no device has the attribute temperature"
            ]
        );
        assert!(
            warned("'A' in receiver.codes || receiver.floor == 2.0 || receiver.name == 'x'")
                .is_empty()
        );
    }
}
