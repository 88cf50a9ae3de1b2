//! Whether the hub runs, and whether its devices can log in.

use std::net::{SocketAddr, TcpListener};

use tomte_wire::control::{Device, Status};

use super::Check;
use crate::context::Context;
use crate::control::Control;
use crate::moments::{long_span_ms, now_us};

/// A certificate that ends sooner than this is pointed out, in milliseconds: 14 days.
const ENDS_SOON_MS: u64 = 14 * 86_400_000;

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let Ok(control) = context.control() else { return Vec::new() };
    match control.get::<Status>("/v1/status") {
        Ok(status) => running(&control, &status),
        Err(_) => stopped(context),
    }
}

fn running(control: &Control, status: &Status) -> Vec<Check> {
    let up = long_span_ms(status.uptime_ms);
    let mut checks = vec![Check::ok("hub", format!("runs, process {}, up {up}", status.pid))];
    checks.extend(status.warnings.iter().map(|warning| Check::warning("hub", warning, "")));
    if let Ok(devices) = control.get::<Vec<Device>>("/v1/devices") {
        checks.push(certificates(&devices, now_us() / 1_000));
    }
    checks
}

fn stopped(context: &Context) -> Vec<Check> {
    let mut checks = vec![Check::ok("hub", "does not run; `tomte dev` or `tomte run` starts it")];
    let Ok(project) = context.project() else { return checks };
    checks
        .extend(project.listeners().into_iter().map(|(protocol, address)| port(protocol, address)));
    checks
}

fn port(protocol: &str, address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => Check::ok("port", format!("{address} is free for {protocol}")),
        Err(error) => Check::problem(
            "port",
            format!("{address} cannot be had for {protocol}: {error}"),
            format!("stop the program that has it, or set listeners.{protocol}.bind in tomte.toml"),
        ),
    }
}

fn certificates(devices: &[Device], now_ms: u64) -> Check {
    let name = "certificates";
    let ends = |device: &Device| device.expires_ms.unwrap_or(u64::MAX);
    let ends_before = |moment: u64| devices.iter().find(|device| ends(device) <= moment);
    let fix =
        |device: &Device| format!("`tomte device renew {}`, then copy the files", device.name);
    if let Some(device) = ends_before(now_ms) {
        return Check::problem(name, format!("that of {} has ended", device.name), fix(device));
    }
    if let Some(device) = ends_before(now_ms + ENDS_SOON_MS) {
        let left = long_span_ms(ends(device) - now_ms);
        return Check::warning(
            name,
            format!("that of {} ends in {left}", device.name),
            fix(device),
        );
    }
    Check::ok(name, format!("{} devices, none ends soon", devices.len()))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn device(expires_ms: u64) -> Device {
        Device {
            name: "fan".to_owned(),
            fingerprint: Some(String::new()),
            expires_ms: Some(expires_ms),
            has_password: false,
            connected: false,
            declared: true,
        }
    }

    /// Proves: DOC-1.
    #[test]
    fn a_port_that_is_taken_is_a_problem() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(port("mqtts", address).verdict, Verdict::Problem);
        drop(taken);
        assert_eq!(port("mqtts", address).verdict, Verdict::Ok);
    }

    /// Proves: DOC-1.
    #[test]
    fn certificates_are_judged_by_their_end() {
        let verdict = |expires| certificates(&[device(expires)], 1_000).verdict;
        assert_eq!(verdict(1_000), Verdict::Problem);
        assert_eq!(verdict(1_000 + ENDS_SOON_MS), Verdict::Warning);
        assert_eq!(verdict(1_001 + ENDS_SOON_MS), Verdict::Ok);
    }
}
