//! haul as a user who owns nothing but what a test gives away: no superuser is kept out of anything.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const NOBODY: u32 = 65_534;

/// The binary `haul`, put into `place` and run as that user, to whom `place` then belongs; as it is, unless the tests run
/// as root. `None`, with a word to that effect, where that user can run nothing.
pub fn haul_as_nobody(haul: &str, place: &Path) -> Option<Command> {
    if !is_root() {
        return Some(Command::new(haul));
    }
    let binary = place.join("haul");
    fs::copy(haul, &binary).expect("room for the binary");
    give_away(place);
    give_away(&binary);
    let command = || {
        let mut command = Command::new(&binary);
        command.uid(NOBODY).gid(NOBODY);
        command
    };
    if command().arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(command());
    }
    println!("left out: nobody cannot run {}", binary.display());
    None
}

/// Makes that user the owner, if the tests run as root.
pub fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root gives files away");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
