use super::*;
use crate::{AddDeviceError, ChangeDeviceError, FormerCertificate, IdentityRefusal, Password};

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn accepts(hub: &Identity, user: &str, text: &str) -> bool {
    hub.password_hash(user).is_some_and(|hash| hash.is_of(&password(text)))
}

#[test]
fn a_device_with_a_password_needs_no_certificate_and_is_there_after_a_restart() {
    let (folder, hub) = hub();
    hub.add_device_with_password(&name("thin"), &password("sesame"), now()).unwrap();
    for hub in [&hub, &open(folder.path())] {
        assert!(accepts(hub, "thin", "sesame"));
        assert!(!accepts(hub, "thin", "Sesame"));
        let listed = hub.list();
        assert_eq!((&listed[0].fingerprint, listed[0].has_password), (&None, true));
    }
}

#[test]
fn the_password_is_in_no_file() {
    let (folder, hub) = hub();
    hub.add_device_with_password(&name("thin"), &password("sesame"), now()).unwrap();
    let record = std::fs::read_to_string(folder.path().join("devices/thin.json")).unwrap();
    assert!(record.contains("$argon2id$v=19$"), "{record}");
    assert!(!record.contains("sesame"), "{record}");
}

#[test]
fn a_device_that_exists_is_not_added_again_with_a_password_nor_the_other_way_round() {
    let (_folder, hub) = hub();
    add(&hub, "certified");
    hub.add_device_with_password(&name("thin"), &password("sesame"), now()).unwrap();
    let again = hub.add_device_with_password(&name("certified"), &password("x"), now());
    assert!(matches!(again, Err(AddDeviceError::Exists { .. })));
    let again = hub.add_device(&name("thin"), now());
    assert!(matches!(again, Err(AddDeviceError::Exists { .. })));
    assert!(accepts(&hub, "thin", "sesame"));
}

#[test]
fn a_new_password_takes_the_place_of_the_old_one_and_the_certificate_stays() {
    let (_folder, hub) = hub();
    let device = add(&hub, "fan");
    assert!(hub.password_hash("fan").is_none());
    for (new, old) in [("one", "none"), ("two", "one")] {
        hub.set_password(&name("fan"), &password(new)).unwrap();
        assert!(accepts(&hub, "fan", new) && !accepts(&hub, "fan", old));
    }
    assert_eq!(hub.device_of(&certificate(&device)), Ok(name("fan")));
}

#[test]
fn a_removed_device_has_no_password_and_no_renewal() {
    let (_folder, hub) = hub();
    hub.add_device_with_password(&name("thin"), &password("sesame"), now()).unwrap();
    hub.remove_device(&name("thin")).unwrap();
    for device in ["thin", "nobody"] {
        assert!(hub.password_hash(device).is_none());
        let refused = hub.set_password(&name(device), &password("x"));
        assert!(matches!(refused, Err(ChangeDeviceError::Unknown { .. })));
        let refused = hub.renew_device(&name(device), FormerCertificate::Overlaps, now());
        assert!(matches!(refused, Err(ChangeDeviceError::Unknown { .. })));
    }
    assert!(hub.password_hash("no/name\0at all").is_none());
}

/// Proves a part of: MQT-3.
#[test]
fn after_a_renewal_both_certificates_are_good_for_a_week_and_then_the_new_one() {
    let (folder, hub) = hub();
    let old = add(&hub, "fan");
    let new = hub.renew_device(&name("fan"), FormerCertificate::Overlaps, now()).unwrap();
    assert_ne!(old.fingerprint, new.fingerprint);
    for hub in [&hub, &open(folder.path())] {
        for device in [&old, &new] {
            let connection = connect(&client_of(device), &hub.server_config()).unwrap();
            assert_eq!(hub.device_of(connection.peer().unwrap()), Ok(name("fan")));
        }
        let later = now() + 8 * DAY;
        let then = |device| hub.device_of_at(&certificate(device), later);
        assert_eq!((then(&old), then(&new)), (Err(IdentityRefusal::Expired), Ok(name("fan"))));
    }
    hub.renew_device(&name("fan"), FormerCertificate::Overlaps, now()).unwrap();
    assert_eq!(hub.device_of(&certificate(&old)), Err(IdentityRefusal::Revoked));
}

#[test]
fn a_renewal_can_end_the_old_certificate_at_once() {
    let (_folder, hub) = hub();
    let old = add(&hub, "fan");
    let new = hub.renew_device(&name("fan"), FormerCertificate::EndsNow, now()).unwrap();
    assert_eq!(hub.device_of(&certificate(&old)), Err(IdentityRefusal::Revoked));
    assert_eq!(hub.device_of(&certificate(&new)), Ok(name("fan")));
}

#[test]
fn an_overlap_does_not_prolong_a_certificate() {
    let (_folder, hub) = hub();
    let old = hub.add_device(&name("fan"), now() - 88 * DAY).unwrap();
    hub.renew_device(&name("fan"), FormerCertificate::Overlaps, now()).unwrap();
    let then = hub.device_of_at(&certificate(&old), now() + 3 * DAY);
    assert_eq!(then, Err(IdentityRefusal::Expired));
}
