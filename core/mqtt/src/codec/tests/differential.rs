//! Random packets and changed ones mean the same to both codecs.

use proptest::prelude::*;

use super::beside_rmqtt::{theirs, they_are_laxer, unknown_difference};
use super::encoded;
use super::strategies::versioned_packet;
use crate::codec::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_valid_packet_means_the_same_to_both((version, packet) in versioned_packet()) {
        prop_assert_eq!(unknown_difference(version, &encoded(version, &packet)), None);
    }

    #[test]
    fn a_changed_packet_means_the_same_to_both(
        (version, packet) in versioned_packet(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let mut frame = encoded(version, &packet);
        for (index, bit) in changes {
            let at = index.index(frame.len());
            frame[at] ^= 1 << bit;
        }
        // They wait for more where a frame is longer than it is.
        if frame_len(&frame, u32::MAX) == Ok(Some(frame.len())) {
            prop_assert_eq!(unknown_difference(version, &frame), None);
        }
    }
}

/// One packet for each line of [`they_are_laxer`], so that the list holds nothing that is not so.
#[test]
fn each_known_difference_is_real() {
    use Version::{V5, V311};
    for (version, written) in [
        (V311, "A2 05 0001 0001 00"),
        (V311, "30 03 0001'#'"),
        (V5, "30 03 0000 00"),
        (V311, "10 10 0004'MQTT' 04 06 0000 0000 0000 0000"),
        (V311, "38 03 0001'a'"),
        (V311, "C0 01 00"),
        (V5, "90 05 0001 8000 00"),
        (V311, "10 0E 0006'MQIsdp' 03 02 0000 0000"),
        (V311, "10 0D 0004'MQTT' 03 02 0000 0001'a'"),
        (V5, "10 0E 0004'MQTT' 05 22 0000 00 0001'a'"),
        (V5, "10 0E 0004'MQTT' 05 0A 0000 00 0001'a'"),
        (V311, "10 10 0004'MQTT' 04 42 0000 0001'a' 0001'p'"),
        (V311, "20 02 01 05"),
        (V311, "20 02 00 06"),
        (V5, "F0 02 18 00"),
        (V5, "20 05 00 00 02 2402"),
        (V5, "82 11 0001 00 000B'$share/g/ab' 04"),
        (V311, "82 06 0001 0001'a' 04"),
        (V311, "90 02 0001"),
        (V5, "20 08 00 00 05 27 00000000"),
        (V5, "82 06 0001 00 0000 2E"),
        (V5, "B0 03 0001 00"),
        (V5, "F0 01 00"),
    ] {
        let frame = super::bytes(written);
        let error = decode(&frame, version).expect_err(written);
        assert!(they_are_laxer(version, &frame, error), "{written}: {error}");
        assert!(theirs(version, &frame).is_some(), "{written}: they refuse it too");
    }
}
