use super::*;

fn expires_in_days(hub: &Identity, now: SystemTime) -> u128 {
    let expires = u128::from(hub.server_expires_ms());
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    (expires - now + DAY.as_millis() / 2) / DAY.as_millis()
}

#[test]
fn the_hub_is_known_under_its_names_and_addresses() {
    let (_folder, hub) = hub();
    let client = client_of(&add(&hub, "fan"));
    for host in ["localhost", "127.0.0.1", "::1", "greenhouse", "greenhouse.local"] {
        connect_to(host, &client, &hub.server_config()).unwrap();
    }
    assert!(connect_to("example.org", &client, &hub.server_config()).is_err());
}

#[test]
fn the_certificate_of_the_hub_is_renewed_when_a_third_is_left() {
    let (folder, hub) = hub();
    assert_eq!(expires_in_days(&hub, now()), 90);
    drop(hub);
    let at = |days: u32| Identity::open(folder.path(), "greenhouse", now() + days * DAY).unwrap();
    assert_eq!(expires_in_days(&at(59), now()), 90);
    assert_eq!(expires_in_days(&at(61), now()), 61 + 90);
    assert_eq!(expires_in_days(&at(62), now()), 61 + 90);
}

#[test]
fn a_listener_that_runs_presents_the_renewed_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Identity::open(folder.path(), "greenhouse", now() - 100 * DAY).unwrap();
    let device = add(&hub, "fan");
    let listener = hub.server_config();
    assert!(connect(&client_of(&device), &listener).is_err(), "it has expired");
    assert!(hub.renew_server(now()).unwrap());
    connect(&client_of(&device), &listener).unwrap();
    assert!(!hub.renew_server(now()).unwrap());
}

#[test]
fn a_new_name_of_the_hub_is_in_its_certificate_after_a_restart() {
    let (folder, hub) = hub();
    let client = client_of(&add(&hub, "fan"));
    drop(hub);
    let hub = Identity::open(folder.path(), "tomato-house", now()).unwrap();
    connect_to("tomato-house", &client, &hub.server_config()).unwrap();
}

#[test]
fn a_start_with_the_clock_at_1970_changes_nothing_for_clients() {
    let (folder, hub) = hub();
    let client = client_of(&add(&hub, "fan"));
    drop(hub);
    // The new name makes a new certificate necessary while the clock is wrong.
    for name in ["greenhouse", "other"] {
        let hub = Identity::open(folder.path(), name, SystemTime::UNIX_EPOCH).unwrap();
        connect_to(name, &client, &hub.server_config()).unwrap();
    }
}

#[test]
fn a_hub_name_that_is_no_host_name_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["", "Das grüne Haus", &"long".repeat(40)] {
        let hub = Identity::open(folder.path(), name, now()).unwrap();
        let client = crate::anonymous_client_config(hub.ca_pem()).unwrap();
        let open = hub.server_config_for(crate::WithoutCertificate::Allow);
        connect(&client, &open).unwrap();
    }
}
