//! Processes, as `/proc/PID/stat` tells of them, and what tells one from any other of the same number, before or after it.

use std::fs;

/// The fields of `/proc/PID/stat` with the processor time of a process, of user and of system.
const TIMES: [usize; 2] = [14, 15];
/// The field with its start.
const START: usize = 22;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Id of the boot in which it runs; `None` where the system does not say.
    pub boot_id: Option<String>,
    /// Its start in clock ticks after the boot.
    pub start: Option<u64>,
}

impl Process {
    /// Returns this process.
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    /// Returns the process that has this number now.
    pub fn of(pid: u32) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let start = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| start_of(&stat));
        Self { boot_id: boot_id.map(|id| id.trim().to_owned()), start }
    }
}

/// Returns the processor time of a process in clock ticks, of user and system, of all threads.
pub(super) fn ticks_used(stat: &str) -> Option<u64> {
    TIMES.into_iter().map(|number| field(stat, number)).sum()
}

fn start_of(stat: &str) -> Option<u64> {
    field(stat, START)
}

/// Returns a field by its number. The name of the program, which may hold anything, ends with the last parenthesis and is
/// field 2.
fn field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_any_name_has_its_processor_time() {
        let stat = "7 (a) b) ( c) S 1 7 7 0 -1 4194304 100 0 0 0 120 30 0 0 20 0 1 0 555 1000 200";
        assert_eq!(ticks_used(stat), Some(150));
    }

    #[test]
    fn the_start_is_behind_a_name_that_may_hold_anything() {
        let rest: Vec<_> = (3..=30).map(|field| field.to_string()).collect();
        assert_eq!(start_of(&format!("7 (a) b (c)) {}", rest.join(" "))), Some(22));
        assert_eq!((start_of("7 (a"), ticks_used("7 (a) S 1"), ticks_used("")), (None, None, None));
        let this = Process::this();
        assert_eq!(this, Process::of(std::process::id()));
        assert!(this.start.is_some());
    }
}
