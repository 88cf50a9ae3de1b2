use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value};

use super::check::RECEIVER;
use super::work::Work;
use super::{Compiled, EvaluationError, MAX_WORK, MessageView};
use crate::Receiver;

/// The standard functions and macros of CEL. What conditions leave out is refused by the check.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

pub(super) fn environment() -> &'static Env {
    &ENVIRONMENT
}

/// Returns the name of the variable that charges a round of the loop `number` when it is looked up.
/// No text can spell it, `@` is no letter of CEL.
pub(super) fn round_variable(number: usize) -> String {
    format!("@round{number}")
}

pub(super) fn evaluate(
    condition: &Compiled,
    view: &MessageView<'_>,
    receiver: Option<&Receiver>,
    left: &mut u64,
) -> Result<bool, EvaluationError> {
    let mut width = view.width() + receiver.map_or(0, |receiver| receiver.width);
    if condition.reads_payload {
        width += view.json().map_or(0, |json| json.width);
    }
    let may_spend = MAX_WORK.min(*left);
    let budget = Budget { left: AtomicU64::new(may_spend), rounds: &condition.rounds, width };
    budget.spend(condition.once).ok_or(EvaluationError::TooCostly)?;
    let lookup = Lookup { view, receiver, budget };
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(&lookup);
    let result = Value::resolve_val(&condition.expression, &context);
    *left -= may_spend - lookup.budget.left.load(Ordering::Relaxed);
    if lookup.budget.is_spent() {
        return Err(EvaluationError::TooCostly);
    }
    match result {
        Ok(value) => truth(&value),
        Err(error) => Err(explain(&error, view)),
    }
}

fn truth(value: &CowVal<'_, '_>) -> Result<bool, EvaluationError> {
    let got = || EvaluationError::NotBoolean { got: value.get_type().name().to_owned() };
    value.downcast_ref::<CelBool>().map(|truth| *truth.inner()).ok_or_else(got)
}

/// The expression names no variable that does not exist, so one that is missing is the payload.
fn explain(error: &ExecutionError, view: &MessageView<'_>) -> EvaluationError {
    match (error, view.json()) {
        (ExecutionError::UndeclaredReference(_), Err(reason)) => reason.clone(),
        _ => EvaluationError::of_execution(error),
    }
}

/// The variables of one evaluation.
struct Lookup<'a, 'm> {
    view: &'a MessageView<'m>,
    receiver: Option<&'a Receiver>,
    budget: Budget<'a>,
}

impl VariableResolver for Lookup<'_, '_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match variable.strip_prefix("@round") {
            Some(number) => {
                self.budget.begin_round(number.parse().ok()?)?;
                Some(CowVal::owned(CelBool::from(true)))
            }
            None if variable == RECEIVER => {
                let receiver: &'b (dyn Val + 'b) = &self.receiver?.value;
                Some(CowVal::Borrowed(receiver))
            }
            None => self.view.variable(variable),
        }
    }
}

/// What an evaluation may still cost. Atomic only because the library asks for it.
struct Budget<'a> {
    left: AtomicU64,
    rounds: &'a [Work],
    width: u64,
}

impl Budget<'_> {
    fn begin_round(&self, number: usize) -> Option<()> {
        self.spend(*self.rounds.get(number)?)
    }

    /// Takes what `work` costs, none when not enough is left; then nothing is left at all.
    fn spend(&self, work: Work) -> Option<()> {
        let left = self.left.load(Ordering::Relaxed).checked_sub(work.units(self.width));
        self.left.store(left.unwrap_or(0), Ordering::Relaxed);
        left.map(|_| ())
    }

    fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}
