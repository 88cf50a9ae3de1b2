//! How a call ended, for people and as an exit code.

use tomte_wire::control::CallReport;

use crate::exit::Exit;
use crate::moments::span_us;
use crate::paint::{Paint, Tint};
use crate::payload;

/// Returns the exit code for the end of a call.
pub(crate) fn exit_of(report: &CallReport) -> Exit {
    match report.outcome.as_str() {
        "succeeded" => Exit::Ok,
        "handled" => Exit::FunctionError,
        _ => Exit::PlatformError,
    }
}

/// Returns what the function returned, and on a second line how the call went.
pub(crate) fn render(report: &CallReport, paint: Paint) -> String {
    let bytes = payload::from_base64(&report.payload_base64).unwrap_or_default();
    let answer = String::from_utf8_lossy(&bytes).into_owned();
    match exit_of(report) {
        Exit::Ok => answer,
        _ => paint.apply(Tint::Bad, &readable_error(&answer)),
    }
}

/// Returns the line about times and worker.
pub(crate) fn summary(report: &CallReport) -> String {
    let how = match exit_of(report) {
        Exit::Ok => "returned",
        Exit::FunctionError => "the code returned an error",
        _ => "the platform ended it",
    };
    let worker = match (report.worker, report.warm) {
        (Some(worker), true) => format!(", warm worker {worker}"),
        (Some(worker), false) => format!(", new worker {worker}"),
        (None, _) => String::new(),
    };
    format!("{how} after {} (queued {}{worker})", span_us(report.ran_us), span_us(report.queued_us))
}

/// Returns a Lambda error (`errorType`, `errorMessage`, `stackTrace`) as lines.
fn readable_error(answer: &str) -> String {
    let Ok(error) = serde_json::from_str::<serde_json::Value>(answer) else {
        return answer.to_owned();
    };
    let text = |key: &str| error.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let (kind, message) = (text("errorType"), text("errorMessage"));
    if kind.is_empty() && message.is_empty() {
        return answer.to_owned();
    }
    let trace = error.get("stackTrace").or_else(|| error.get("trace"));
    let trace = trace.and_then(|trace| trace.as_array()).into_iter().flatten();
    let trace = trace.filter_map(|line| line.as_str()).flat_map(str::lines);
    let trace = trace.map(|line| format!("\n  {}", line.trim_end()));
    format!("{kind}: {message}{}", trace.collect::<String>())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn report(outcome: &str, payload: &str) -> CallReport {
        CallReport {
            call: String::new(),
            outcome: outcome.to_owned(),
            payload_base64: payload::to_base64(payload.as_bytes()),
            queued_us: 120,
            ran_us: 430,
            worker: Some(3),
            warm: true,
        }
    }

    #[test]
    fn an_answer_is_printed_as_it_is() {
        let report = report("succeeded", r#"{"fan": "on"}"#);
        assert_eq!(render(&report, Paint::plain()), r#"{"fan": "on"}"#);
        expect!["returned after 0.4 ms (queued 0.1 ms, warm worker 3)"]
            .assert_eq(&summary(&report));
        assert_eq!(exit_of(&report), Exit::Ok);
    }

    #[test]
    fn an_error_of_the_code_is_readable() {
        let error = r#"{"errorType": "KeyError", "errorMessage": "'celsius'",
            "stackTrace": ["  File \"app.py\", line 5, in handler\n    celsius = event\n"]}"#;
        let report = report("handled", error);
        expect![[r#"
            KeyError: 'celsius'
                File "app.py", line 5, in handler
                  celsius = event"#]]
        .assert_eq(&render(&report, Paint::plain()));
        assert_eq!(exit_of(&report), Exit::FunctionError);
    }

    #[test]
    fn an_error_of_the_platform_has_its_own_exit_code() {
        let report = report("unhandled", r#"{"errorMessage": "timed out"}"#);
        assert_eq!(exit_of(&report), Exit::PlatformError);
        expect!["the platform ended it after 0.4 ms (queued 0.1 ms, warm worker 3)"]
            .assert_eq(&summary(&report));
    }
}
