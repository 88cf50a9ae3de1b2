use std::time::{Duration, Instant};

use crate::{Journal, JournalConfig};

/// Run with `cargo test -p tomte-journal -- --ignored --nocapture throughput`.
#[test]
#[ignore = "a measurement, which prints"]
fn throughput_of_records_of_192_bytes() {
    for batch in [1, 32, 256] {
        let folder = tempfile::tempdir().unwrap();
        let config = JournalConfig::new(folder.path());
        let (mut journal, _) = Journal::open(config, |_, _| Ok(())).unwrap();
        let record = [7; 192];
        let (start, mut position) = (Instant::now(), 0_u64);
        while start.elapsed() < Duration::from_secs(3) {
            for _ in 0..batch {
                position += 1;
                journal.append(position, &record);
            }
            if journal.commit().unwrap().rolled.is_some() {
                journal.drop_before(position - 1).unwrap();
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let rate = position as f64 / seconds;
        println!("batch {batch:3}: {rate:9.0} records/s, {:6.1} MB/s", rate * 192.0 / 1e6);
    }
}
