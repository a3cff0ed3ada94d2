//! Tells whether a lock keeps out the processes of other hosts.

use std::os::fd::AsFd;

use super::{kinds, mounts};

/// Options of a mount with which locks stay on this host.
const LOCAL_LOCKS: [&str; 4] = ["nolock", "local_lock=all", "local_lock=flock", "nobrl"];

/// Returns true if no process of another host can hold a lock that a process of this one holds on a file in the open directory.
///
/// Files on a disk of this host can be reached by no other one. FUSE keeps `flock` on this host unless the process behind
/// it does more, which nothing tells; a kind of file system that is not known counts as one of those.
pub(in crate::durable) fn locks_reach_every_host(directory: impl AsFd + Copy) -> bool {
    if kinds::is_synced_as_a_whole(directory) {
        return true;
    }
    let options = mounts::options(directory).unwrap_or_default();
    kinds::is_locked_by_server(directory) && !keeps_locks(&options)
}

fn keeps_locks(options: &str) -> bool {
    options.split(',').any(|option| LOCAL_LOCKS.contains(&option))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn only_local_and_known_kinds_are_relied_on() {
        let directory = tempfile::tempdir().unwrap();
        assert!(locks_reach_every_host(&File::open(directory.path()).unwrap()));
        assert!(!locks_reach_every_host(&File::open("/proc").unwrap()));
        assert!(keeps_locks("rw,vers=3,nolock,proto=tcp") && keeps_locks("rw,local_lock=flock"));
        assert!(!keeps_locks("rw,vers=4.2,local_lock=none"));
    }
}
