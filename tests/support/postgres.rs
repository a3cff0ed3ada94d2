//! A private server of PostgreSQL, one for each test binary, with a database for each test; and one more for tests that kill
//! it.
//!
//! It listens on a socket in a temporary directory and nowhere else. A shell owns it, and waits on a pipe whose other end this
//! process holds: however this process ends, the pipe closes, the server stops and its directory goes.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Where Debian has the programs, below a directory for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The user that the server runs as where tests run as root, as whom it does not.
const USER: &str = "postgres";
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// `$1` is the program, `$2` the directory. Each line starts the server, which must be dead. Nothing here is to survive a
/// power cut.
const OWNER: &str = r#"
while read -r _; do
    wait
    "$1" -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" -c fsync=off -c max_connections=100 \
        >>"$2/log" 2>&1 </dev/null &
done
kill -INT $!
wait $!
rm -rf "$2"
"#;

/// A running server.
pub struct Server {
    pub(super) directory: PathBuf,
    /// Its standard input is the pipe.
    owner: Mutex<Child>,
}

/// The server, started by the first test that asks; `None` after saying that the test is left out.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(private_server).as_ref()
}

/// A server of one's own, which may be killed.
pub fn private_server() -> Option<Server> {
    let server = programs().map(Server::start);
    if server.is_none() {
        let is_required = std::env::var_os("HAUL_POSTGRES_REQUIRED").is_some_and(|value| value == "1");
        assert!(!is_required, "no programs of PostgreSQL on PATH or in {DEBIAN}");
        println!("left out: no programs of PostgreSQL on PATH or in {DEBIAN}");
    }
    server
}

/// The directory with `initdb`, `postgres`, `psql` and `pg_dump`.
pub(super) fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let candidates = versions.chain(on_path.into_iter().flatten());
    candidates.into_iter().find(|directory| ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file()))
}

impl Server {
    fn start(programs: PathBuf) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory").keep();
        if let Some((user, group)) = unprivileged() {
            chown(&directory, Some(user), Some(group)).expect("the directory is given away");
        }
        let initdb = command(&programs.join("initdb"), &directory)
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(directory.join("data"))
            .output()
            .expect("initdb runs");
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        let owner = command(Path::new("/bin/sh"), &directory)
            .args(["-c", OWNER, "sh"])
            .args([&programs.join("postgres"), &directory])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let server = Self { directory, owner: Mutex::new(owner) };
        server.restart();
        server
    }

    /// Starts the server, which is not running.
    pub fn restart(&self) {
        let mut owner = self.owner.lock().expect("a shell");
        owner.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("the shell reads");
        drop(owner);
        self.wait();
    }

    /// Kills all processes of the server, and waits for their end. Returns how many there were.
    pub fn crash(&self) -> usize {
        let file = std::fs::read_to_string(self.directory.join("data/postmaster.pid")).expect("a server runs");
        let first: i32 = file.lines().next().and_then(|pid| pid.parse().ok()).expect("a number");
        let signal = |pid: i32, signal| {
            // One that is gone needs no signal.
            let _ = kill_process(Pid::from_raw(pid).expect("a process"), signal);
        };
        // While it is held it starts no others.
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
        format!("postgres://postgres@{socket}/{database}")
    }

    /// A database that nobody else has.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
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

/// A program that is run as the user that the server runs as.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env_remove("PGDATA");
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

/// User and group of the server, where this process is root's.
fn unprivileged() -> Option<(u32, u32)> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users");
    let fields: Vec<_> = users.lines().find(|line| line.starts_with(&format!("{USER}:")))?.split(':').collect();
    Some((fields[2].parse().expect("a number"), fields[3].parse().expect("a number")))
}
