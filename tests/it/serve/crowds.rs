//! Clients that are slow, and crowds of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{Server, wait_for};
use crate::support::http::{connect, get, lines, open_stream, request};
use crate::support::place::Place;

/// What the server admits.
const CONNECTIONS: usize = 64;
const STREAMS: usize = 16;

fn first_line(stream: TcpStream) -> String {
    lines(stream).next().unwrap_or_default()
}

/// Waits until the server ends the connection, and returns what it said.
#[track_caller]
fn rest(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it does not end: {error}"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[test]
fn slow_clients_are_ended_and_hold_up_nobody() {
    let place = Place::with_space(10);
    let server = Server::start(place.path(), &[]);
    let half = connect(server.address);
    (&half).write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
    let silent = connect(server.address);
    let unread = open_stream(server.address);
    let slow = connect(server.address);
    std::thread::scope(|scope| {
        // A byte a second would take a quarter of a minute for the whole head.
        let dribbles = scope.spawn(|| {
            let text = request("GET", "/healthz");
            let sent = text.bytes().take_while(|byte| {
                std::thread::sleep(Duration::from_secs(1));
                (&slow).write_all(&[*byte]).is_ok()
            });
            sent.count()
        });
        assert_eq!(server.get("/healthz").body, "ok\n");
        assert!(rest(&half).starts_with("HTTP/1.1 408 "));
        assert_eq!(rest(&silent), "");
        assert_eq!(server.get("/healthz").body, "ok\n");
        assert!(dribbles.join().unwrap() < 20, "it was let go on");
    });
    // A stream is not a slow client: it stays open.
    assert_eq!(first_line(unread), "HTTP/1.1 200 OK");
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let place = Place::with_space(10);
    let server = Server::start(place.path(), &[]);
    let stream = connect(server.address);
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n", "x".repeat(9000));
    // It may end the connection before it has taken everything.
    let _ = (&stream).write_all(long.as_bytes());
    let answer = rest(&stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(server.get("/healthz").body, "ok\n");
}

#[test]
fn one_stream_too_many_is_told_to_come_back() {
    let place = Place::with_space(10);
    let server = Server::start(place.path(), &[]);
    let streams: Vec<_> = (0..STREAMS).map(|_| lines(open_stream(server.address))).collect();
    let mut streams: Vec<_> = streams.into_iter().map(|mut lines| (lines.next(), lines)).collect();
    assert!(streams.iter().all(|(first, _)| first.as_deref() == Some("HTTP/1.1 200 OK")));
    let refused = get(server.address, "/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(server.get("/healthz").body, "ok\n");
    drop(streams.pop());
    // The server notices that when it sends something, or looks.
    wait_for("a place", || (first_line(open_stream(server.address)) == "HTTP/1.1 200 OK").then_some(()));
}

#[test]
fn one_connection_too_many_waits_until_another_ends() {
    let place = Place::with_space(10);
    let server = Server::start(place.path(), &[]);
    let mut crowd: Vec<_> = (0..STREAMS).map(|_| open_stream(server.address)).collect();
    for stream in &crowd {
        // It is admitted before the others come.
        stream.peek(&mut [0]).expect("an answer");
    }
    crowd.extend((STREAMS..CONNECTIONS).map(|_| connect(server.address)));
    let waiting = connect(server.address);
    (&waiting).write_all(request("GET", "/healthz").as_bytes()).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let early = (&waiting).read(&mut [0; 1]);
    assert!(
        early.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "it is answered beside {CONNECTIONS} others"
    );
    crowd.truncate(STREAMS);
    waiting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert!(rest(&waiting).ends_with("ok\n"));
}
