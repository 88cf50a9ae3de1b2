use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that one certificate names at most; a machine with more is reached by name.
const MAX_ADDRESSES: usize = 64;

/// Returns the names and addresses under which devices may reach this machine, sorted.
pub(crate) fn machine_names(hub_name: &str) -> Vec<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let host_name = read("/proc/sys/kernel/hostname");
    let mut addresses = local_ipv4(&read("/proc/net/fib_trie"));
    addresses.extend(local_ipv6(&read("/proc/net/if_inet6")));
    names(hub_name, host_name.trim(), &addresses)
}

fn names(hub_name: &str, host_name: &str, addresses: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    for name in [hub_name, host_name] {
        let name = name.to_ascii_lowercase();
        if is_dns_name(&name) {
            names.push(format!("{name}.local"));
            names.push(name);
        }
    }
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    addresses.truncate(MAX_ADDRESSES);
    names.extend(loopback.iter().chain(&addresses).map(IpAddr::to_string));
    names.sort_unstable();
    names.dedup();
    names
}

/// Tells whether `name` can stand in a certificate as the name of a host (RFC 1123, 2.1).
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 240 && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

/// Returns the addresses that the routing table of Linux marks as the machine's own: a line with the
/// address, then one that says `/32 host LOCAL`.
fn local_ipv4(table: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut address = None;
    for line in table.lines() {
        if let Some((_, text)) = line.split_once("|-- ") {
            address = text.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(address.map(IpAddr::V4));
        }
    }
    found
}

/// Returns the addresses of the interfaces: 32 hexadecimal digits at the beginning of each line.
fn local_ipv6(table: &str) -> Vec<IpAddr> {
    let address = |line: &str| u128::from_str_radix(line.get(..32)?, 16).ok();
    table.lines().filter_map(address).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_reached_by_its_loopback_names() {
        let names = machine_names("greenhouse");
        for name in ["localhost", "127.0.0.1", "::1", "greenhouse", "greenhouse.local"] {
            assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
        }
    }

    #[test]
    fn a_name_that_is_no_host_name_is_left_out() {
        for name in ["", "a b", "-a", "a_b", "a..b", "10.0.0.1", &"a".repeat(64), "a:b"] {
            assert_eq!(names(name, "", &[]), ["127.0.0.1", "::1", "localhost"], "{name:?}");
        }
    }

    #[test]
    fn names_are_sorted_and_there_once() {
        let addresses = ["10.0.0.9", "10.0.0.2", "127.0.0.1"].map(|text| text.parse().unwrap());
        let expected =
            ["10.0.0.2", "10.0.0.9", "127.0.0.1", "::1", "hub", "hub.local", "localhost"];
        assert_eq!(names("hub", "HUB", &addresses), expected);
    }

    #[test]
    fn addresses_are_read_as_linux_writes_them() {
        let fib_trie = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.1.2.0/24 2 0 2
        |-- 10.1.2.3
           /32 host LOCAL
        |-- 10.1.2.255
           /32 link BROADCAST
";
        assert_eq!(local_ipv4(fib_trie), ["10.1.2.3".parse::<IpAddr>().unwrap()]);
        let if_inet6 = "\
fe800000000000000a0027fffe4e66a1 02 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
";
        let expected: [IpAddr; 2] =
            ["fe80::a00:27ff:fe4e:66a1", "::1"].map(|text| text.parse().unwrap());
        assert_eq!(local_ipv6(if_inet6), expected);
        assert_eq!(local_ipv6("nonsense\n"), [] as [IpAddr; 0]);
    }
}
