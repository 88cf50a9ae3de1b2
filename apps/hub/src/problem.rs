//! Refusals of the control interface: a status, a word for programs, a sentence for people.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
pub(crate) use tomte_base::error_chain as chain;
use tomte_wire::control::Problem;

/// A [`Problem`] with its HTTP status.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    problem: Problem,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: &str, message: impl ToString) -> Self {
        let problem = Problem {
            reason: reason.to_owned(),
            message: message.to_string(),
            help: String::new(),
        };
        Self { status, problem }
    }

    /// A problem that somebody else has put into words.
    pub(crate) fn of(status: StatusCode, problem: Problem) -> Self {
        Self { status, problem }
    }

    pub(crate) fn bad(reason: &str, message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, message)
    }

    pub(crate) fn not_found(reason: &str, message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, message)
    }

    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        let message = format!("{:#}", error.into());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }

    /// Says what to do next.
    pub(crate) fn help(mut self, help: &str) -> Self {
        help.clone_into(&mut self.problem.help);
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.message.fmt(f)
    }
}

impl std::error::Error for Refusal {}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}
