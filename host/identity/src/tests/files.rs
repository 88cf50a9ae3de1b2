use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::OpenIdentityError;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_and_records_are_for_their_owner_only_and_the_rest_for_all() {
    let (folder, hub) = hub();
    add(&hub, "fan");
    for (file, expected) in [
        ("ca.key.pem", 0o600),
        ("server.pem", 0o600),
        ("ca.pem", 0o644),
        ("devices/fan.json", 0o600),
    ] {
        assert_eq!(mode(&folder.path().join(file)), expected, "{file}");
    }
}

#[test]
fn a_key_that_others_can_read_is_taken_from_them() {
    let (folder, hub) = hub();
    drop(hub);
    for file in ["ca.key.pem", "server.pem"] {
        let path = folder.path().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        open(folder.path());
        assert_eq!(mode(&path), 0o600);
    }
}

#[test]
fn the_private_key_of_a_device_is_in_no_file_and_in_no_log() {
    let (folder, hub) = hub();
    let device = add(&hub, "fan");
    let secret = device.private_key_pem.lines().nth(1).unwrap();
    let files = [folder.path().to_owned(), folder.path().join("devices")];
    let mut seen = 0;
    for entry in files.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert!(!fs::read_to_string(&path).unwrap().contains(secret), "{}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, 4, "no other file is left");
    assert!(!format!("{device:?}").contains("PRIVATE"));
}

#[test]
fn a_record_is_a_file_that_people_can_read() {
    let (folder, hub) = hub();
    let device = add(&hub, "fan");
    let text = fs::read_to_string(folder.path().join("devices/fan.json")).unwrap();
    assert!(text.contains("\"name\": \"fan\""), "{text}");
    assert!(text.contains(&format!("\"fingerprint\": \"{}\"", device.fingerprint)), "{text}");
    assert!(text.contains("\"revoked\": false"), "{text}");
}

#[test]
fn the_authority_stays_the_same_over_restarts() {
    let (folder, hub) = hub();
    let ca = hub.ca_pem().to_owned();
    drop(hub);
    assert_eq!(open(folder.path()).ca_pem(), ca);
    let renamed = Identity::open(folder.path(), "another-name", now()).unwrap();
    assert_eq!(renamed.ca_pem(), ca);
}

#[test]
fn a_start_that_was_interrupted_between_key_and_certificate_is_continued() {
    let (folder, hub) = hub();
    drop(hub);
    let key = fs::read(folder.path().join("ca.key.pem")).unwrap();
    for file in ["ca.pem", "server.pem"] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    let hub = open(folder.path());
    assert_eq!(fs::read(folder.path().join("ca.key.pem")).unwrap(), key);
    connect(&client_of(&add(&hub, "fan")), &hub.server_config()).unwrap();
}

#[test]
fn an_authority_without_its_key_is_not_replaced_in_silence() {
    let (folder, hub) = hub();
    drop(hub);
    let path = folder.path().join("ca.key.pem");
    fs::remove_file(&path).unwrap();
    let error = Identity::open(folder.path(), "greenhouse", now()).unwrap_err();
    assert!(matches!(&error, OpenIdentityError::KeyMissing { path: named } if *named == path));
    assert!(!path.exists());
}

#[test]
fn a_damaged_authority_is_named_and_left_alone() {
    let (folder, hub) = hub();
    drop(hub);
    let (other_folder, _other) = super::hub();
    let path = folder.path().join("ca.pem");
    let foreign = fs::read_to_string(other_folder.path().join("ca.pem")).unwrap();
    for damaged in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &foreign]
    {
        fs::write(&path, damaged).unwrap();
        let error = Identity::open(folder.path(), "greenhouse", now()).unwrap_err();
        let OpenIdentityError::Damaged { path: named, .. } = &error else { panic!("{error}") };
        assert_eq!(*named, path);
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
}

#[test]
fn a_damaged_certificate_of_the_hub_is_made_anew() {
    let (folder, hub) = hub();
    let device = add(&hub, "fan");
    drop(hub);
    let (other_folder, _other) = super::hub();
    let foreign = fs::read_to_string(other_folder.path().join("server.pem")).unwrap();
    for damaged in ["", &foreign] {
        fs::write(folder.path().join("server.pem"), damaged).unwrap();
        let hub = open(folder.path());
        connect(&client_of(&device), &hub.server_config()).unwrap();
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Identity::open(&file.path().join("x"), "greenhouse", now()).unwrap_err();
    assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
}
