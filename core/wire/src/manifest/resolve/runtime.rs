use tomte_base::ByteSize;
use tomte_route::nearest;

use crate::manifest::diagnostic::Complaint;
use crate::manifest::meant::Runtime;

/// Versions of Python 3 that are known.
const PYTHON_MINORS: std::ops::RangeInclusive<u8> = 8..=14;

/// Versions of Node.js that are known: those with long support.
const NODE_MAJORS: [u8; 4] = [18, 20, 22, 24];

/// Names for an executable called `bootstrap`.
const PROVIDED: [&str; 3] = ["provided", "provided.al2", "provided.al2023"];

/// Reads the name of a runtime.
pub(super) fn runtime(name: &str) -> Result<Runtime, Complaint> {
    if name == "wasm" {
        let complaint = Complaint::new("\"wasm\" is not available in this version yet");
        return Err(complaint.expected(known_names()));
    }
    if PROVIDED.contains(&name) {
        return Ok(Runtime::Provided);
    }
    if name == "python3" {
        return Ok(Runtime::Python { minor: None });
    }
    if name == "nodejs" {
        return Ok(Runtime::Node { major: None });
    }
    if let Some(minor) = PYTHON_MINORS.into_iter().find(|minor| name == format!("python3.{minor}"))
    {
        return Ok(Runtime::Python { minor: Some(minor) });
    }
    if let Some(major) = NODE_MAJORS.into_iter().find(|major| name == format!("nodejs{major}.x")) {
        return Ok(Runtime::Node { major: Some(major) });
    }
    let names = all_names();
    let nearest = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
    Err(Complaint::new(format!("there is no runtime {name:?}"))
        .expected(known_names())
        .did_you_mean(nearest.as_deref()))
}

fn all_names() -> Vec<String> {
    let python = PYTHON_MINORS.map(|minor| format!("python3.{minor}"));
    let node = NODE_MAJORS.iter().map(|major| format!("nodejs{major}.x"));
    let plain = ["python3", "nodejs"].into_iter().chain(PROVIDED).map(str::to_owned);
    plain.chain(python).chain(node).collect()
}

fn known_names() -> String {
    let majors: Vec<String> = NODE_MAJORS.iter().map(|major| format!("nodejs{major}.x")).collect();
    format!(
        "python3, python3.{} to python3.{}, nodejs, {}, {}",
        PYTHON_MINORS.start(),
        PYTHON_MINORS.end(),
        majors.join(", "),
        PROVIDED.join(", ")
    )
}

impl Runtime {
    /// Returns the least memory in which a worker of this runtime can start.
    pub(super) fn least_memory(self) -> ByteSize {
        match self {
            Runtime::Provided => ByteSize::mib(8),
            Runtime::Python { .. } => ByteSize::mib(16),
            Runtime::Node { .. } => ByteSize::mib(32),
        }
    }
}

/// Checks that `handler` names something that the runtime can call.
pub(super) fn handler(runtime: Runtime, handler: Option<&str>) -> Result<String, Complaint> {
    let form = "\"module.function\", for example \"app.handler\"";
    let handler = match (runtime, handler) {
        (Runtime::Provided, None) => return Ok("bootstrap".to_owned()),
        (Runtime::Provided, Some(handler)) if is_plain_word(handler) => {
            return Ok(handler.to_owned());
        }
        (Runtime::Provided, Some(handler)) => {
            let message = format!("{handler:?} is empty, too long or holds blanks");
            return Err(Complaint::new(message));
        }
        (_, None) => return Err(Complaint::new("the key \"handler\" is missing").expected(form)),
        (_, Some(handler)) => handler,
    };
    let is_identifier = |name: &str| {
        let starts_well = name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$'));
        starts_well && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
    };
    let is_module = |module: &str| {
        let parts = module.split(['/', '.']);
        parts.into_iter().all(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "_-$".contains(c))
        })
    };
    let whole = handler.rsplit_once('.').is_some_and(|(module, function)| {
        is_plain_word(handler) && is_module(module) && is_identifier(function)
    });
    match whole {
        true => Ok(handler.to_owned()),
        false => Err(Complaint::new(format!("{handler:?} is no handler")).expected(form)),
    }
}

fn is_plain_word(text: &str) -> bool {
    let fits = (1..=128).contains(&text.len());
    fits && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
