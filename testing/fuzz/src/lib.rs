//! What fuzzing checks: each target is a function of bytes that panics when a promise is broken.
//!
//! | target | is handed | must hold |
//! |---|---|---|
//! | [`codec`] | one frame | decoding refuses or gives a packet that comes back the same; bounded memory; any cut is refused |
//! | [`differential`] | one frame | ours and `rmqtt-codec` agree, but for differences that are listed with their clause |
//! | [`journal`] | a journal and damage to it | recovery keeps what lies before the damage, in order, in bounded memory |
//! | [`recovery`] | records as bytes | the hub refuses them or starts, and serves its clients |
//! | [`hub`] | what clients, clock, disk and workers do | packets, answers and windows as the standard says; nothing is left behind |
//!
//! The package `fuzz` at the root hands them to libFuzzer (`cargo xtask fuzz`). What it found worth
//! keeping lies in `corpus` (both targets of the codec share theirs), and `tests/corpus.rs` runs it with the other
//! tests.

mod bed;
#[path = "../../../core/mqtt/src/codec/tests/beside_rmqtt.rs"]
mod beside_rmqtt;
mod client;
mod codec;
mod differential;
mod hub;
mod input;
mod journal;
pub mod memory;
mod recovery;

pub use codec::codec;
pub use differential::differential;
pub use hub::hub;
pub use journal::journal;
pub use recovery::recovery;

/// A function of bytes that panics when a promise is broken.
pub type Target = fn(&[u8]);

/// All targets with their names.
pub const TARGETS: [(&str, Target); 5] = [
    ("codec", codec),
    ("differential", differential),
    ("journal", journal),
    ("recovery", recovery),
    ("hub", hub),
];
