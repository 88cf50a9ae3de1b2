use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::context::Context;
use crate::manifest::diagnostic::Complaint;
use crate::manifest::key_path::{KeyPath, path};
use crate::manifest::meant::{Listener, Listeners};
use crate::manifest::written::{self, Address, LetIn, Mqtts, MqttsTable};

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
        origins: origins(written.origins.unwrap_or_default(), context),
    };
    check_distinct(&listeners, context);
    listeners
}

fn mqtts_listener(table: MqttsTable, context: &mut Context<'_, '_, '_>) -> Listener {
    let key = path(["listeners", "mqtts"]);
    let bind = table.bind.map_or(DEFAULT_MQTTS, |bind| address(&bind, &key, context));
    let anonymous = table.anonymous;
    Listener {
        bind,
        anonymous: let_in(anonymous, Without::Identity, bind, &key, context),
        password: table.password.unwrap_or(false),
    }
}

fn mqtt_listener(table: &written::Mqtt, context: &mut Context<'_, '_, '_>) -> Listener {
    let key = path(["listeners", "mqtt"]);
    let bind = address(&table.bind, &key, context);
    let listener = Listener {
        bind,
        anonymous: let_in(table.anonymous, Without::Identity, bind, &key, context),
        password: let_in(table.password, Without::Encryption, bind, &key, context),
    };
    if !listener.anonymous && !listener.password {
        let complaint = Complaint::new("plain TCP knows no certificates, so nobody could connect")
            .expected("anonymous = true or password = true, or \"anywhere\" for one of them")
            .help("for devices with a certificate use the listener mqtts");
        context.complain(&key.key("anonymous"), complaint);
    }
    listener
}

/// What a client that is let in does without.
#[derive(Clone, Copy)]
enum Without {
    Identity,
    Encryption,
}

/// Such clients are let in from other machines only where that was said in so many words.
fn let_in(
    written: Option<LetIn>,
    without: Without,
    bind: SocketAddr,
    listener: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> bool {
    match written {
        None | Some(LetIn::Switch(false)) => return false,
        Some(LetIn::Switch(true)) if !bind.ip().is_loopback() => {}
        Some(LetIn::Switch(true) | LetIn::Word(_)) => return true,
    }
    let (key, message) = match without {
        Without::Identity => {
            ("anonymous", format!("anybody who reaches {bind} could connect without identity"))
        }
        Without::Encryption => (
            "password",
            format!("passwords would travel to {bind} so that others on the way can read them"),
        ),
    };
    let expected = format!("a loopback address such as 127.0.0.1, or {key} = \"anywhere\"");
    context.complain(&listener.key(key), Complaint::new(message).expected(&expected));
    true
}

/// An origin is what a browser sends: a scheme, a host, perhaps a port (RFC 6454, section 6.2).
fn origins(written: Vec<String>, context: &mut Context<'_, '_, '_>) -> Vec<String> {
    let mut origins = Vec::new();
    for (index, text) in written.iter().enumerate() {
        if is_origin(text) {
            origins.push(text.to_ascii_lowercase());
            continue;
        }
        let complaint = Complaint::new(format!("{text:?} is not the origin of a web page"))
            .expected("a scheme and a host without a path, such as \"https://dashboard.example\"");
        context.complain(&path(["listeners", "origins"]).index(index), complaint);
    }
    origins
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphabetic())
        && !authority.is_empty()
        && authority.chars().all(is_name)
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
