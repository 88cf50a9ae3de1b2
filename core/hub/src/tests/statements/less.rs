//! A hub whose manifest allows less than the standard has: no QoS 2, no QoS 1, nothing retained.

use super::super::harness::limited;
use super::*;

fn without_qos_above(maximum: QoS) -> Bed {
    Bed::new(limited(|config| config.limits.maximum_qos = maximum))
}

/// MQTT-3.2.2-9, MQTT-3.2.2-10; 3.2.2.3.4: a message above it ends the connection.
#[test]
fn a_hub_without_a_quality_of_service_says_so_and_accepts_every_subscribe() {
    for maximum in [QOS0, QOS1] {
        let mut bed = without_qos_above(maximum);
        let slot = bed.connect_with(&Connect::new(Version::V5, "s"));
        bed.each(slot, |packet| {
            let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
            assert_eq!(connack.properties.maximum_qos, Some(maximum));
        });
        for (qos, answer) in [(QOS0, "Success"), (QOS1, "GrantedQos1"), (QOS2, "GrantedQos2")] {
            bed.subscribe(slot, "a", qos);
            assert_eq!(bed.received(slot), [format!("suback [{answer}]")]);
        }
        bed.publish(slot, "a", "x", maximum, 1);
        assert!(bed.received(slot)[0].starts_with("publish a x"));
        let above = if maximum == QOS0 { QOS1 } else { QOS2 };
        bed.publish(slot, "a", "x", above, 2);
        assert_eq!(bed.received(slot), ["disconnect QosNotSupported"]);
        assert!(bed.is_breach(slot));
    }
}

/// MQTT-3.2.2-12, MQTT-3.2.2-13.
#[test]
fn a_will_that_the_hub_could_not_publish_is_refused_with_its_connect() {
    let with = |qos, retain| {
        let will = Some(Will { topic: "a", qos, retain, ..Will::default() });
        Connect { will, ..Connect::new(Version::V5, "w") }
    };
    let retains_nothing = || Bed::new(limited(|config| config.limits.max_retained = 0));
    for (mut bed, connect, answer) in [
        (without_qos_above(QOS1), with(QOS2, false), "QosNotSupported"),
        (without_qos_above(QOS0), with(QOS1, false), "QosNotSupported"),
        (without_qos_above(QOS1), with(QOS1, true), "Success"),
        (retains_nothing(), with(QOS0, true), "RetainNotSupported"),
        (retains_nothing(), with(QOS2, false), "Success"),
    ] {
        let slot = bed.connect_with(&connect);
        assert_eq!(bed.received(slot), [format!("connack {answer} present=false")]);
        assert_eq!(bed.is_closed(slot), answer != "Success");
    }
}

/// 3.2.2.3.5: CONNACK says so, and a message to be retained ends the connection.
#[test]
fn a_hub_that_retains_nothing_says_so_and_takes_nothing_to_be_retained() {
    let mut bed = Bed::new(limited(|config| config.limits.max_retained = 0));
    let slot = bed.connect_with(&Connect::new(Version::V5, "s"));
    bed.each(slot, |packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.properties.retain_available, Some(false));
    });
    bed.retain(slot, "a", "x");
    assert_eq!(bed.received(slot), ["disconnect RetainNotSupported"]);
    assert!(bed.is_breach(slot));
}
