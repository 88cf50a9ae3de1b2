//! Texts are UTF-8 without U+0000: 1.5.4 of MQTT 5, 1.5.3 of 3.1.1. Those of properties are in
//! [`properties`](super::properties).

use super::{BOTH, bytes, framed, refused};
use crate::codec::DecodeError as E;
use crate::codec::Version::{V5, V311};
use crate::codec::decode;

#[test]
fn texts_that_are_not_utf_8_are_refused() {
    // A lone continuation byte, an overlong slash, a surrogate, a value past U+10FFFF, a cut one.
    for bad in ["80", "C0AF", "EDA080", "F4908080", "E282"] {
        let length = bad.len() / 2;
        let (whole, remaining) = (length + 4, length + 2);
        let unsubscribe = format!("A2 {whole:02X} 0001 00{length:02X} {bad}");
        refused(V311, &unsubscribe, E::InvalidUtf8);
        let publish = format!("30 {remaining:02X} 00{length:02X} {bad}");
        refused(V311, &publish, E::InvalidUtf8);
    }
    for everywhere in [
        "30 08 0001'a' 04 03000180",
        "30 08 0001'a' 04 08000180",
        "30 0B 0001'a' 07 26 000180 0001'v'",
        "30 0B 0001'a' 07 26 0001'k' 000180",
        "82 07 0001 00 000180 00",
        "10 0E 0004'MQTT' 05 02 0000 00 000180",
        "10 11 0004'MQTT' 05 82 0000 00 0001'c' 000180",
        "10 14 0004'MQTT' 05 06 0000 00 0001'c' 00 000180 0000",
    ] {
        refused(V5, everywhere, E::InvalidUtf8);
    }
    refused(V311, "A2 05 0001 0001 00", E::NullCharacter);
    refused(V5, "E0 06 00 04 1F0001 00", E::NullCharacter);
}

/// The texts that are no properties, in both versions.
#[test]
fn every_text_field_is_utf_8_without_u_0000_in_both_versions() {
    let connect = |version, flags: &str, payload: &str| {
        let (level, properties) = if version == V5 { ("05", "00") } else { ("04", "") };
        (0x10, format!("0004'MQTT' {level} {flags} 0000 {properties} {payload}"))
    };
    for version in BOTH {
        let properties = if version == V5 { "00" } else { "" };
        for (text, error) in [
            ("0001 80", E::InvalidUtf8),
            ("0003 EDA080", E::InvalidUtf8),
            ("0004 F4908080", E::InvalidUtf8),
            ("0001 00", E::NullCharacter),
            ("0003 610062", E::NullCharacter),
        ] {
            let will = format!("0001'c' {properties} {text} 0000");
            for (first, body) in [
                connect(version, "02", text),
                connect(version, "06", &will),
                connect(version, "82", &format!("0001'c' {text}")),
                (0x30, format!("{text} {properties}")),
                (0x32, format!("{text} 0001 {properties}")),
                (0x82, format!("0001 {properties} {text} 00")),
                (0x82, format!("0001 {properties} 0001'a' 00 {text} 00")),
                (0xA2, format!("0001 {properties} {text}")),
            ] {
                let read = decode(&framed(first, &bytes(&body)), version).map(|_| ());
                assert_eq!(read, Err(error), "{version:?} {first:02x} {body}");
            }
        }
    }
}
