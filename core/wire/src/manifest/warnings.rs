use tomte_base::Source;

use super::meant::Manifest;

/// Returns what a manifest says that is allowed, but hardly what was meant.
#[must_use]
pub fn warnings(manifest: &Manifest) -> Vec<String> {
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
}
