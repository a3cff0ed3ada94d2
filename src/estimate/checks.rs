//! What is looked at before a run: each check says whether it is right, and what to do if it is not.

use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::durable::{Disk, system};
use crate::migration::probe::{Drawn, Needs, Probe};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, RunOptions};

/// Memory that a run takes besides its budget.
pub const MEMORY_BESIDES_BUDGET_BYTES: u64 = 40 << 20;
/// Files that a run has open besides those of its workers.
const FILES_BESIDES_WORKERS: u64 = 64;
/// Files that a worker has open.
const FILES_OF_WORKER: u64 = 4;
/// Entries of the source whose times are looked at.
const ENTRIES_MAX: usize = 1_000;
/// Types of file systems that lie on another machine, or that a program serves.
const NETWORK: [&str; 9] = ["nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "9p", "glusterfs", "beegfs"];

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// A run begins all the same.
    Warn,
    /// A run would be refused, or end before its goal.
    Fail,
}

/// Something that was looked at before a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How it came out.
    pub status: CheckStatus,
    /// What was looked at: a word for programs.
    pub code: &'static str,
    /// What was found.
    pub what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    fn new(status: CheckStatus, code: &'static str, what: String, next: &str) -> Self {
        let next = (status != CheckStatus::Ok).then(|| next.to_owned());
        Self { status, code, what, next }
    }
}

/// What the file system of the target has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Free {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories; `None` without a limit.
    pub inodes: Option<u64>,
}

/// Looks at everything.
pub(super) fn checks(
    disk: &dyn Disk,
    probe: &dyn Probe,
    options: &RunOptions,
    (needs, free): (&Needs, Free),
    looked_at: &Drawn,
) -> Result<Vec<Check>, Error> {
    let places = probe.places();
    let mut checks = vec![
        amount("free_space", needs.space_bytes, Some(free.bytes), "make room, or choose another target", bytes_text),
        amount("free_inodes", needs.inodes, free.inodes, "make room, or choose another target", |count| {
            format!("{} files and directories", count_text(count))
        }),
        memory(options.memory_budget_bytes, memory_of_process()),
        open_files(options.parallel_workers.get() as u64, getrlimit(Resource::Nofile).current),
    ];
    if disk.is_system() {
        checks.push(writable(&needs.directory));
        checks.extend(file_systems(&places.source, &needs.directory));
        checks.push(clock(&places.source));
    }
    checks.push(damage(looked_at));
    let holder = probe.run_directory().lock_holder();
    checks.push(match holder {
        None => Check::new(CheckStatus::Ok, "lock", "no other run holds the lock".into(), ""),
        Some(holder) => {
            Check::new(CheckStatus::Fail, "lock", format!("another run holds the lock: {holder}"), "wait for its end")
        }
    });
    Ok(checks)
}

fn amount(code: &'static str, needed: u64, free: Option<u64>, next: &str, text: impl Fn(u64) -> String) -> Check {
    let Some(free) = free else {
        return Check::new(CheckStatus::Ok, code, format!("{} needed, no limit", text(needed)), next);
    };
    let status = match free {
        free if free < needed => CheckStatus::Fail,
        free if free / 2 < needed => CheckStatus::Warn,
        _ => CheckStatus::Ok,
    };
    Check::new(status, code, format!("{} needed, {} free", text(needed), text(free)), next)
}

/// Returns the memory that this process may use.
fn memory_of_process() -> Option<u64> {
    system::memory_bytes().into_iter().chain(system::control_group_limits().memory_bytes).min()
}

fn memory(budget_bytes: u64, available: Option<u64>) -> Check {
    let needed = budget_bytes + MEMORY_BESIDES_BUDGET_BYTES;
    let code = "memory";
    let Some(available) = available else {
        return Check::new(CheckStatus::Ok, code, format!("at most {}", bytes_text(needed)), "");
    };
    let status = match needed {
        needed if needed > available => CheckStatus::Fail,
        needed if needed > available / 10 * 8 => CheckStatus::Warn,
        _ => CheckStatus::Ok,
    };
    let what = format!("at most {} of {}", bytes_text(needed), bytes_text(available));
    Check::new(status, code, what, "lower --memory-budget-mb")
}

fn open_files(workers: u64, limit: Option<u64>) -> Check {
    let needed = FILES_BESIDES_WORKERS + FILES_OF_WORKER * workers;
    let status = if limit.is_none_or(|limit| limit >= needed) { CheckStatus::Ok } else { CheckStatus::Fail };
    let limit = limit.map_or("no limit".to_owned(), |limit| format!("{} allowed", count_text(limit)));
    let what = format!("{} open files needed, {limit}", count_text(needed));
    Check::new(status, "open_files", what, "raise the limit on open files (ulimit -n)")
}

fn writable(directory: &Path) -> Check {
    let is_read_only = statvfs(directory).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
    let shown = directory.display();
    if is_read_only {
        let what = format!("{shown} is mounted read-only");
        return Check::new(
            CheckStatus::Fail,
            "read_only_mount",
            what,
            "mount it for writing, or choose another target",
        );
    }
    match access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::new(CheckStatus::Ok, "write_permission", format!("{shown} can be written to"), ""),
        Err(error) => {
            let what = format!("{shown} cannot be written to: {error}");
            Check::new(CheckStatus::Fail, "write_permission", what, "run haul as the owner, or as root")
        }
    }
}

fn file_systems(source: &Path, target: &Path) -> Vec<Check> {
    let (source, target) = (system::file_system_name(source), system::file_system_name(target));
    let mut checks = Vec::new();
    if let (Some(source), Some(target)) = (&source, &target) {
        let what = match source.device == target.device {
            true => format!("source and target share one file system ({})", target.kind),
            false => format!("the source is on {}, the target on another {}", source.kind, target.kind),
        };
        checks.push(Check::new(CheckStatus::Ok, "same_file_system", what, ""));
    }
    let network = [("source", source), ("target", target)].into_iter().find_map(|(place, name)| {
        let kind = name?.kind;
        is_network(&kind).then(|| format!("the {place} is on {kind}"))
    });
    checks.push(match network {
        None => Check::new(CheckStatus::Ok, "network_file_system", "source and target are local".into(), ""),
        Some(what) => {
            let next = "expect more variation than the range says; where it can be had, use a local disk";
            Check::new(CheckStatus::Warn, "network_file_system", what, next)
        }
    });
    checks
}

fn is_network(kind: &str) -> bool {
    NETWORK.contains(&kind) || kind == "fuse.sshfs"
}

/// A clock that is behind the newest file would make new files look older than what they were made from.
fn clock(source: &Path) -> Check {
    let modified = |path: &Path| path.metadata().ok()?.modified().ok();
    let entries = std::fs::read_dir(source).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let newest = entries.filter_map(|entry| modified(&entry.path())).chain(modified(source)).max();
    let now = std::time::SystemTime::now();
    match newest.and_then(|newest| newest.duration_since(now).ok()).filter(|ahead| ahead.as_secs() >= 1) {
        None => Check::new(CheckStatus::Ok, "clock", "the clock is not behind the source".into(), ""),
        Some(ahead) => {
            let what = format!("the clock is {} s behind the newest file of the source", ahead.as_secs());
            Check::new(CheckStatus::Warn, "clock", what, "set the clock")
        }
    }
}

fn damage(looked_at: &Drawn) -> Check {
    let Drawn { amount, refused, .. } = looked_at;
    let records = count_text(amount.records);
    match refused {
        0 => Check::new(CheckStatus::Ok, "damage", format!("none of {records} records would be refused"), ""),
        refused => {
            let what = format!("{} of {records} records that were drawn would be refused", count_text(*refused));
            Check::new(CheckStatus::Warn, "damage", what, "a dry run names them all")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::probe::Amount;

    fn status(check: &Check) -> (CheckStatus, bool) {
        (check.status, check.next.is_some())
    }

    #[test]
    fn twice_the_plan_is_enough_and_less_than_it_is_not() {
        let free = |free: Option<u64>| status(&amount("free_space", 100, free, "make room", bytes_text));
        assert_eq!(free(None), (CheckStatus::Ok, false));
        assert_eq!(free(Some(200)), (CheckStatus::Ok, false));
        assert_eq!(free(Some(199)), (CheckStatus::Warn, true));
        assert_eq!(free(Some(100)), (CheckStatus::Warn, true));
        assert_eq!(free(Some(99)), (CheckStatus::Fail, true));
    }

    #[test]
    fn the_budget_has_to_fit_into_the_memory() {
        let of = |available: Option<u64>| memory(512 << 20, available).status;
        assert_eq!(of(None), CheckStatus::Ok);
        assert_eq!((of(Some(8 << 30)), of(Some(600 << 20)), of(Some(500 << 20))), {
            (CheckStatus::Ok, CheckStatus::Warn, CheckStatus::Fail)
        });
    }

    #[test]
    fn each_worker_opens_files() {
        assert_eq!(open_files(2, Some(1_024)).status, CheckStatus::Ok);
        assert_eq!(open_files(2, None).status, CheckStatus::Ok);
        assert_eq!(open_files(512, Some(1_024)).status, CheckStatus::Fail);
    }

    #[test]
    fn the_type_shows_a_network() {
        assert!(is_network("nfs4") && is_network("fuse.sshfs") && !is_network("ext4") && !is_network("fuse.ntfs"));
    }

    #[test]
    fn a_file_of_tomorrow_shows_a_clock_that_is_behind() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(clock(directory.path()).status, CheckStatus::Ok);
        let ahead = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
        std::fs::File::open(directory.path()).unwrap().set_modified(ahead).unwrap();
        let found = clock(directory.path());
        assert!(found.status == CheckStatus::Warn && found.what.contains("864") || found.what.contains("8639"));
    }

    #[test]
    fn records_that_would_be_refused_are_counted() {
        let drawn =
            |refused| Drawn { amount: Amount { records: 200, ..Amount::default() }, refused, ..Drawn::default() };
        assert_eq!(damage(&drawn(0)).status, CheckStatus::Ok);
        let found = damage(&drawn(3));
        assert!(found.status == CheckStatus::Warn && found.what.starts_with("3 of 200"));
    }

    #[test]
    fn a_directory_is_looked_at_without_writing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(writable(directory.path()).status, CheckStatus::Ok);
        assert_eq!(writable(&directory.path().join("absent")).status, CheckStatus::Fail);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
