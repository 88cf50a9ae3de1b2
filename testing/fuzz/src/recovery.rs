//! A hub that starts with any records at all in its journal.

use std::time::Duration;

use tomte_mqtt::codec::{self, Connect, Version};

use crate::bed::Bed;
use crate::input::Input;
use crate::memory;

/// Memory that a start may take for each byte of the journal, and whatever the journal is.
const MEMORY_PER_BYTE: usize = 512;
const MEMORY_ALWAYS: usize = 4 << 20;

/// Starts a hub with the pieces of `data` as records, each with its length before it in two bytes,
/// then lets time pass, clients return, and the process die once more.
pub fn recovery(data: &[u8]) {
    let ((), peak) = memory::peak_of(|| {
        let mut input = Input::new(data);
        let mut bed = Bed::with_records(std::iter::from_fn(|| {
            let length = usize::from(input.number());
            (length > 0).then(|| input.take(length).to_vec())
        }));
        return_of_a_client(&mut bed);
        bed.advance(Duration::from_secs(60));
        bed.roll();
        bed.crash();
        return_of_a_client(&mut bed);
        bed.advance(Duration::from_secs(8 * 86_400));
    });
    let bound = MEMORY_ALWAYS + MEMORY_PER_BYTE * data.len();
    assert!(peak <= bound, "starting from {} bytes took {peak} bytes of memory", data.len());
}

fn return_of_a_client(bed: &mut Bed) {
    bed.open(0, "");
    let mut connect = Connect::new(Version::V5, "x");
    connect.clean_start = false;
    connect.properties.session_expiry_seconds = Some(3_600);
    let mut bytes = Vec::new();
    codec::encode_connect(&mut bytes, &connect);
    bed.send(0, &bytes);
}
