use super::*;
use crate::{AddDeviceError, IdentityRefusal, list_devices};

fn names(hub: &Identity) -> Vec<(String, bool)> {
    hub.list().into_iter().map(|record| (record.name.to_string(), record.revoked)).collect()
}

#[test]
fn a_new_device_gets_ninety_days_and_is_listed() {
    let (_folder, hub) = hub();
    let before = now();
    let device = add(&hub, "thermometer");
    let listed = hub.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].name, name("thermometer"));
    assert_eq!(listed[0].fingerprint.as_ref(), Some(&device.fingerprint));
    assert_eq!(listed[0].expires_ms, Some(device.expires_ms));
    let since = before.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let life = u128::from(device.expires_ms) - since;
    assert!(life.abs_diff((90 * DAY).as_millis()) < 5_000, "{life}");
}

#[test]
fn a_device_that_exists_is_not_added_again() {
    let (_folder, hub) = hub();
    let device = add(&hub, "thermometer");
    let error = hub.add_device(&name("thermometer"), now()).unwrap_err();
    let AddDeviceError::Exists { ref fingerprint, .. } = error else { panic!("{error}") };
    assert_eq!(*fingerprint, device.fingerprint);
    assert_eq!(hub.device_of(&certificate(&device)), Ok(name("thermometer")));
}

#[test]
fn a_device_that_was_removed_or_has_expired_can_be_added_again() {
    let (_folder, hub) = hub();
    add(&hub, "removed");
    assert!(hub.remove_device(&name("removed")).unwrap());
    hub.add_device(&name("expired"), now() - 91 * DAY).unwrap();
    for device in ["removed", "expired"] {
        let device = add(&hub, device);
        assert!(hub.device_of(&certificate(&device)).is_ok());
    }
    assert_eq!(names(&hub), [("expired".to_owned(), false), ("removed".to_owned(), false)]);
}

#[test]
fn to_remove_what_is_not_there_tells_so() {
    let (_folder, hub) = hub();
    assert!(!hub.remove_device(&name("nobody")).unwrap());
    add(&hub, "fan");
    assert!(hub.remove_device(&name("fan")).unwrap());
    assert!(!hub.remove_device(&name("fan")).unwrap());
    assert_eq!(names(&hub), [("fan".to_owned(), true)]);
}

#[test]
fn devices_and_removals_are_there_after_a_restart() {
    let (folder, hub) = hub();
    let (kept, removed) = (add(&hub, "kept"), add(&hub, "removed"));
    let earlier = certificate(&removed);
    hub.remove_device(&name("removed")).unwrap();
    drop(hub);
    let hub = open(folder.path());
    assert_eq!(hub.device_of(&certificate(&kept)), Ok(name("kept")));
    assert_eq!(hub.device_of(&earlier), Err(IdentityRefusal::Revoked));
    connect(&client_of(&kept), &hub.server_config()).unwrap();
    add(&hub, "removed");
    drop(hub);
    assert_eq!(open(folder.path()).device_of(&earlier), Err(IdentityRefusal::Revoked));
}

#[test]
fn devices_are_listed_from_the_files_with_no_hub_and_no_key() {
    let (folder, hub) = hub();
    add(&hub, "b");
    add(&hub, "a");
    hub.remove_device(&name("b")).unwrap();
    let listed = hub.list();
    drop(hub);
    std::fs::remove_file(folder.path().join("ca.key.pem")).unwrap();
    assert_eq!(list_devices(folder.path()).unwrap(), (listed, vec![]));
    let nowhere = folder.path().join("nowhere");
    assert_eq!(list_devices(&nowhere).unwrap(), (vec![], vec![]));
    assert!(!nowhere.exists());
}

#[test]
fn a_damaged_record_is_reported_its_device_refused_and_the_others_let_in() {
    let (folder, hub) = hub();
    let (good, bad) = (add(&hub, "good"), add(&hub, "bad"));
    let path = folder.path().join("devices/bad.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let renamed = std::fs::read_to_string(folder.path().join("devices/good.json")).unwrap();
    for damaged in ["", "{}", &text[..text.len() / 2], &text.replace(':', ";"), &renamed] {
        std::fs::write(&path, damaged).unwrap();
        let hub = open(folder.path());
        let reported = hub.damaged_records();
        assert_eq!(reported.len(), 1, "{damaged}");
        assert_eq!(reported[0].path, path);
        assert!(hub.device_of(&certificate(&good)).is_ok());
        assert_eq!(hub.device_of(&certificate(&bad)), Err(IdentityRefusal::NoName));
    }
    let hub = open(folder.path());
    let again = add(&hub, "bad");
    assert_eq!(hub.damaged_records(), []);
    assert_eq!(open(folder.path()).device_of(&certificate(&again)), Ok(name("bad")));
}

#[test]
fn a_removal_that_cannot_be_written_down_is_reported_and_holds_meanwhile() {
    let (folder, hub) = hub();
    let device = add(&hub, "thermometer");
    std::fs::remove_dir_all(folder.path().join("devices")).unwrap();
    let error = hub.remove_device(&name("thermometer")).unwrap_err();
    assert!(error.path.ends_with("devices/thermometer.json"));
    assert_eq!(hub.device_of(&certificate(&device)), Err(IdentityRefusal::Revoked));
    let error = hub.add_device(&name("fan"), now()).unwrap_err();
    assert!(matches!(error, AddDeviceError::Write { .. }), "{error}");
    assert_eq!(names(&hub), [("thermometer".to_owned(), true)]);
}

#[test]
fn earlier_certificates_are_remembered_up_to_a_bound() {
    let (folder, hub) = hub();
    let mut all = Vec::new();
    for _ in 0..18 {
        all.push(add(&hub, "fan"));
        hub.remove_device(&name("fan")).unwrap();
    }
    let hub = open(folder.path());
    let refusal = |device: &DeviceCredentials| hub.device_of(&certificate(device)).unwrap_err();
    assert_eq!(refusal(&all[0]), IdentityRefusal::NoName);
    for device in &all[1..] {
        assert_eq!(refusal(device), IdentityRefusal::Revoked);
    }
}

#[test]
fn the_longest_name_works() {
    let (_folder, hub) = hub();
    let longest = "a".repeat(128);
    let device = add(&hub, &longest);
    let connection = connect(&client_of(&device), &hub.server_config()).unwrap();
    assert_eq!(hub.device_of(connection.peer().unwrap()), Ok(name(&longest)));
}
