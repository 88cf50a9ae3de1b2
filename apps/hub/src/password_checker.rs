//! The thread that hashes passwords, so that the event loop never waits for one.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tomte_base::DeviceName;
use tomte_core_hub::PasswordCheck;
use tomte_identity::{Identity, Password, PasswordHash};

use crate::event::Event;
use crate::event_loop::Inbox;

/// Checks that may wait. The machine asks for no more at once.
const MAX_WAITING: usize = 64;

/// The thread, as the event loop holds it. It ends when this is dropped.
pub(crate) struct PasswordChecker {
    checks: SyncSender<PasswordCheck>,
}

impl PasswordChecker {
    /// Starts the thread; each answer comes to `inbox`.
    pub(crate) fn start(identity: Arc<Identity>, inbox: Inbox) -> io::Result<Self> {
        let (checks, received) = sync_channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("password-check".to_owned())
            .spawn(move || check_until_stopped(&received, &identity, &inbox))?;
        Ok(Self { checks })
    }

    /// Hands a check to the thread. Tells whether it took it.
    pub(crate) fn check(&self, check: PasswordCheck) -> bool {
        self.checks.try_send(check).is_ok()
    }
}

fn check_until_stopped(checks: &Receiver<PasswordCheck>, identity: &Identity, inbox: &Inbox) {
    while let Ok(check) = checks.recv() {
        let PasswordCheck { id, user, password } = check;
        let device = owner_of(identity, &user, password.0);
        inbox.send(Event::PasswordChecked(id, device));
    }
}

/// Returns the device whose name and password these are. Takes as long for a device that is not there:
/// the time does not tell which names exist.
fn owner_of(identity: &Identity, user: &str, password: Vec<u8>) -> Option<DeviceName> {
    let known = identity.password_hash(user);
    let hash = known.unwrap_or_else(PasswordHash::of_nobody);
    let password = Password::new(password).ok()?;
    hash.is_of(&password).then(|| DeviceName::new(user).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_the_name_with_its_own_password_is_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::open(folder.path(), "hub", SystemTime::now()).unwrap();
        let thin = DeviceName::new("thin").unwrap();
        let password = Password::new("sesame").unwrap();
        identity.add_device_with_password(&thin, &password, SystemTime::now()).unwrap();
        let owner = |user: &str, password: &str| owner_of(&identity, user, password.into());
        assert_eq!(owner("thin", "sesame"), Some(thin.clone()));
        for (user, password) in [
            ("thin", "Sesame"),
            ("thin", ""),
            ("thin", &"x".repeat(1_000)),
            ("other", "sesame"),
            ("not/a/name", "sesame"),
        ] {
            assert_eq!(owner(user, password), None, "{user} {password}");
        }
        identity.remove_device(&thin).unwrap();
        assert_eq!(owner("thin", "sesame"), None);
    }
}
