use std::fmt;

use cel::{ExecutionError, ParseErrors, Value};

use super::check::RECEIVER;
use super::{
    MAX_BRACKETS, MAX_DEPTH, MAX_JSON_BYTES, MAX_MACROS, MAX_MARKS, MAX_TEXT_BYTES, MAX_WORK,
};
use crate::endpoint::did_you_mean;

/// Longest text taken over from the CEL library into a message, in characters.
const MAX_QUOTED: usize = 200;

/// Why a text is no condition, and where in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// The line of the text, from 1.
    pub line: usize,
    /// The column in that line, in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: ConditionErrorReason,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionErrorReason {
    /// The text is longer than the limit.
    #[error("the condition has {length} bytes, at most {MAX_TEXT_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// There are too many operators and brackets.
    #[error("the condition has more than {MAX_MARKS} operators and brackets")]
    TooManyMarks,
    /// Brackets or operators are nested too deep.
    #[error(
        "the condition is nested too deep, {MAX_BRACKETS} brackets and {MAX_DEPTH} operators are allowed"
    )]
    TooDeep,
    /// Macros are nested too deep.
    #[error("at most {MAX_MACROS} of all, exists, exists_one and filter can be nested")]
    TooManyMacros,
    /// The text does not follow the grammar.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// What was probably meant.
        hint: Option<&'static str>,
    },
    /// A variable that conditions do not have.
    #[error("there is no variable {name:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
    /// A function that conditions do not have.
    #[error("there is no function {name:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownFunction {
        /// Its name.
        name: String,
        /// The function that was probably meant.
        nearest: Option<String>,
    },
    /// A function that exists, called in another way.
    #[error("{name:?} is called as {form}")]
    WrongCall {
        /// Its name.
        name: String,
        /// How it is called.
        form: &'static str,
    },
    /// Something of CEL that conditions leave out.
    #[error("conditions have no {what}")]
    NotOffered {
        /// What is left out.
        what: &'static str,
    },
    /// The expression yields something else than true or false.
    #[error("the condition yields {what}, not true or false")]
    NotBoolean {
        /// What it yields.
        what: &'static str,
    },
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            1 => write!(f, "column {}: {}", self.column, self.reason),
            line => write!(f, "line {line}, column {}: {}", self.column, self.reason),
        }
    }
}

impl std::error::Error for ConditionError {}

impl ConditionError {
    /// Returns the error at the byte `offset` of `text`.
    pub(super) fn at(text: &str, offset: usize, reason: ConditionErrorReason) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            reason,
        }
    }

    pub(super) fn of_syntax(text: &str, errors: &ParseErrors) -> Self {
        let Some(first) = errors.errors.first() else {
            return Self::at(text, 0, ConditionErrorReason::NotOffered { what: "such form" });
        };
        let position = |at: isize| usize::try_from(at).unwrap_or(0).max(1);
        let message = plain_syntax_message(&first.msg);
        let hint = syntax_hint(text, position(first.pos.1));
        let reason = ConditionErrorReason::Syntax { message, hint };
        Self { line: position(first.pos.0), column: position(first.pos.1), reason }
    }

    /// Returns what would be allowed, where that can be listed.
    #[must_use]
    pub fn allowed(&self) -> Option<String> {
        use ConditionErrorReason as Reason;
        match &self.reason {
            Reason::UnknownVariable { .. } => Some(super::check::VARIABLES.join(", ")),
            Reason::UnknownFunction { .. } => Some(super::check::function_names().join(", ")),
            Reason::NotBoolean { .. } => Some("a comparison, for example payload.x > 28".into()),
            Reason::NotOffered { what: "map()" } => Some("all, exists, exists_one, filter".into()),
            _ => None,
        }
    }

    /// Returns what was probably meant by a sign or word of another language.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self.reason {
            ConditionErrorReason::Syntax { hint, .. } => hint,
            ConditionErrorReason::UnknownVariable { ref name, .. } if name == RECEIVER => {
                Some("the receiver is known in only, not in when")
            }
            _ => None,
        }
    }
}

/// Leaves out what only the authors of the grammar understand.
fn plain_syntax_message(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting ").next().unwrap_or(message);
    let wordings = [
        "mismatched input ",
        "extraneous input ",
        "no viable alternative at input ",
        "token recognition error at: ",
    ];
    if let Some(input) = wordings.iter().find_map(|wording| message.strip_prefix(wording)) {
        return match input {
            "'<EOF>'" => "the expression ends too early".to_owned(),
            input => format!("unexpected {}", shorten(input)),
        };
    }
    match message {
        "invalid argument to has() macro" => "has() asks for a key: has(payload.key)".to_owned(),
        other if other.starts_with("Incomplete ") => "the expression is not complete".to_owned(),
        other => shorten(other),
    }
}

/// Returns what was probably meant by words and signs of other languages at `column`.
fn syntax_hint(text: &str, column: usize) -> Option<&'static str> {
    let rest: String = text.chars().skip(column - 1).collect();
    let hints = [
        ("=", "== compares"),
        ("and ", "&& is the word for and"),
        ("or ", "|| is the word for or"),
        ("not ", "! is the word for not"),
        ("& ", "&& is the word for and"),
        ("| ", "|| is the word for or"),
    ];
    hints.iter().find(|(sign, _)| rest.starts_with(sign)).map(|(_, hint)| *hint)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why it cannot be told whether a message fulfils a condition. The route then does not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The condition reads a payload that is not JSON.
    #[error("the payload is not JSON: {reason}")]
    NotJson {
        /// Why not, and where.
        reason: String,
    },
    /// The condition reads a payload that is too long.
    #[error("the payload has {length} bytes, conditions read at most {MAX_JSON_BYTES}")]
    PayloadTooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// The condition reads a key that is not there.
    #[error("there is no key {key:?}")]
    NoSuchKey {
        /// The key.
        key: String,
    },
    /// The operator or function does not work on values of these types.
    #[error("{operation} does not work on {}{}", .types.join(" and "), number_hint(.types))]
    WrongTypes {
        /// The operator or function.
        operation: String,
        /// The types of its operands.
        types: Vec<String>,
    },
    /// The condition yields something else than true or false for this message.
    #[error("the condition yields {got}, not true or false")]
    NotBoolean {
        /// The type that it yields.
        got: String,
    },
    /// The evaluation would take too long.
    #[error("the condition takes more than {MAX_WORK} steps on this message")]
    TooCostly,
    /// Another failure of the expression, such as a division by zero.
    #[error("{message}")]
    Failed {
        /// What failed.
        message: String,
    },
}

fn number_hint(types: &[String]) -> &'static str {
    let has = |name: &str| types.iter().any(|of| of == name);
    if has("double") && (has("int") || has("uint")) {
        "; numbers of a payload are doubles: write 1.0 for 1, or convert with int()"
    } else {
        ""
    }
}

impl EvaluationError {
    pub(super) fn of_execution(error: &ExecutionError) -> Self {
        match error {
            ExecutionError::NoSuchKey(key) => Self::NoSuchKey { key: shorten(key) },
            ExecutionError::NoSuchOverload(overload) => {
                Self::of_types(overload.function(), overload.argument_types().to_vec())
            }
            ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
                Self::of_types(operator, vec![type_name(left), type_name(right)])
            }
            other => Self::Failed { message: plain_failure(other) },
        }
    }

    fn of_types(operation: &str, types: Vec<String>) -> Self {
        match (operation, types.first()) {
            ("_._", Some(of)) => {
                Self::Failed { message: format!("a value of type {of} has no keys") }
            }
            _ => Self::WrongTypes { operation: plain_operator(operation).to_owned(), types },
        }
    }
}

fn type_name(value: &Value) -> String {
    match value.type_of().to_string().as_str() {
        "float" => "double".to_owned(),
        other => other.to_owned(),
    }
}

fn plain_failure(error: &ExecutionError) -> String {
    match error {
        ExecutionError::UnexpectedType { got, want } if want == "iterable" => {
            format!("{got} where a list or map is needed")
        }
        ExecutionError::UnexpectedType { got, want } => format!("{got} where {want} is needed"),
        ExecutionError::FunctionError { function, message } => {
            shorten(&format!("{function}(): {message}"))
        }
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "remainder of a division by zero".to_owned(),
        ExecutionError::Overflow(..) => "the result is too large a number".to_owned(),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => {
            format!("the list has no element {index}")
        }
        other => shorten(&other.to_string()),
    }
}

/// Returns the operator as it is written.
fn plain_operator(name: &str) -> &str {
    match name {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        "@in" => "in",
        "_[_]" => "[ ]",
        other => other.trim_matches('_'),
    }
}
