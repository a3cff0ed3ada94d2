//! PostgreSQL for tests: one server for all of them, with a database for each test, and servers of their own for tests
//! that kill it. `scripts/postgres` starts and stops them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The port of a server that none is chosen for.
const PORT: u16 = 5432;
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    /// Where its socket is.
    pub(super) directory: PathBuf,
    /// Where it listens: a part of the name of its socket, and a port of 127.0.0.1 if it has one.
    pub port: u16,
}

/// A server of this process, which stops when the process ends.
pub struct OwnServer {
    server: Server,
    /// The script that owns the server waits for lines on its standard input.
    owner: Mutex<Child>,
}

/// Returns the server for all tests: the one whose socket is in `HAUL_TEST_POSTGRES`, or else one that this process
/// starts.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<&'static Server> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var_os("HAUL_TEST_POSTGRES") {
        Some(directory) => {
            let server = Box::leak(Box::new(Server { directory: directory.into(), port: PORT }));
            server.wait();
            server
        }
        None => OwnServer::start().server(),
    })
}

impl OwnServer {
    /// Starts a server that may be killed.
    pub fn start() -> &'static Self {
        Self::made(&[], PORT, |_| ())
    }

    /// Starts a server with these arguments of the script, after `prepare` has changed its directory of data. It listens at
    /// `port`.
    pub fn made(arguments: &[&str], port: u16, prepare: impl FnOnce(&Path)) -> &'static Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let mut owner =
            Command::new(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut directory = String::new();
        let mut lines = BufReader::new(owner.stdout.take().expect("a pipe"));
        lines.read_line(&mut directory).expect("the script answers");
        assert!(!directory.is_empty(), "no server of PostgreSQL can be started");
        let server = Server { directory: directory.trim_end().into(), port };
        prepare(&server.directory.join("data"));
        let server = Box::leak(Box::new(Self { server, owner: Mutex::new(owner) }));
        server.restart();
        server
    }

    pub fn server(&'static self) -> &'static Server {
        &self.server
    }

    /// Starts the server, which is not running.
    pub fn restart(&self) {
        let mut owner = self.owner.lock().expect("a shell");
        owner.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("the shell reads");
        drop(owner);
        self.server.wait();
    }

    /// Kills all processes of the server, and waits for their end. Returns how many there were.
    pub fn crash(&self) -> usize {
        let file = std::fs::read_to_string(self.server.directory.join("data/postmaster.pid")).expect("a server runs");
        let first: i32 = file.lines().next().and_then(|pid| pid.parse().ok()).expect("a number");
        let signal = |pid: i32, signal| {
            // One that is gone needs no signal.
            let _ = kill_process(Pid::from_raw(pid).expect("a process"), signal);
        };
        // A process that is stopped starts no others.
        signal(first, Signal::STOP);
        let mut all = children(first);
        all.push(first);
        all.iter().for_each(|pid| signal(*pid, Signal::KILL));
        let deadline = Instant::now() + START_TIMEOUT;
        while all.iter().any(|pid| is_alive(*pid)) {
            assert!(Instant::now() < deadline, "processes of the server do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        all.len()
    }
}

impl Server {
    /// Waits until the server answers.
    fn wait(&self) {
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = postgres::Client::connect(&self.url("postgres"), postgres::NoTls) {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server does not start: {error}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let socket = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}:{}/{database}", self.port)
    }

    /// A database that nobody else has.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // Other programs of tests use the same server.
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut client = postgres::Client::connect(&self.url("postgres"), postgres::NoTls).expect("a session");
        client.batch_execute(&format!("CREATE DATABASE {name}")).expect("a database");
        name
    }
}

/// State and parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

fn children(parent: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}
