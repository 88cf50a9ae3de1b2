use std::time::Duration;

use tomte_base::{ByteSize, FunctionName, TopicName};
use tomte_scheduler::{Mode, Priority};

use super::code_path::code_path;
use super::context::Context;
use super::limits::number;
use super::{description, environment, runtime};
use crate::manifest::diagnostic::Complaint;
use crate::manifest::key_path::{KeyPath, path};
use crate::manifest::meant::{Function, Reserve, Runtime, Workers};
use crate::manifest::written::{self, Checkpoint};

/// Memory of a worker that asks for none.
const DEFAULT_MEMORY: ByteSize = ByteSize::mib(128);

/// Most memory of one worker.
const MAX_MEMORY: ByteSize = ByteSize::mib(10_240);

/// Longest time of a call that asks for none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest time of a call, as in AWS Lambda.
const MAX_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Longest time of a call of a pinned function.
const MAX_PINNED_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);

/// Calls at once of a function that asks for no number.
const DEFAULT_CONCURRENCY: u32 = 10;

/// How long an idle worker is kept when nothing else is asked for.
const DEFAULT_IDLE: Duration = Duration::from_secs(5 * 60);

/// Longest time that an idle worker is kept.
const MAX_IDLE: Duration = Duration::from_secs(7 * 86_400);

pub(super) fn function(
    name: &FunctionName,
    written: written::Function,
    context: &mut Context<'_, '_, '_>,
) -> Option<Function> {
    let key = path(["functions", name.as_str()]);
    let runtime = runtime::runtime(&written.runtime)
        .map_err(|complaint| context.complain(&key.key("runtime"), complaint))
        .ok();
    let handler = runtime.and_then(|runtime| {
        runtime::handler(runtime, written.handler.as_deref())
            .map_err(|complaint| context.complain(&key.key("handler"), complaint))
            .ok()
    });
    let code = code_path(&written.code).map_err(|reason| format!("{:?}: {reason}", written.code));
    let code = context.accept(
        code,
        &key.key("code"),
        "a folder or a .zip below the manifest, for example \"functions/regulate\"",
    );
    let mode = mode(written.mode);
    check_checkpoint(written.checkpoint, &key, context);
    environment::check(&written.environment, &key, context);
    description(written.description.as_deref(), &key, context);
    let least_memory = runtime.map_or(ByteSize::mib(8), Runtime::least_memory);
    let most_time = if mode == Mode::Pinned { MAX_PINNED_TIMEOUT } else { MAX_TIMEOUT };
    let millisecond = Duration::from_millis(1);
    let memory = context.size(
        written.memory.as_ref(),
        DEFAULT_MEMORY,
        least_memory..=MAX_MEMORY,
        &key.key("memory"),
    );
    let timeout = context.span(
        written.timeout.as_ref(),
        DEFAULT_TIMEOUT,
        millisecond..=most_time,
        &key.key("timeout"),
    );
    let idle_timeout = context.span(
        written.idle_timeout.as_ref(),
        DEFAULT_IDLE,
        Duration::ZERO..=MAX_IDLE,
        &key.key("idle_timeout"),
    );
    let max_concurrency = number(written.max_concurrency, DEFAULT_CONCURRENCY);
    let workers = workers(&written.workers, max_concurrency, mode, &key, context);
    let result_topic = written.result_topic.and_then(|topic| {
        let topic = TopicName::new(&topic);
        context.accept(topic, &key.key("result_topic"), "a topic without wildcards")
    });
    Some(Function {
        name: name.clone(),
        runtime: runtime?,
        runtime_name: written.runtime,
        handler: handler?,
        code: code?,
        memory,
        timeout,
        mode,
        max_concurrency,
        priority: priority(written.priority),
        workers,
        idle_timeout,
        environment: written.environment,
        result_topic,
        description: written.description,
    })
}

fn mode(written: Option<written::Mode>) -> Mode {
    match written {
        Some(written::Mode::OnDemand) | None => Mode::OnDemand,
        Some(written::Mode::Pinned) => Mode::Pinned,
    }
}

fn priority(written: Option<written::Priority>) -> Priority {
    match written {
        Some(written::Priority::Low) => Priority::Low,
        Some(written::Priority::Normal) | None => Priority::Normal,
        Some(written::Priority::High) => Priority::High,
        Some(written::Priority::Urgent) => Priority::Urgent,
    }
}

fn check_checkpoint(
    checkpoint: Option<Checkpoint>,
    function: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) {
    if checkpoint.is_some_and(|checkpoint| checkpoint != Checkpoint::None) {
        let message = "checkpoints are not available in this version yet";
        let complaint = Complaint::new(message).expected("\"none\"");
        context.complain(&function.key("checkpoint"), complaint);
    }
}

fn workers(
    written: &written::Workers,
    max_concurrency: u32,
    mode: Mode,
    function: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> Workers {
    let reserve = match written.reserve {
        Some(written::Reserve::Fixed(count)) => Reserve::Fixed(number(Some(count), 0)),
        Some(written::Reserve::Word(_)) | None => Reserve::Auto,
    };
    let default_max = if mode == Mode::Pinned { 1 } else { max_concurrency };
    let max = number(written.max, default_max);
    let key = function.key("workers");
    if mode == Mode::Pinned && max > 1 {
        let message = format!("a pinned function has one worker, not {max}");
        context.complain(&key.key("max"), Complaint::new(message).expected("1"));
    }
    if let Reserve::Fixed(count) = reserve
        && count > max
    {
        let message = format!("{count} workers cannot be held ready, there are at most {max}");
        let complaint = Complaint::new(message).expected(format!("0 to {max}, or \"auto\""));
        context.complain(&key.key("reserve"), complaint.help("raise workers.max"));
    }
    Workers { reserve, max }
}
