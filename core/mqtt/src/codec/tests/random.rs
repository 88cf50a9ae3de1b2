//! Random packets come back as they were; random bytes are refused in peace.

use proptest::prelude::*;

use super::strategies::{version, versioned_packet};
use super::{encoded, framed};
use crate::codec::*;

/// Checks that `frame` is refused, or is a packet that can be sent on and read as the same.
fn check_any_bytes(frame: &[u8], version: Version) -> Result<(), TestCaseError> {
    let _ = (frame_len(frame, 1 << 20), connect_version(frame));
    let Ok(packet) = decode(frame, version) else { return Ok(()) };
    let out = encoded(version, &packet);
    prop_assert_eq!(decode(&out, version), Ok(packet));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_packet_comes_back_as_it_was((version, packet) in versioned_packet()) {
        let out = encoded(version, &packet);
        prop_assert_eq!(frame_len(&out, u32::MAX), Ok(Some(out.len())));
        prop_assert_eq!(decode(&out, version), Ok(packet));
    }

    #[test]
    fn a_packet_is_found_at_the_start_of_a_stream((version, packet) in versioned_packet(), tail: [u8; 3]) {
        let mut out = encoded(version, &packet);
        let length = out.len();
        out.extend_from_slice(&tail);
        prop_assert_eq!(frame_len(&out, u32::MAX), Ok(Some(length)));
        for cut in 0..5.min(length) {
            let known = frame_len(&out[..cut], u32::MAX);
            prop_assert!(known == Ok(None) || known == Ok(Some(length)), "{:?}", known);
        }
    }

    #[test]
    fn a_packet_cut_anywhere_is_refused_or_another_packet((version, packet) in versioned_packet()) {
        let out = encoded(version, &packet);
        let body = out.len() - super::super::frame::FixedHeader::read(&out).unwrap().unwrap().remaining;
        for cut in 0..out.len() {
            prop_assert!(decode(&out[..cut], version).is_err());
            // The same with a fixed header that agrees, so that the fields themselves are cut.
            if cut >= body {
                check_any_bytes(&framed(out[0], &out[body..cut]), version)?;
            }
        }
    }

    #[test]
    fn a_packet_with_changed_bytes_is_refused_or_another_packet(
        (version, packet) in versioned_packet(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut out = encoded(version, &packet);
        for (index, byte) in changes {
            let at = index.index(out.len());
            out[at] = byte;
        }
        check_any_bytes(&out, version)?;
    }

    #[test]
    fn random_bytes_are_refused_or_a_packet(
        version in version(),
        first: u8,
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        check_any_bytes(&body, version)?;
        check_any_bytes(&framed(first, &body), version)?;
    }

    #[test]
    fn random_small_numbers_are_refused_or_a_packet(
        version in version(),
        first: u8,
        body in prop::collection::vec(prop_oneof![0u8..4, 0x01u8..0x2B, Just(b'a')], 0..24),
    ) {
        // Bytes that are lengths, property identifiers and letters reach deeper than any others.
        check_any_bytes(&framed(first, &body), version)?;
    }
}
