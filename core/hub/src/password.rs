//! CONNECT with a user name and a password: what a device without a certificate shows.
//!
//! ```text
//!   CONNECT ── a check is worth it ──> Waiting ── Effect::CheckPassword ──> the host hashes
//!      │                                  │
//!      └─ the address tried too often     └─ on_password_checked ──> Passed or Refused
//! ```
//!
//! A hash takes as long as ten thousand messages, so the host makes it beside the event loop. The
//! CONNECT stays in the host's buffer meanwhile and is handed over again afterwards, so that nothing
//! of it is kept here, and a client that left in between leaves nothing behind.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tomte_base::{DeviceName, Time};
use tomte_mqtt::codec::{Connect, ReasonCode};

use crate::counter::Counter;
use crate::{Effect, Hub, Owner, Slot};

/// Checks that may wait for the host at once.
const MAX_WAITING: usize = 64;
/// Wrong passwords that one address may send in a row.
const BURST: u32 = 10;
/// How long it then takes until it may try once more.
const REFILL: Duration = Duration::from_secs(6);
/// Addresses whose wrong passwords are remembered.
const MAX_ADDRESSES: usize = 10_000;

/// A password on its way to the host. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Which connection a check is for. A later connection in the same slot has another serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckId {
    /// The connection.
    pub slot: Slot,
    serial: u64,
    address: Option<IpAddr>,
}

/// What the host is to find out: whether this is the password of the device that `user` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordCheck {
    /// For [`Hub::on_password_checked`].
    pub id: CheckId,
    /// The user name: whatever the client wrote.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Where a connection is with its password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Check {
    /// No CONNECT has shown one.
    #[default]
    NotAsked,
    /// The host has it.
    Waiting,
    /// It was right.
    Passed,
    /// It was wrong, or is not looked at.
    Refused(ReasonCode, &'static str),
}

impl Hub {
    /// Tells whether this CONNECT has to wait for its password to be checked; asks the host to.
    pub(crate) fn waits_for_password(
        &mut self,
        now: Time,
        slot: Slot,
        connect: &Connect<'_>,
    ) -> bool {
        let Some(connection) = self.connection(slot) else { return false };
        let by_certificate = matches!(connection.owner, Some(Owner::Device(_)));
        let asks = connection.passwords
            && connection.check == Check::NotAsked
            && connection.session.is_none()
            && !by_certificate;
        let Some(user) = connect.username.filter(|_| asks) else { return false };
        if self.check_connect(slot, connect).is_err() {
            // It is refused for that.
            return false;
        }
        let id = CheckId { slot, serial: connection.serial, address: connection.address };
        let check = match self.attempts.begin(now, id.address) {
            Ok(()) => Check::Waiting,
            Err(Busy::Waiting) => {
                Check::Refused(ReasonCode::ServerBusy, "too many passwords are being checked")
            }
            Err(Busy::Address) => {
                self.counters.add(Counter::RefusedPasswordRate);
                let why = "too many wrong passwords came from this address";
                Check::Refused(ReasonCode::ConnectionRateExceeded, why)
            }
        };
        let connection = self.connection_mut(slot).expect("looked up above");
        connection.check = check;
        if check == Check::Waiting {
            let password = Secret(connect.password.unwrap_or_default().to_vec());
            let user = user.to_owned();
            self.effects.push(Effect::CheckPassword(PasswordCheck { id, user, password }));
        }
        check == Check::Waiting
    }

    /// The host has checked a password: `device` is the one that it belongs to, none when it is
    /// wrong. Tells whether the connection is still there; the host then hands over the bytes that
    /// it kept once more.
    pub fn on_password_checked(
        &mut self,
        now: Time,
        id: CheckId,
        device: Option<DeviceName>,
    ) -> bool {
        self.attempts.end(now, id.address, device.is_some());
        if device.is_none() {
            self.counters.add(Counter::RefusedPassword);
        }
        let found = self.connection_mut(id.slot).filter(|c| c.serial == id.serial);
        let Some(connection) = found.filter(|c| c.check == Check::Waiting) else { return false };
        connection.check = match device {
            Some(device) => {
                let owner = Owner::Device(device);
                connection.source = owner.source();
                connection.owner = Some(owner);
                Check::Passed
            }
            None => Check::Refused(ReasonCode::NotAuthorized, "the user or the password is wrong"),
        };
        true
    }

    /// Tells why a client may not come in that has shown what it has to show.
    pub(crate) fn check_login(&self, slot: Slot) -> Result<(), (ReasonCode, String)> {
        let Some(connection) = self.connection(slot) else { return Ok(()) };
        match (connection.check, &connection.owner) {
            (Check::Refused(reason, why), _) => Err((reason, why.to_owned())),
            (_, Some(_)) => Ok(()),
            (_, None) => {
                let why = "this listener asks for a user and a password".to_owned();
                Err((ReasonCode::NotAuthorized, why))
            }
        }
    }
}

/// Why a password is not checked.
#[derive(Debug, PartialEq, Eq)]
enum Busy {
    /// The host has enough to do.
    Waiting,
    /// The address sent too many wrong ones.
    Address,
}

/// How many wrong passwords came from where.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    waiting: usize,
    spent: HashMap<IpAddr, Spent>,
}

/// Tries that an address has used up. They come back with time.
#[derive(Clone, Copy, Debug)]
struct Spent {
    tries: u32,
    since: Time,
}

impl Spent {
    fn at(self, now: Time) -> Self {
        let back = (now - self.since).as_secs() / REFILL.as_secs();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        let since = self.since + REFILL * back.min(self.tries);
        Self { tries: self.tries.saturating_sub(back), since }
    }
}

impl Attempts {
    /// A check begins. It counts as wrong until it is known to be right, so that many at once are no
    /// way around the limit.
    fn begin(&mut self, now: Time, address: Option<IpAddr>) -> Result<(), Busy> {
        if self.waiting >= MAX_WAITING {
            return Err(Busy::Waiting);
        }
        if let Some(address) = address {
            self.make_room(now)?;
            let spent =
                self.spent.entry(network(address)).or_insert(Spent { tries: 0, since: now });
            *spent = spent.at(now);
            if spent.tries >= BURST {
                return Err(Busy::Address);
            }
            if spent.tries == 0 {
                spent.since = now;
            }
            spent.tries += 1;
        }
        self.waiting += 1;
        Ok(())
    }

    /// A check that began has ended.
    fn end(&mut self, now: Time, address: Option<IpAddr>, right: bool) {
        self.waiting = self.waiting.saturating_sub(1);
        let spent = address.filter(|_| right).and_then(|it| self.spent.get_mut(&network(it)));
        if let Some(spent) = spent {
            *spent = spent.at(now);
            spent.tries = spent.tries.saturating_sub(1);
        }
    }

    fn make_room(&mut self, now: Time) -> Result<(), Busy> {
        if self.spent.len() >= MAX_ADDRESSES {
            self.spent.retain(|_, spent| spent.at(now).tries > 0);
        }
        if self.spent.len() >= MAX_ADDRESSES { Err(Busy::Address) } else { Ok(()) }
    }
}

/// Whoever has one address of version 6 has all of its network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000_000);

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn try_wrong(attempts: &mut Attempts, now: Time, from: u8) -> Result<(), Busy> {
        attempts.begin(now, address(from))?;
        attempts.end(now, address(from), false);
        Ok(())
    }

    #[test]
    fn ten_wrong_passwords_close_an_address_and_time_opens_it_again() {
        let mut attempts = Attempts::default();
        for _ in 0..BURST {
            assert_eq!(try_wrong(&mut attempts, NOW, 1), Ok(()));
        }
        assert_eq!(try_wrong(&mut attempts, NOW, 1), Err(Busy::Address));
        assert_eq!(try_wrong(&mut attempts, NOW, 2), Ok(()), "another address");
        let later = NOW + REFILL;
        assert_eq!(try_wrong(&mut attempts, later, 1), Ok(()));
        assert_eq!(try_wrong(&mut attempts, later, 1), Err(Busy::Address));
    }

    #[test]
    fn right_passwords_are_never_too_many() {
        let mut attempts = Attempts::default();
        for _ in 0..1_000 {
            attempts.begin(NOW, address(1)).unwrap();
            attempts.end(NOW, address(1), true);
        }
    }

    #[test]
    fn many_at_once_count_as_wrong_until_they_are_known() {
        let mut attempts = Attempts::default();
        for _ in 0..BURST {
            assert_eq!(attempts.begin(NOW, address(1)), Ok(()));
        }
        assert_eq!(attempts.begin(NOW, address(1)), Err(Busy::Address));
    }

    #[test]
    fn the_checks_that_wait_are_bounded_over_all_addresses() {
        let mut attempts = Attempts::default();
        for n in 0..MAX_WAITING {
            attempts.begin(NOW, address(u8::try_from(n).unwrap())).unwrap();
        }
        assert_eq!(attempts.begin(NOW, address(200)), Err(Busy::Waiting));
        attempts.end(NOW, address(0), false);
        assert_eq!(attempts.begin(NOW, address(200)), Ok(()));
    }

    #[test]
    fn the_addresses_that_are_remembered_are_bounded_and_forgotten_with_time() {
        let mut attempts = Attempts::default();
        let nth = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let mut wrong = |now, n| {
            attempts.begin(now, nth(n))?;
            attempts.end(now, nth(n), false);
            Ok(())
        };
        for n in 0..u32::try_from(MAX_ADDRESSES).unwrap() {
            assert_eq!(wrong(NOW, n), Ok(()));
        }
        assert_eq!(wrong(NOW, 1 << 30), Err(Busy::Address));
        assert_eq!(wrong(NOW + REFILL, 1 << 30), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_of_version_6_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
