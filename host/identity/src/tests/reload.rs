//! What other processes change in the files while the hub runs.

use super::*;
use crate::{AddDeviceError, FormerCertificate, IdentityRefusal, Password};

fn renew(hub: &Identity, former: FormerCertificate) {
    hub.renew_device(&name("fan"), former, now()).unwrap();
}

fn set_password(hub: &Identity, text: &str) {
    hub.set_password(&name("fan"), &Password::new(text).unwrap()).unwrap();
}

#[test]
fn what_another_process_changed_counts_after_a_reload() {
    let (folder, hub) = hub();
    let other = open(folder.path());
    let device = add(&other, "thermometer");
    let late = hub.add_device(&name("thermometer"), now()).unwrap_err();
    assert!(matches!(late, AddDeviceError::Exists { .. }), "{late}");
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::NoName));
    assert_eq!(hub.reload().unwrap(), []);
    assert_eq!(hub.device_of(&certificate(&device)), Ok(name("thermometer")));
    other.remove_device(&name("thermometer")).unwrap();
    assert_eq!(hub.reload().unwrap(), [name("thermometer")]);
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::Revoked));
    assert_eq!(hub.reload().unwrap(), [], "it is told once");
}

/// What another process does to a device, and whether connections of before may stay.
#[test]
fn a_reload_tells_who_lost_what_they_logged_in_with() {
    type Change = fn(&Identity, &Path);
    let cases: [(&str, Change, bool); 6] = [
        ("nothing", |_, _| {}, false),
        ("a certificate that overlaps", |hub, _| renew(hub, FormerCertificate::Overlaps), false),
        ("a certificate at once", |hub, _| renew(hub, FormerCertificate::EndsNow), true),
        ("another password", |hub, _| set_password(hub, "tulips and roses"), true),
        ("a damaged record", |_, path| std::fs::write(path, "{").unwrap(), true),
        ("no record", |_, path| std::fs::remove_file(path).unwrap(), true),
    ];
    for (what, change, is_shut_out) in cases {
        let (folder, hub) = hub();
        add(&hub, "fan");
        add(&hub, "lamp");
        set_password(&hub, "roses and tulips");
        change(&open(folder.path()), &folder.path().join("devices/fan.json"));
        let expected = if is_shut_out { vec![name("fan")] } else { vec![] };
        assert_eq!(hub.reload().unwrap(), expected, "{what}");
    }
}

#[test]
fn a_certificate_that_was_put_into_the_file_is_taken_from_there() {
    let (folder, hub) = hub();
    let later = now() + 61 * DAY;
    let other = open(folder.path());
    assert!(other.renew_server(later).unwrap());
    assert!(hub.renew_server(now()).unwrap());
    assert_eq!(hub.server_expires_ms(), other.server_expires_ms());
    for lost in ["", "no certificate"] {
        std::fs::write(folder.path().join("server.pem"), lost).unwrap();
        assert!(hub.renew_server(now()).unwrap(), "a good one is made in the place of {lost:?}");
    }
}

#[test]
fn another_authority_in_the_file_is_noticed_and_not_gone_by() {
    let (folder, hub) = hub();
    assert!(hub.is_authority_current().unwrap());
    let (other_folder, _other) = self::hub();
    for file in ["ca.pem", "ca.key.pem", "server.pem"] {
        std::fs::copy(other_folder.path().join(file), folder.path().join(file)).unwrap();
    }
    assert!(!hub.is_authority_current().unwrap());
    assert!(hub.renew_server(now()).unwrap(), "the hub's own authority signs");
    connect(&client_of(&add(&hub, "fan")), &hub.server_config()).unwrap();
}
