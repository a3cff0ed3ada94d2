//! How often a run waits for the server of PostgreSQL: most of the time of a small migration.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::db::Db;
use crate::support::haul::Done;

/// The name of the socket in the directory of the proxy.
const SOCKET: &str = ".s.PGSQL.5432";

/// Passes connections on to the socket of a server, and counts how often that is ready for the next message.
fn counting_proxy(directory: &Path, server: PathBuf) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(directory.join(SOCKET)).expect("a socket");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = UnixStream::connect(&server).expect("a server");
            let (mut from, mut to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Write);
            });
            let counted = counted.clone();
            thread::spawn(move || pass_back(server, client, &counted));
        }
    });
    count
}

/// Passes on what the server says, message by message.
fn pass_back(mut server: UnixStream, mut client: UnixStream, count: &AtomicUsize) {
    let mut head = [0; 5];
    while server.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        if server.read_exact(&mut body).is_err() {
            return;
        }
        count.fetch_add(usize::from(head[0] == b'Z'), Ordering::Relaxed);
        if client.write_all(&[&head[..], &body].concat()).is_err() {
            return;
        }
    }
}

/// Applies so many new files, and returns how often that waited for the server.
fn round_trips_of(files: std::ops::Range<u32>, db: &Db) -> usize {
    for number in files {
        let table = format!("CREATE TABLE t{number} (a INT); CREATE INDEX i{number} ON t{number} (a);");
        db.write(&format!("{number}_t.sql"), &format!("{table} INSERT INTO t{number} VALUES (1);\n"));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (server, database) = db.url().split_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("a URL");
    let (server, port) = server.split_once(':').unwrap_or((server, "5432"));
    let socket = Path::new(&server.replace("%2F", "/")).join(format!(".s.PGSQL.{port}"));
    let count = counting_proxy(directory.path(), socket);
    let url = format!("postgres://postgres@{}/{database}", directory.path().display().to_string().replace('/', "%2F"));
    let mut command = db.command("migrate");
    Done::of(command.env("DATABASE_URL", url).output().expect("haul runs")).expect(0);
    count.load(Ordering::Relaxed)
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_small_migration_on_postgres_waits_as_often_as_it_has_statements_and_twice_more() {
    let db = Db::postgres();
    let (two, twelve) = (round_trips_of(1..3, &db), round_trips_of(3..15, &db));
    // The second run has ten more files; both have read and stored the same.
    let more = twelve - two;
    assert!(more <= 10 * (3 + 2), "{more} round trips for ten migrations of three statements");
}
