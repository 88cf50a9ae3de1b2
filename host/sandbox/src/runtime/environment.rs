//! The environment variables of a worker.

use std::ffi::OsString;

use super::Wanted;
use crate::spec::WORKER_API_ADDRESS;

/// Share of a worker's memory that Node.js may use for old objects, in per cent. Its own guess looks
/// at the memory of the machine.
const NODE_HEAP_PER_CENT: u64 = 75;

/// What the environment of a worker is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionFacts {
    /// Name of the function.
    pub name: String,
    /// Version of the function, `$LATEST` where versions do not matter.
    pub version: String,
    /// The handler: `module.function`.
    pub handler: String,
    /// Language of the function; nothing when it brings its own runtime.
    pub runtime: Option<Wanted>,
    /// Memory limit in bytes.
    pub memory: u64,
    /// Region that functions written for the cloud read.
    pub region: String,
    /// Name of the log group.
    pub log_group: String,
    /// Name of the log stream.
    pub log_stream: String,
    /// What the owner of the function sets. Wins over everything but the names that the platform
    /// keeps for itself.
    pub variables: Vec<(String, String)>,
}

/// Returns the environment that a worker of the function starts with.
#[must_use]
pub fn environment(facts: &FunctionFacts) -> Vec<(OsString, OsString)> {
    let kept = kept_by_platform(facts);
    let own = facts.variables.iter().filter(|(name, _)| kept.iter().all(|(n, _)| n != name));
    let own: Vec<(String, String)> = own.cloned().collect();
    let defaults =
        defaults(facts).into_iter().filter(|(name, _)| own.iter().all(|(n, _)| n != name));
    let all = kept.iter().cloned().chain(defaults).map(|(name, value)| (name.to_owned(), value));
    all.chain(own.clone()).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Names that a function cannot set for itself.
fn kept_by_platform(facts: &FunctionFacts) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_LAMBDA_RUNTIME_API", WORKER_API_ADDRESS.into()),
        ("_HANDLER", facts.handler.clone()),
        ("LAMBDA_TASK_ROOT", "/var/task".into()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".into()),
        ("AWS_LAMBDA_FUNCTION_NAME", facts.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", facts.version.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", (facts.memory >> 20).to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", facts.log_group.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", facts.log_stream.clone()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("AWS_EXECUTION_ENV", execution_environment(facts.runtime)),
    ]
}

fn execution_environment(runtime: Option<Wanted>) -> String {
    match runtime {
        Some(Wanted::Python { minor }) => format!("AWS_Lambda_python3.{minor}"),
        Some(Wanted::Node { major }) => format!("AWS_Lambda_nodejs{major}.x"),
        None => "AWS_Lambda_provided".into(),
    }
}

fn defaults(facts: &FunctionFacts) -> Vec<(&'static str, String)> {
    let mut defaults = vec![
        ("AWS_REGION", facts.region.clone()),
        ("AWS_DEFAULT_REGION", facts.region.clone()),
        ("TZ", ":UTC".into()),
        ("LANG", "en_US.UTF-8".into()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".into()),
        ("LD_LIBRARY_PATH", "/var/task:/var/task/lib:/opt/lib".into()),
    ];
    match facts.runtime {
        Some(Wanted::Python { .. }) => defaults.push(("PYTHONPATH", "/var/runtime".into())),
        Some(Wanted::Node { major }) => {
            let layers = format!("/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules");
            defaults.push(("NODE_PATH", format!("{layers}:/var/runtime/node_modules")));
            let heap = (facts.memory >> 20) * NODE_HEAP_PER_CENT / 100;
            defaults.push(("NODE_OPTIONS", format!("--max-old-space-size={heap}")));
        }
        None => {}
    }
    defaults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(facts: &FunctionFacts, name: &str) -> Vec<String> {
        let environment = environment(facts).into_iter().filter(|(n, _)| n == name);
        environment.map(|(_, value)| value.into_string().unwrap()).collect()
    }

    fn facts(variables: &[(&str, &str)]) -> FunctionFacts {
        FunctionFacts {
            name: "regulate".into(),
            version: "$LATEST".into(),
            handler: "app.handler".into(),
            runtime: Some(Wanted::Node { major: 20 }),
            memory: 128 << 20,
            region: "local".into(),
            log_group: "/aws/lambda/regulate".into(),
            log_stream: "1".into(),
            variables: variables.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect(),
        }
    }

    #[test]
    fn memory_is_told_in_mebibytes_and_bounds_the_heap_of_node() {
        assert_eq!(value(&facts(&[]), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), ["128"]);
        assert_eq!(value(&facts(&[]), "NODE_OPTIONS"), ["--max-old-space-size=96"]);
    }

    #[test]
    fn a_variable_of_the_owner_replaces_a_default() {
        let facts = facts(&[("TZ", "Europe/Berlin"), ("GREETING", "hello")]);
        assert_eq!(value(&facts, "TZ"), ["Europe/Berlin"]);
        assert_eq!(value(&facts, "GREETING"), ["hello"]);
    }

    #[test]
    fn a_name_of_the_platform_cannot_be_replaced() {
        let facts = facts(&[("AWS_LAMBDA_RUNTIME_API", "evil:1"), ("_HANDLER", "x.y")]);
        assert_eq!(value(&facts, "AWS_LAMBDA_RUNTIME_API"), [WORKER_API_ADDRESS]);
        assert_eq!(value(&facts, "_HANDLER"), ["app.handler"]);
    }

    #[test]
    fn a_function_with_its_own_runtime_gets_no_language() {
        let facts = FunctionFacts { runtime: None, ..facts(&[]) };
        assert!(value(&facts, "NODE_PATH").is_empty() && value(&facts, "PYTHONPATH").is_empty());
        assert_eq!(value(&facts, "AWS_EXECUTION_ENV"), ["AWS_Lambda_provided"]);
    }
}
