//! From a manifest to what the machine and the worker pool are told.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tomte_base::{ByteSize, FunctionName, MilliCpu};
use tomte_broker::{Overflow, QueueLimits};
use tomte_core_hub::{Config, FunctionConfig, Limits};
use tomte_route::RouteTable;
use tomte_sandbox::runtime::{self, FunctionFacts, Wanted};
use tomte_scheduler::{Free, FunctionLimits, SchedulerLimits};
use tomte_store::CodeStore;
use tomte_wire::manifest::{self, Function, FunctionsMemory, Manifest, Reserve, Runtime};

use crate::workers::{Templates, WorkerTemplate};

/// Workers at once, whatever their size.
const MAX_WORKERS: u32 = 256;
/// Share of the machine's memory that functions may use when the manifest says `auto`, in per cent.
const FUNCTIONS_MEMORY_PER_CENT: u64 = 75;
/// Waiting calls of one function.
const MAX_QUEUED_PER_FUNCTION: u32 = 10_000;
/// Oldest versions that stand for "any": what the runtime clients need.
const OLDEST_PYTHON: u32 = 8;
const OLDEST_NODE: u32 = 18;
/// The region that functions are told, as the cloud would.
const REGION: &str = "local";

/// The machine's configuration before the first deployment: nothing is routed.
pub(crate) fn empty() -> Config {
    Config { table: RouteTable::empty(), functions: BTreeMap::new(), limits: Limits::default() }
}

/// What the machine is told of a manifest whose code has these digests.
pub(crate) fn of(manifest: &Manifest, code: &BTreeMap<String, String>) -> Config {
    let functions = manifest.functions.values().map(|function| {
        let config = FunctionConfig {
            limits: function_limits(function, code),
            result_topic: function.result_topic.clone(),
        };
        (function.name.clone(), config)
    });
    Config {
        table: manifest.table.clone(),
        functions: functions.collect(),
        limits: limits(&manifest.limits),
    }
}

fn limits(written: &manifest::Limits) -> Limits {
    let bytes = |size: ByteSize| u32::try_from(size.0).unwrap_or(u32::MAX);
    Limits {
        max_packet: bytes(written.max_packet),
        receive_maximum: written.receive_maximum,
        topic_alias_maximum: written.topic_alias_maximum,
        topic_alias_maximum_out: written.topic_alias_maximum_out,
        maximum_qos: written.maximum_qos,
        keep_alive_max: written.keep_alive_max,
        connect_timeout: written.connect_timeout,
        max_connections: written.max_connections,
        max_connecting: written.max_connecting,
        max_sessions: written.max_sessions,
        max_subscriptions: written.max_subscriptions,
        max_subscription_bytes: written.subscription_bytes,
        max_session_expiry: written.session_expiry_max,
        session_queue: QueueLimits {
            max_messages: written.session_messages,
            max_bytes: written.session_bytes,
            overflow: match written.session_overflow {
                tomte_route::Overflow::DropOldest => Overflow::DropOldest,
                tomte_route::Overflow::DropNewest => Overflow::DropNewest,
            },
        },
        max_queued: written.queued_bytes,
        max_queued_deliveries: written.queued_deliveries,
        slow_reader_timeout: written.slow_reader_timeout,
        output_high_water: bytes(written.output_buffer) as usize,
        max_retained: written.retained_messages,
        max_retained_bytes: written.retained_bytes,
        max_hops: written.max_hops,
        ..Limits::default()
    }
}

fn function_limits(function: &Function, code: &BTreeMap<String, String>) -> FunctionLimits {
    FunctionLimits {
        name: function.name.clone(),
        memory: function.memory,
        cpu: MilliCpu(0),
        timeout: function.timeout,
        mode: function.mode,
        max_concurrency: function.max_concurrency,
        max_workers: function.workers.max,
        reserve: match function.workers.reserve {
            // A forecast of demand is not there yet: nothing is kept warm beyond the idle time.
            Reserve::Auto => 0,
            Reserve::Fixed(n) => n,
        },
        priority: function.priority,
        idle_timeout: function.idle_timeout,
        max_queue: MAX_QUEUED_PER_FUNCTION,
        version: version(function, code),
    }
}

/// Names code and settings together: workers of another version are replaced.
fn version(function: &Function, code: &BTreeMap<String, String>) -> String {
    let digest = code.get(function.name.as_str()).map_or("", String::as_str);
    let mut hasher = DefaultHasher::new();
    (function.runtime, &function.handler, function.memory, &function.environment).hash(&mut hasher);
    format!("{:.12}-{:016x}", digest, hasher.finish())
}

/// The scheduler's bounds.
pub(crate) fn scheduling(limits: &manifest::Limits) -> SchedulerLimits {
    SchedulerLimits {
        max_queued_calls: limits.queued_calls,
        max_queued_bytes: limits.queued_call_bytes,
        start_timeout: Duration::from_secs(30),
        ..SchedulerLimits::default()
    }
}

/// What functions may use of this machine.
pub(crate) fn machine(limits: &manifest::Limits) -> Free {
    let memory = match limits.functions_memory {
        FunctionsMemory::Fixed(size) => size,
        FunctionsMemory::Auto => ByteSize(memory_of_machine() / 100 * FUNCTIONS_MEMORY_PER_CENT),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpu = MilliCpu(u32::try_from(cores).unwrap_or(u32::MAX).saturating_mul(1_000));
    Free { memory, cpu, workers: MAX_WORKERS }
}

fn memory_of_machine() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(1 << 30, |kib| kib << 10)
}

/// How workers are made, and what is not as the manifest asks.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) templates: Templates,
    /// What runs, but with another version than was asked for.
    pub(crate) warnings: Vec<String>,
    /// Functions that cannot run here, with the reason and what to install.
    pub(crate) missing: Vec<(FunctionName, String)>,
}

/// Finds interpreters and prepares the command of every function.
pub(crate) fn templates(
    manifest: &Manifest,
    code: &BTreeMap<String, String>,
    store: &CodeStore,
) -> Made {
    let mut made = Made::default();
    for function in manifest.functions.values() {
        match template(function, code, store, &mut made.warnings) {
            Ok(template) => {
                made.templates.insert(function.name.clone(), template);
            }
            Err(missing) => made.missing.push((function.name.clone(), missing)),
        }
    }
    made
}

fn template(
    function: &Function,
    code: &BTreeMap<String, String>,
    store: &CodeStore,
    warnings: &mut Vec<String>,
) -> Result<WorkerTemplate, String> {
    let digest = code.get(function.name.as_str()).map_or("", String::as_str);
    let wanted = wanted(function.runtime);
    let mut template = WorkerTemplate {
        version: version(function, code),
        argv: vec!["/var/task/bootstrap".into()],
        env: Vec::new(),
        code: store.folder(digest),
        runtime_files: Vec::new(),
        extra_read_only: Vec::new(),
        memory: function.memory.0,
        cpu_millis: 0,
    };
    let mut found = None;
    if let Some(wanted) = wanted {
        let interpreter = runtime::find(&wanted).map_err(|missing| missing.to_string())?;
        if !interpreter.exact && !any_version(function.runtime) {
            warnings.push(format!(
                "functions.{}: {} is asked for, {} {} runs it",
                function.name,
                function.runtime_name,
                wanted.language(),
                interpreter.version
            ));
        }
        let (argv, env) = runtime::command(&interpreter, &function.handler);
        (template.argv, template.env) = (argv, env);
        template.runtime_files = wanted.client_files();
        template.extra_read_only = interpreter.read_only;
        found = Some(wanted);
    }
    let facts = FunctionFacts {
        name: function.name.to_string(),
        version: "$LATEST".to_owned(),
        handler: function.handler.clone(),
        runtime: found,
        memory: function.memory.0,
        region: REGION.to_owned(),
        log_group: format!("/aws/lambda/{}", function.name),
        log_stream: template.version.clone(),
        variables: function.environment.clone().into_iter().collect(),
    };
    let environment = runtime::environment(&facts);
    template.env.retain(|(name, _)| environment.iter().all(|(n, _)| n != name));
    template.env.extend(environment);
    Ok(template)
}

fn any_version(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Python { minor: None } | Runtime::Node { major: None })
}

fn wanted(runtime: Runtime) -> Option<Wanted> {
    match runtime {
        Runtime::Python { minor } => {
            Some(Wanted::Python { minor: minor.map_or(OLDEST_PYTHON, u32::from) })
        }
        Runtime::Node { major } => {
            Some(Wanted::Node { major: major.map_or(OLDEST_NODE, u32::from) })
        }
        Runtime::Provided => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(written: &str) -> Limits {
        let manifest = manifest::parse(&format!("[limits]\n{written}"), "tomte.toml").unwrap();
        limits(&manifest.limits)
    }

    /// A longer record would end the process.
    #[test]
    fn the_journal_takes_the_largest_record_that_the_largest_limits_allow() {
        let largest = "max_packet = \"268435460B\"\nmax_sessions = 10000000\n";
        for written in ["", largest] {
            let largest = limits_of(written).largest_record();
            assert!(largest <= tomte_journal::MAX_RECORD_BYTES as u64, "{largest} bytes");
        }
    }
}
