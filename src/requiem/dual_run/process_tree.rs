//! Kills a process and everything that it started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, RawPid, Signal, kill_process, kill_process_group};

/// Most scans of the process table. Each scan finds what was started between the one before and the stop after it.
const LOOKS_MAX: usize = 32;

/// Kills the process group of `root` and every process below `root`, in any group or session: the reference gives its
/// commands a session of their own. A process whose parent exited and that left the group is not found.
///
/// `root` leads its group and is not reaped.
pub(super) fn kill_tree(root: Pid) {
    // Processes are stopped first, so that none can start another one unseen. A signal to a process that is gone fails, which is fine.
    let _ = kill_process_group(root, Signal::STOP);
    let mut found = BTreeSet::new();
    for _ in 0..LOOKS_MAX {
        let new: Vec<_> = below(root.as_raw_pid()).into_iter().filter(|pid| found.insert(*pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            signal(pid, Signal::STOP);
        }
    }
    let _ = kill_process_group(root, Signal::KILL);
    for pid in found {
        signal(pid, Signal::KILL);
    }
}

fn signal(pid: RawPid, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Returns all descendants of `root`.
fn below(root: RawPid) -> Vec<RawPid> {
    let mut children: BTreeMap<RawPid, Vec<RawPid>> = BTreeMap::new();
    for pid in all_processes() {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut pending = vec![root];
    let mut descendants = Vec::new();
    while let Some(pid) = pending.pop() {
        let found = children.remove(&pid).unwrap_or_default();
        descendants.extend_from_slice(&found);
        pending.extend(found);
    }
    descendants
}

fn all_processes() -> Vec<RawPid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| *pid > 0).collect()
}

fn parent(pid: RawPid) -> Option<RawPid> {
    parent_in(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the parent in a line of `stat`: the second field after the name, which is in parentheses and may have any
/// byte.
fn parent_in(stat: &[u8]) -> Option<RawPid> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = str::from_utf8(&stat[name_end + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    /// Returns true once the process is gone or only waits to be reaped.
    pub(in crate::requiem::dual_run) fn is_gone(pid: &str) -> bool {
        let is_there = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|fields| !fields.is_empty() && !fields.starts_with(" Z"))
        };
        (0..2000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            !is_there()
        })
    }

    #[test]
    fn the_parent_is_found_after_any_name() {
        assert_eq!(parent_in(b"12 (a) R) S) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in(b"12 (\xff\n) Z 1"), Some(1));
        assert_eq!((parent_in(b""), parent_in(b"12 (a) S"), parent_in(b"12 (a) S x")), (None, None, None));
        assert_eq!(parent(std::process::id() as RawPid), Some(std::os::unix::process::parent_id() as RawPid));
    }

    #[test]
    fn children_in_sessions_of_their_own_are_killed_too() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "setsid sh -c 'echo $$; sleep 600 & echo $!; wait' & wait"]).process_group(0);
        let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let pids = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
        assert!(below(child.id() as RawPid).len() >= 2);
        kill_tree(Pid::from_child(&child));
        child.wait().unwrap();
        assert!(pids.iter().all(|pid| is_gone(pid)), "{pids:?}");
    }
}
