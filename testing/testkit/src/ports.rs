use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result};

/// Returns a TCP port of the loopback interface that nobody listened on a moment ago.
///
/// # Errors
/// Fails when the system has no free port.
pub fn free_port() -> Result<u16> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}
