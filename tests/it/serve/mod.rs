//! `haul serve` as a program: what it answers, whom it refuses, and that no client and no directory holds it up.

mod crowds;
mod ends;
mod hostile;
mod routes;
mod states;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::haul::{Done, HAUL};
use crate::support::http::{Answer, get};

/// Against a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of what is below a directory.
struct Server {
    child: Child,
    errors: BufReader<ChildStderr>,
    address: SocketAddr,
}

impl Server {
    #[track_caller]
    fn start(directory: &Path, more: &[&str]) -> Self {
        let mut child = command(directory, &["--listen", "127.0.0.1:0"]).args(more).spawn().expect("haul starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        errors.read_line(&mut line).expect("text");
        let address = line.strip_prefix("serving http://").and_then(|rest| rest.split_once('/'));
        let address =
            address.and_then(|(address, _)| address.parse().ok()).unwrap_or_else(|| panic!("no address: {line}"));
        Self { child, errors, address }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        get(self.address, path)
    }

    /// All migrations.
    #[track_caller]
    fn list(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/migrations");
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).expect("an array")
    }

    /// The most resident memory that it has had, in KiB, without the program itself, which is mapped and several times as
    /// large in a build for tests.
    fn memory_peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let of = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("a value");
            value.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
        };
        of("VmHWM:") - of("RssFile:")
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid_of(&self.child), signal).expect("it runs");
    }

    /// Waits for the end.
    fn end(mut self) -> Done {
        let child = &mut self.child;
        wait_for("the end of the server", || child.try_wait().expect("a child").map(drop));
        let mut stderr = String::new();
        self.errors.read_to_string(&mut stderr).expect("text");
        let code = self.child.wait().expect("it ended").code().unwrap_or(-1);
        Done { code, stdout: String::new(), stderr }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended if a test waited for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(directory: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(HAUL);
    command.args(["serve", "--data-dir"]).arg(directory).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn pid_of(child: &Child) -> Pid {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process")
}

#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
