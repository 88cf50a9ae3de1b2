use std::collections::BTreeMap;

use super::context::Context;
use crate::manifest::diagnostic::Complaint;
use crate::manifest::key_path::KeyPath;

/// Most bytes of all names and values together, as in AWS Lambda.
const MAX_ENVIRONMENT_BYTES: usize = 4096;

/// Names that the hub gives a value in each worker, as AWS Lambda does.
const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

/// Beginnings of names that the hub gives a value in each worker.
const RESERVED_BEGINNINGS: [&str; 2] = ["TOMTE_", "AWS_ENDPOINT_URL"];

pub(super) fn check(
    environment: &BTreeMap<String, String>,
    function: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) {
    let table = function.key("environment");
    for (name, value) in environment {
        if let Some(complaint) = complaint_about(name, value) {
            context.complain_about_key(&table.key(name), complaint);
        }
    }
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_ENVIRONMENT_BYTES {
        let message = format!("{bytes} bytes of names and values");
        let complaint = Complaint::new(message)
            .expected(format!("at most {MAX_ENVIRONMENT_BYTES} bytes"))
            .help("put long settings into a file beside the code");
        context.complain(&table, complaint);
    }
}

fn complaint_about(name: &str, value: &str) -> Option<Complaint> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let complaint = Complaint::new(format!("{name:?} is no name of an environment variable"));
        return Some(complaint.expected("letters, digits and _, not a digit first"));
    }
    let beginning = RESERVED_BEGINNINGS.iter().find(|beginning| name.starts_with(**beginning));
    if RESERVED.contains(&name) || beginning.is_some() {
        let complaint = Complaint::new(format!("the name {name:?} is reserved"));
        return Some(complaint.help("the hub sets it for each worker; choose another name"));
    }
    value.contains('\0').then(|| Complaint::new(format!("the value of {name:?} holds a null")))
}
