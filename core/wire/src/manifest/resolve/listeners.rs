use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::context::Context;
use crate::manifest::diagnostic::Complaint;
use crate::manifest::key_path::{KeyPath, path};
use crate::manifest::meant::{Listener, Listeners};
use crate::manifest::written::{self, Address, Anonymous, Mqtts, MqttsTable};

/// Where MQTT over TLS is by default: the port that IANA gave to it.
const DEFAULT_MQTTS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8883);

/// Stands for an address that was refused, so that the rest is checked; agrees with everything.
const REFUSED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn listeners(
    written: written::Listeners,
    context: &mut Context<'_, '_, '_>,
) -> Listeners {
    let mqtts = match written.mqtts {
        None | Some(Mqtts::Switch(true)) => Some(MqttsTable::default()),
        Some(Mqtts::Switch(false)) => None,
        Some(Mqtts::Table(table)) => Some(table),
    };
    if mqtts.is_none() && written.mqtt.is_none() {
        let complaint = Complaint::new("nobody could connect: there is no listener for MQTT")
            .help("leave mqtts out, or set mqtt = { bind = \"127.0.0.1:1883\", anonymous = true }");
        context.complain(&path(["listeners", "mqtts"]), complaint);
    }
    let listeners = Listeners {
        mqtts: mqtts.map(|table| mqtts_listener(table, context)),
        mqtt: written.mqtt.map(|table| mqtt_listener(&table, context)),
        http: written.http.map(|http| address(&http.bind, &path(["listeners", "http"]), context)),
    };
    check_distinct(&listeners, context);
    listeners
}

fn mqtts_listener(table: MqttsTable, context: &mut Context<'_, '_, '_>) -> Listener {
    let key = path(["listeners", "mqtts"]);
    let bind = table.bind.map_or(DEFAULT_MQTTS, |bind| address(&bind, &key, context));
    Listener { bind, anonymous: anonymous(table.anonymous, bind, &key, context) }
}

fn mqtt_listener(table: &written::Mqtt, context: &mut Context<'_, '_, '_>) -> Listener {
    let key = path(["listeners", "mqtt"]);
    let bind = address(&table.bind, &key, context);
    if matches!(table.anonymous, None | Some(Anonymous::Switch(false))) {
        let complaint = Complaint::new("plain TCP knows no identities, so nobody could connect")
            .expected("anonymous = true, or anonymous = \"anywhere\"")
            .help("for devices with an identity use the listener mqtts");
        context.complain(&key.key("anonymous"), complaint);
        return Listener { bind, anonymous: false };
    }
    Listener { bind, anonymous: anonymous(table.anonymous, bind, &key, context) }
}

/// Clients without an identity are let in from other machines only where that was said in so many
/// words.
fn anonymous(
    written: Option<Anonymous>,
    bind: SocketAddr,
    listener: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> bool {
    match written {
        None | Some(Anonymous::Switch(false)) => false,
        Some(Anonymous::Word(_)) => true,
        Some(Anonymous::Switch(true)) => {
            if !bind.ip().is_loopback() {
                let message = format!("anybody who reaches {bind} could connect without identity");
                let complaint = Complaint::new(message)
                    .expected("a loopback address such as 127.0.0.1, or anonymous = \"anywhere\"");
                context.complain(&listener.key("anonymous"), complaint);
            }
            true
        }
    }
}

fn address(
    Address(text): &Address,
    listener: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> SocketAddr {
    let parsed = text.parse().map_err(|_| format!("{text:?} is no address with a port"));
    context.accept(parsed, &listener.key("bind"), Address::FORM).unwrap_or(REFUSED)
}

fn check_distinct(listeners: &Listeners, context: &mut Context<'_, '_, '_>) {
    let all = [
        ("mqtts", listeners.mqtts.map(|listener| listener.bind)),
        ("mqtt", listeners.mqtt.map(|listener| listener.bind)),
        ("http", listeners.http),
    ];
    for (at, (name, bind)) in all.iter().enumerate() {
        let Some(bind) = bind else { continue };
        let is_taken = |other: &Option<SocketAddr>| other.is_some_and(|other| meet(*bind, other));
        if let Some((other, _)) = all[..at].iter().find(|(_, other)| is_taken(other)) {
            let complaint = Complaint::new(format!("{bind} is taken by the listener {other}"))
                .help("give each listener a port of its own");
            context.complain(&path(["listeners", name, "bind"]), complaint);
        }
    }
}

/// Tells whether two listeners would be in each other's way. Port 0 is any that is free.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let same_port = one.port() == other.port() && one.port() != 0;
    let same_address =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    same_port && same_address
}
