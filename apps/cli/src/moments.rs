//! Moments and spans of time as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Returns the time of day of a moment with milliseconds, `16:33:41.204`.
pub(crate) fn time_of_day(at_us: u64, zone: &TimeZone) -> String {
    zoned(at_us, zone, "%H:%M:%S%.3f")
}

/// Returns the date and time of a moment with milliseconds.
pub(crate) fn date_and_time(at_ms: u64, zone: &TimeZone) -> String {
    zoned(at_ms.saturating_mul(1_000), zone, "%Y-%m-%d %H:%M:%S%.3f")
}

/// Returns the date of a moment, `2027-02-21`.
pub(crate) fn date(at_ms: u64, zone: &TimeZone) -> String {
    zoned(at_ms.saturating_mul(1_000), zone, "%Y-%m-%d")
}

fn zoned(at_us: u64, zone: &TimeZone, format: &str) -> String {
    i64::try_from(at_us)
        .ok()
        .and_then(|at_us| Timestamp::from_microsecond(at_us).ok())
        .map_or_else(|| "-".to_owned(), |at| zone.to_datetime(at).strftime(format).to_string())
}

/// Returns a short span with the unit that fits: `0.4 ms`, `1.25 s`, `3 min`.
pub(crate) fn span_us(us: u64) -> String {
    match us {
        0..1_000_000 => {
            let tenths = (us + 50) / 100;
            match tenths {
                0..1_000 => format!("{}.{} ms", tenths / 10, tenths % 10),
                _ => format!("{} ms", tenths / 10),
            }
        }
        1_000_000..120_000_000 => {
            let hundredths = us / 10_000;
            format!("{}.{:02} s", hundredths / 100, hundredths % 100)
        }
        _ => long_span_ms(us / 1_000),
    }
}

/// Returns a long span in its two largest units: `2 min 5 s`, `3 d 4 h`.
pub(crate) fn long_span_ms(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Returns the moment, in microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_the_zone_of_the_reader() {
        let at_us = 1_796_056_421_204_500;
        assert_eq!(time_of_day(at_us, &TimeZone::UTC), "16:33:41.204");
        let west = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(date_and_time(at_us / 1_000, &west), "2026-11-30 11:33:41.204");
        assert_eq!(date(u64::MAX, &west), "-");
    }

    #[test]
    fn spans_take_the_unit_that_fits() {
        for (us, expect) in [
            (0, "0.0 ms"),
            (412, "0.4 ms"),
            (99_940, "99.9 ms"),
            (240_000, "240 ms"),
            (1_250_000, "1.25 s"),
            (180_000_000, "3 min 0 s"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span_us(us), expect, "{us}");
        }
    }
}
