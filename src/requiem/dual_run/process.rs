//! Runs one program to its end or to a limit, and kills everything that it started.

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
/// Time between two checks of the program. There is no call that waits for a process, a deadline and a stop at once
/// without a signal handler.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long outputs may stay open after the program ended. A process that escaped may still have them open.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

pub(super) struct Limits<'a> {
    pub(super) timeout: Duration,
    pub(super) stop: &'a StopToken,
}

/// Why a program did not end by itself.
pub(super) enum RunFailure {
    Start(io::Error),
    TimedOut,
    Stopped,
    Wait(io::Error),
}

/// A program that ended by itself.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Ended {
    /// Returns the end of standard error, else of standard output, after a colon; nothing if the program wrote nothing.
    pub(super) fn quoted_output(&self) -> String {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
            let text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            let skipped = text.chars().count().saturating_sub(QUOTED_CHARS_MAX);
            text.chars().skip(skipped).collect::<String>()
        };
        let quoted_output = [text(&self.stderr), text(&self.stdout)].into_iter().find(|text| !text.is_empty());
        quoted_output.map_or_else(String::new, |quoted_output| format!(": {quoted_output}"))
    }
}

/// Runs `command` in a process group of its own, with the environment of this process and nothing to read. On return,
/// every process in its group or below it is gone.
pub(super) fn run_to_end(mut command: Command, limits: &Limits<'_>) -> Result<Ended, RunFailure> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(RunFailure::Start)?;
    let stdout = Captured::start(child.stdout.take().expect("it is piped"));
    let stderr = Captured::start(child.stderr.take().expect("it is piped"));
    let waited = wait(&child, limits);
    // The process is not reaped yet, so its number cannot belong to another group by now.
    kill_tree(Pid::from_child(&child));
    let status = child.wait().map_err(RunFailure::Wait)?;
    waited?;
    Ok(Ended { status, stdout: stdout.finish(), stderr: stderr.finish() })
}

/// Waits for the end without reaping the process.
fn wait(child: &Child, limits: &Limits<'_>) -> Result<(), RunFailure> {
    // A limit beyond the range of the clock is no limit.
    let deadline = Instant::now().checked_add(limits.timeout);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(RunFailure::Wait(error.into())),
        }
        if limits.stop.is_requested() {
            return Err(RunFailure::Stopped);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(RunFailure::TimedOut);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The end of what a pipe gives, read by a thread that lives until the pipe is closed.
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
        // Nothing is ever sent: this waits until the other end is dropped.
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

    fn run(script: &str, timeout_ms: u64) -> Result<Ended, RunFailure> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run_to_end(command, &Limits { timeout: Duration::from_millis(timeout_ms), stop: &StopToken::new() })
    }

    #[test]
    fn the_end_of_the_output_is_kept() {
        let script = "i=0; while [ $i -lt 20000 ]; do echo some text; i=$((i+1)); done; printf 'at last\\n\\033[m'";
        let ended = run(script, 600_000).ok().unwrap();
        assert!(ended.status.success());
        assert_eq!(ended.stdout.len(), OUTPUT_KEPT_BYTES);
        assert!(ended.quoted_output().ends_with("some text at last [m"), "{}", ended.quoted_output());
        assert_eq!(ended.quoted_output().chars().count(), QUOTED_CHARS_MAX + 2);
        let ended = run("echo out; echo err >&2; exit 3", 600_000).ok().unwrap();
        assert_eq!((ended.status.code(), ended.quoted_output().as_str()), (Some(3), ": err"));
        assert_eq!(run("exit 0", 600_000).ok().unwrap().quoted_output(), "");
    }

    #[test]
    fn nothing_can_be_read() {
        assert!(run("read line", 600_000).ok().unwrap().status.code() == Some(1));
    }

    #[test]
    fn limits_end_a_program() {
        assert!(matches!(run("sleep 600", 20), Err(RunFailure::TimedOut)));
        let stop = StopToken::new();
        stop.request();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 600"]);
        let limits = Limits { timeout: Duration::MAX, stop: &stop };
        assert!(matches!(run_to_end(command, &limits), Err(RunFailure::Stopped)));
        let limits = Limits { timeout: Duration::MAX, stop: &StopToken::new() };
        assert!(matches!(run_to_end(Command::new("/no/such/program"), &limits), Err(RunFailure::Start(_))));
    }

    #[test]
    fn processes_left_in_the_group_are_killed() {
        // The child in the background has standard output open, so that its end can be seen.
        let ended = run("sleep 600 & echo $!", 600_000).ok().unwrap();
        let pid = String::from_utf8(ended.stdout).unwrap();
        assert!(super::super::process_tree::tests::is_gone(pid.trim()), "{pid}");
    }
}
