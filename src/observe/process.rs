//! What tells this process from any other one, before or after it, of the same number.

use std::fs;

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

/// Returns field 22. The name of the program, which may hold anything, ends with the last parenthesis and is field 2.
fn start_of(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_behind_a_name_that_may_hold_anything() {
        let rest: Vec<_> = (3..=30).map(|field| field.to_string()).collect();
        assert_eq!(start_of(&format!("7 (a) b (c)) {}", rest.join(" "))), Some(22));
        assert_eq!(start_of("7 (a"), None);
        let this = Process::this();
        assert_eq!(this, Process::of(std::process::id()));
        assert!(this.start.is_some());
    }
}
