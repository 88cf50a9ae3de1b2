//! Conditions of routes: CEL expressions over one message, with bounds on what they may cost.
//!
//! | variable | type | holds |
//! |---|---|---|
//! | `payload` | any | the payload, read as JSON |
//! | `topic` | string | the topic |
//! | `levels` | list | the levels of the topic |
//! | `source` | string | `device:thermometer` |
//! | `size` | int | length of the payload in bytes |
//! | `properties` | map | the user properties; of a name that repeats, the last |
//! | `receiver` | map | only for message rules: the `name` of the receiving device, its attributes |
//!
//! Numbers of a payload are doubles, as CEL maps JSON, so that `31` and `31.5` have one type; only
//! whole numbers that a double cannot hold exactly keep the type int or uint. Comparisons work
//! across number types, arithmetic does not: write `payload.celsius * 1.8 + 32.0`, or convert with
//! `int()`.
//!
//! # Bounds
//!
//! The crate `cel` bounds neither the stack nor the work of an evaluation, so this module does:
//!
//! * the text has at most [`MAX_TEXT_BYTES`] bytes, [`MAX_MARKS`] operators and brackets and
//!   [`MAX_BRACKETS`] open brackets, which bounds the parser;
//! * the parsed expression is at most [`MAX_DEPTH`] deep, which bounds the stack of an evaluation;
//! * macros (`all`, `exists`, `exists_one`, `filter`) are nested at most [`MAX_MACROS`] deep, and
//!   `map`, whose results can double in each round, is not offered;
//! * a payload is read up to [`MAX_JSON_BYTES`] bytes and 128 levels;
//! * an evaluation has [`MAX_WORK`] units to spend. A unit is one node of the expression, or one
//!   value of the payload copied or compared. What an expression does once is charged before it
//!   starts; each round of a macro is charged when it begins, and ends the evaluation when nothing
//!   is left.

mod check;
mod error;
mod evaluate;
mod json;
mod message_view;
mod receiver_keys;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::IdedExpr;

use crate::Receiver;

pub use error::{ConditionError, ConditionErrorReason, EvaluationError};
pub(crate) use json::text_width;
pub use message_view::MessageView;
use work::Work;

/// Longest text of a condition, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Most operators, dots, commas and brackets of a condition.
pub const MAX_MARKS: usize = 128;

/// Most brackets that are open at once.
pub const MAX_BRACKETS: usize = 16;

/// Greatest depth of the parsed expression.
pub const MAX_DEPTH: usize = 24;

/// Most macros around one place of the expression.
pub const MAX_MACROS: usize = 2;

/// Longest payload that a condition reads, in bytes.
pub const MAX_JSON_BYTES: usize = 64 << 10;

/// Most units of work of one evaluation; on ordinary machines less than a tenth of a second.
pub const MAX_WORK: u64 = 500_000;

/// Most units of work for all receivers of one message under one rule; those after it count as not
/// chosen.
pub const MAX_RULE_WORK: u64 = 10 * MAX_WORK;

/// A compiled condition. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Condition(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: String,
    expression: IdedExpr,
    /// What everything outside of loops costs.
    once: Work,
    /// What one round of each loop costs, by its number.
    rounds: Vec<Work>,
    reads_payload: bool,
    receiver_keys: BTreeSet<String>,
}

impl Condition {
    /// Compiles `text`.
    ///
    /// # Errors
    /// Fails with [`ConditionError`], which tells the line and column, when the text is no CEL, uses
    /// names or functions that conditions do not have, cannot yield true or false, or breaks one of
    /// the bounds of the module.
    pub fn compile(text: &str) -> Result<Self, ConditionError> {
        Self::compile_in(text, false)
    }

    /// Compiles `text` as the choice of a message rule, which sees each `receiver` besides the
    /// message.
    ///
    /// # Errors
    /// Fails as [`Self::compile`] does.
    pub fn compile_for_receiver(text: &str) -> Result<Self, ConditionError> {
        Self::compile_in(text, true)
    }

    fn compile_in(text: &str, has_receiver: bool) -> Result<Self, ConditionError> {
        check::check_text(text)?;
        let program = evaluate::environment()
            .compile(text)
            .map_err(|errors| ConditionError::of_syntax(text, &errors))?;
        let checked = check::check_program(text, &program, has_receiver)?;
        Ok(Self(Arc::new(Compiled {
            text: text.to_owned(),
            expression: checked.expression,
            once: checked.once,
            rounds: checked.rounds,
            reads_payload: checked.reads_payload,
            receiver_keys: checked.receiver_keys,
        })))
    }

    /// Tells whether the message of `view` fulfils the condition.
    ///
    /// # Errors
    /// Fails with [`EvaluationError`] when that cannot be told, for example because the payload lacks
    /// a key; the message then counts as one that does not match.
    pub fn evaluate(&self, view: &MessageView<'_>) -> Result<bool, EvaluationError> {
        let mut alone = MAX_WORK;
        evaluate::evaluate(&self.0, view, None, &mut alone)
    }

    /// Tells whether `receiver` is chosen for the message of `view`. `left` is the work that may
    /// still be done for the message, at first [`MAX_RULE_WORK`].
    ///
    /// # Errors
    /// Fails with [`EvaluationError`] when that cannot be told, for example because the receiver
    /// lacks an attribute; it then counts as one that is not chosen.
    pub fn chooses(
        &self,
        view: &MessageView<'_>,
        receiver: &Receiver,
        left: &mut u64,
    ) -> Result<bool, EvaluationError> {
        evaluate::evaluate(&self.0, view, Some(receiver), left)
    }

    /// Returns the keys of the variable `receiver` that the condition asks for by name: `name` and
    /// attributes.
    pub fn receiver_keys(&self) -> impl Iterator<Item = &str> {
        self.0.receiver_keys.iter().map(String::as_str)
    }

    /// Returns the condition as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Condition {}

#[cfg(test)]
mod tests;
