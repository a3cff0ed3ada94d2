//! Servers of PostgreSQL that listen on a port, and standbys of them.

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::postgres::OwnServer;

/// The ports that are given out. The system takes those above for clients, of which one may get a port between the moment
/// that it is found free and the start of its server, which then cannot listen.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port that nothing listens on, and that this process has not given out yet.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different ones.
    let first = std::process::id().wrapping_mul(97);
    let count = u32::from(PORTS.end - PORTS.start);
    loop {
        let at = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed).into()) % count;
        let port = PORTS.start + u16::try_from(at).expect("less than all ports");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Starts a server that listens on a port of 127.0.0.1 too, after `prepare` has changed its directory of data.
pub fn on_a_port(prepare: impl FnOnce(&Path)) -> &'static OwnServer {
    let port = free_port();
    OwnServer::made(&[&port.to_string()], port, prepare)
}

/// Starts a standby of a server.
pub fn standby_of(primary: &'static OwnServer) -> &'static OwnServer {
    let port = free_port();
    OwnServer::made(&[&port.to_string(), &primary.server().url("postgres")], port, |_| ())
}
