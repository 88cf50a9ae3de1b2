//! Identity files that change while the hub runs: by the day, when its own certificate is due, and at
//! SIGHUP, when somebody has changed them. No connection is closed but those of devices that may not log
//! in any more.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tomte_identity::Identity;

use crate::event::Event;
use crate::event_loop::Inbox;
use crate::problem::chain;

/// How often the hub looks whether its own certificate is to be renewed.
const RENEWAL_PERIOD: Duration = Duration::from_secs(86_400);

/// Keeps the hub's own certificate from expiring while it runs.
pub(crate) async fn renew_by_the_day(identity: Arc<Identity>) {
    loop {
        tokio::time::sleep(RENEWAL_PERIOD).await;
        let identity = Arc::clone(&identity);
        let renew = move || renew_server(&identity);
        if tokio::task::spawn_blocking(renew).await.is_err() {
            tracing::error!("the renewal of the hub's certificate panicked");
        }
    }
}

/// Reads all identity files again. What cannot be read stays as it is, and the log says so.
pub(crate) async fn reload(identity: Arc<Identity>, inbox: Inbox) {
    let read = move || {
        renew_server(&identity);
        warn_of_another_authority(&identity);
        reload_devices(&identity, &inbox);
    };
    if tokio::task::spawn_blocking(read).await.is_err() {
        tracing::error!("reading the identity files again panicked");
    }
}

fn renew_server(identity: &Identity) {
    match identity.renew_server(SystemTime::now()) {
        Ok(true) => {
            tracing::info!("the hub has another certificate; connections of before go on");
        }
        Ok(false) => {}
        Err(error) => {
            tracing::error!(error = %chain(&error), "failed to renew the hub's certificate");
        }
    }
}

fn warn_of_another_authority(identity: &Identity) {
    match identity.is_authority_current() {
        Ok(true) => {}
        Ok(false) => tracing::warn!("ca.pem was changed; the hub goes by it after a restart"),
        Err(error) => tracing::error!(error = %chain(&error), "failed to look at the authority"),
    }
}

fn reload_devices(identity: &Identity, inbox: &Inbox) {
    let shut_out = match identity.reload() {
        Ok(shut_out) => shut_out,
        Err(error) => {
            tracing::error!(error = %chain(&error), "failed to read the devices again");
            return;
        }
    };
    for damaged in identity.damaged_records() {
        tracing::warn!(path = %damaged.path.display(), what = damaged.what, "a device is refused: its record is damaged");
    }
    let devices = identity.list().iter().filter(|device| !device.revoked).count();
    tracing::info!(devices, shut_out = shut_out.len(), "the identity files were read again");
    for device in shut_out {
        inbox.send(Event::Revoke(device));
    }
}
