//! Servers of PostgreSQL that listen on a port, and standbys of them.

use std::net::TcpListener;
use std::path::Path;

use crate::support::postgres::OwnServer;

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
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
