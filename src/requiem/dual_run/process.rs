//! One program, run to its end or to its limit, with everything that it started.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::process_tree::kill_tree;
use crate::pipeline::StopToken;

/// What is kept of each output: its end, where programs say why they fail.
const OUTPUT_KEPT_BYTES: usize = 4096;
/// Characters of it that an error quotes.
const QUOTED_CHARS_MAX: usize = 400;
/// How long a look at the program is away from the next one.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long outputs may stay open after the program's end: something that escaped may hold them.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

pub(super) struct Limits<'a> {
    pub(super) timeout: Duration,
    pub(super) stop: &'a StopToken,
}

/// Why a program did not come to its own end.
pub(super) enum Failure {
    Start(io::Error),
    TimedOut,
    Stopped,
    Wait(io::Error),
}

/// A program that came to its end.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Ended {
    /// The end of what it wrote to standard error, else to standard output, behind a colon; nothing if it wrote nothing.
    pub(super) fn said(&self) -> String {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
            let text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            let skipped = text.chars().count().saturating_sub(QUOTED_CHARS_MAX);
            text.chars().skip(skipped).collect::<String>()
        };
        let said = [text(&self.stderr), text(&self.stdout)].into_iter().find(|text| !text.is_empty());
        said.map_or_else(String::new, |said| format!(": {said}"))
    }
}

/// Runs `command` in a process group of its own, with the environment of this process and nothing to read. When this
/// returns, whatever it started in its group or below it is gone.
pub(super) fn run_to_its_end(mut command: Command, limits: &Limits<'_>) -> Result<Ended, Failure> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Failure::Start)?;
    let stdout = Captured::start(child.stdout.take().expect("it is piped"));
    let stderr = Captured::start(child.stderr.take().expect("it is piped"));
    let waited = wait(&child, limits);
    // It is not reaped yet, so the number of its group cannot be another's.
    kill_tree(Pid::from_child(&child));
    let status = child.wait().map_err(Failure::Wait)?;
    waited?;
    Ok(Ended { status, stdout: stdout.finish(), stderr: stderr.finish() })
}

/// Waits for the end without reaping it.
fn wait(child: &Child, limits: &Limits<'_>) -> Result<(), Failure> {
    // A limit that is beyond the clock is none.
    let deadline = Instant::now().checked_add(limits.timeout);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(Failure::Wait(error.into())),
        }
        if limits.stop.is_requested() {
            return Err(Failure::Stopped);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::TimedOut);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The end of what comes out of a pipe, read by a thread that lives until the pipe is closed.
struct Captured {
    kept: Arc<Mutex<Vec<u8>>>,
    closed: Receiver<()>,
}

impl Captured {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (open, closed) = channel();
        let target = kept.clone();
        thread::spawn(move || {
            let mut piece = [0; OUTPUT_KEPT_BYTES];
            loop {
                match pipe.read(&mut piece) {
                    Ok(0) => break,
                    Ok(len) => keep_end(&mut target.lock(), &piece[..len]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(open);
        });
        Self { kept, closed }
    }

    fn finish(self) -> Vec<u8> {
        // Nothing is ever sent: what is waited for is that the other end goes.
        let _ = self.closed.recv_timeout(OUTPUT_GRACE);
        std::mem::take(&mut self.kept.lock())
    }
}

fn keep_end(kept: &mut Vec<u8>, piece: &[u8]) {
    kept.extend_from_slice(piece);
    let excess = kept.len().saturating_sub(OUTPUT_KEPT_BYTES);
    kept.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, timeout_ms: u64) -> Result<Ended, Failure> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run_to_its_end(command, &Limits { timeout: Duration::from_millis(timeout_ms), stop: &StopToken::new() })
    }

    #[test]
    fn the_end_of_what_a_program_says_is_kept() {
        let script = "i=0; while [ $i -lt 20000 ]; do echo some text; i=$((i+1)); done; printf 'at last\\n\\033[m'";
        let ended = run(script, 600_000).ok().unwrap();
        assert!(ended.status.success());
        assert_eq!(ended.stdout.len(), OUTPUT_KEPT_BYTES);
        assert!(ended.said().ends_with("some text at last [m"), "{}", ended.said());
        assert_eq!(ended.said().chars().count(), QUOTED_CHARS_MAX + 2);
        let ended = run("echo out; echo err >&2; exit 3", 600_000).ok().unwrap();
        assert_eq!((ended.status.code(), ended.said().as_str()), (Some(3), ": err"));
        assert_eq!(run("exit 0", 600_000).ok().unwrap().said(), "");
    }

    #[test]
    fn nothing_can_be_read() {
        assert!(run("read line", 600_000).ok().unwrap().status.code() == Some(1));
    }

    #[test]
    fn limits_end_a_program() {
        assert!(matches!(run("sleep 600", 20), Err(Failure::TimedOut)));
        let stop = StopToken::new();
        stop.request();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 600"]);
        let limits = Limits { timeout: Duration::MAX, stop: &stop };
        assert!(matches!(run_to_its_end(command, &limits), Err(Failure::Stopped)));
        let limits = Limits { timeout: Duration::MAX, stop: &StopToken::new() };
        assert!(matches!(run_to_its_end(Command::new("/no/such/program"), &limits), Err(Failure::Start(_))));
    }

    #[test]
    fn what_a_program_leaves_in_its_group_is_ended() {
        // The child in the background holds standard output, so that its end can be seen.
        let ended = run("sleep 600 & echo $!", 600_000).ok().unwrap();
        let pid = String::from_utf8(ended.stdout).unwrap();
        assert!(super::super::process_tree::tests::is_gone(pid.trim()), "{pid}");
    }
}
