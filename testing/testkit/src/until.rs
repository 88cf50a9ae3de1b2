use std::time::{Duration, Instant};

/// Asks again until there is an answer, and gives up after `limit`.
///
/// For states that send no event: a file that appears, a socket that accepts.
///
/// # Panics
/// Panics when there is no answer in time; the message has `what`.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
