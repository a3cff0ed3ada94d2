//! What the tests that kill the real binary share: random moments, and the killing.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::postgres::OwnServer;

/// The binary under test.
pub fn haul() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
    command.stdin(Stdio::null());
    command
}

/// A small generator of random moments; its seed is printed.
pub struct Moments(u64);

impl Moments {
    /// The seed is that of `HAUL_KILL_SEED` or a fixed one.
    pub fn seeded() -> Self {
        let seed = std::env::var("HAUL_KILL_SEED").map_or(0x6861_756c, |seed| seed.parse().expect("a number"));
        println!("HAUL_KILL_SEED={seed}");
        Self(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A time below `bound_ms`, in steps of a tenth of a millisecond.
    pub fn delay_below(&mut self, bound_ms: u64) -> Duration {
        Duration::from_micros(100 * self.below(10 * bound_ms))
    }
}

/// Lets a run that tells its progress as JSON lines go on until one of them is the one that is waited for, then for
/// `delay`, and kills it. False if it had ended by itself. Asked with null before the first line.
pub fn killed(
    mut child: Child,
    delay: Duration,
    mut is_waited_for: impl FnMut(&Value) -> bool + Send + 'static,
) -> bool {
    let stderr = child.stderr.take().expect("a pipe");
    let (sender, receiver) = mpsc::channel();
    let lines = thread::spawn(move || {
        if is_waited_for(&Value::Null) {
            let _ = sender.send(());
        }
        // Read to the end, so that nothing waits for the pipe.
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if is_waited_for(&serde_json::from_str(&line).unwrap_or_default()) {
                let _ = sender.send(());
            }
        }
    });
    let _ = receiver.recv();
    thread::sleep(delay);
    let is_alive = child.try_wait().expect("a status").is_none();
    child.kill().expect("a kill");
    child.wait().expect("an end");
    lines.join().expect("the lines");
    is_alive
}

/// Lets a run go on until one of its events is the one that is waited for, then for `delay`, and kills the server,
/// which is started again when the run has ended. Returns the exit code of the run and its standard error. Asked with
/// null before the first line.
pub fn crashed(
    mut run: Child,
    delay: Duration,
    is_waited_for: impl Fn(&Value) -> bool,
    server: &OwnServer,
) -> (i32, String) {
    let mut lines = BufReader::new(run.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut stderr = String::new();
    if !is_waited_for(&Value::Null) {
        for line in lines.by_ref() {
            let is_reached = is_waited_for(&serde_json::from_str(&line).unwrap_or_default());
            stderr = stderr + &line + "\n";
            if is_reached {
                break;
            }
        }
    }
    thread::sleep(delay);
    assert!(server.crash() > 1, "the first process and others");
    lines.for_each(|line| stderr = std::mem::take(&mut stderr) + &line + "\n");
    let code = run.wait().expect("an end").code().expect("an exit code");
    server.restart();
    (code, stderr)
}

/// Returns what holds of a sample, or with `HAUL_CRASH_FULL=1` what holds of everything.
pub fn sampled_or_full<T>(sampled: T, full: T) -> T {
    if std::env::var_os("HAUL_CRASH_FULL").is_some_and(|value| value == "1") { full } else { sampled }
}

/// True of the event with which a phase begins.
pub fn begins(event: &Value, phase: &str) -> bool {
    event["event"] == "phase_started" && event["phase"] == phase
}
