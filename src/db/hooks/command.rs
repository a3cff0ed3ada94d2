//! Runs a program in a process group of its own, with bounded output and a time limit.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::migration::redacted;
use crate::pipeline::StopToken;

const LINES_MAX: usize = 50;
const LINE_BYTES_MAX: usize = 500;
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long output is waited for when the process group has ended. A process that has left the group may hold the pipe.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);
/// The variables with secrets that haul itself reads. A program gets the others.
const SECRETS: [&str; 2] = ["DATABASE_URL", "PGPASSWORD"];

/// A program and its arguments, which no shell reads.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    arguments: Vec<String>,
}

/// Why a program counts as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandFault {
    /// It was ended, because the run was asked to stop.
    Stopped,
    /// It failed in this way.
    Failed(String),
}

impl Program {
    /// Returns the program, or `None` without words.
    pub fn new(words: &[String]) -> Option<Self> {
        let (name, arguments) = words.split_first().filter(|(name, _)| !name.is_empty())?;
        Some(Self { name: name.clone(), arguments: arguments.to_vec() })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it to its end, with these variables in its environment. Returns what it printed, line by line.
    pub fn run(
        &self,
        variables: &[(&str, String)],
        timeout: Option<Duration>,
        stop: &StopToken,
    ) -> (Vec<String>, Result<(), CommandFault>) {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        for name in SECRETS {
            command.env_remove(name);
        }
        // In a group of its own, an interrupt at the terminal reaches haul alone, which decides what it ends.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return (Vec::new(), Err(CommandFault::Failed(format!("it cannot be started: {error}")))),
        };
        let output = Output::read(&mut child);
        let end = wait(&child, timeout, stop);
        // Until it is waited for, no other process can have its number.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let status = child.wait();
        let lines = output.lines();
        let result = end.and_then(|()| match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(CommandFault::Failed(format!("it ended with {status}"))),
            Err(error) => Err(CommandFault::Failed(format!("its end is unknown: {error}"))),
        });
        (lines, result)
    }
}

/// Waits until the program ends, and leaves it to be waited for.
fn wait(child: &Child, timeout: Option<Duration>, stop: &StopToken) -> Result<(), CommandFault> {
    let due = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(Pid::from_child(child)), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Ok(Some(_)) => return Ok(()),
            Err(error) => return Err(CommandFault::Failed(format!("it cannot be waited for: {error}"))),
        }
        if stop.is_requested() {
            return Err(CommandFault::Stopped);
        }
        if due.is_some_and(|due| Instant::now() >= due) {
            return Err(CommandFault::Failed("it was ended at the time limit".into()));
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// What a program prints, while it runs.
struct Output {
    kept: Arc<Mutex<Kept>>,
    ends: std::sync::mpsc::Receiver<()>,
}

#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    more: u64,
}

impl Output {
    fn read(child: &mut Child) -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let (sender, ends) = channel();
        if let Some(pipe) = child.stdout.take() {
            read_lines(pipe, kept.clone(), sender.clone());
        }
        if let Some(pipe) = child.stderr.take() {
            read_lines(pipe, kept.clone(), sender);
        }
        Self { kept, ends }
    }

    fn lines(self) -> Vec<String> {
        let due = Instant::now() + OUTPUT_WAIT;
        // Each of the two threads sends nothing and hangs up.
        let _ = self.ends.recv_timeout(due.saturating_duration_since(Instant::now()));
        let mut kept = self.kept.lock();
        let mut lines = std::mem::take(&mut kept.lines);
        if kept.more > 0 {
            lines.push(format!("and {} more lines", kept.more));
        }
        lines
    }
}

/// Reads a pipe to its end in a thread: a program whose output nobody reads would not go on.
fn read_lines(mut pipe: impl Read + Send + 'static, kept: Arc<Mutex<Kept>>, end: Sender<()>) {
    thread::spawn(move || {
        let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            for byte in &buffer[..length] {
                match byte {
                    b'\n' => keep(&kept, &mut line),
                    _ if line.len() < LINE_BYTES_MAX => line.push(*byte),
                    _ => {}
                }
            }
        }
        if !line.is_empty() {
            keep(&kept, &mut line);
        }
        drop(end);
    });
}

fn keep(kept: &Mutex<Kept>, line: &mut Vec<u8>) {
    let mut kept = kept.lock();
    if kept.lines.len() < LINES_MAX {
        kept.lines.push(redacted(String::from_utf8_lossy(line).trim_end()));
    } else {
        kept.more += 1;
    }
    line.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new(&["/bin/sh", "-c", script].map(str::to_owned)).unwrap()
    }

    #[test]
    fn output_is_bounded_and_a_failure_is_reported() {
        let script = "i=0; while [ $i -lt 60 ]; do echo $HAUL_HOOK; i=$((i+1)); done; printf '%01000d' 0 >&2; exit 3";
        let (lines, result) = shell(script).run(&[("HAUL_HOOK", "x".into())], None, &StopToken::new());
        assert_eq!(lines.len(), LINES_MAX + 1);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX) && lines.iter().any(|line| line == "x"));
        assert_eq!(result, Err(CommandFault::Failed("it ended with exit status: 3".into())));
        let (_, result) = Program::new(&["/nowhere/to/be/found".into()]).unwrap().run(&[], None, &StopToken::new());
        assert!(matches!(result, Err(CommandFault::Failed(what)) if what.contains("cannot be started")));
    }

    #[test]
    fn the_limit_and_a_stop_end_the_whole_group() {
        let stop = StopToken::new();
        let (lines, result) = shell("sleep 60 & echo $!; sleep 60").run(&[], Some(Duration::from_millis(50)), &stop);
        assert_eq!(result, Err(CommandFault::Failed("it was ended at the time limit".into())));
        let process = Pid::from_raw(lines[0].parse().unwrap()).unwrap();
        // It is gone, or its parent has yet to notice that it is.
        while rustix::process::test_kill_process(process).is_ok() {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", lines[0])).unwrap_or_default();
            if state.contains(") Z ") {
                break;
            }
            thread::yield_now();
        }
        stop.request();
        assert_eq!(shell("sleep 60").run(&[], None, &stop).1, Err(CommandFault::Stopped));
    }
}
