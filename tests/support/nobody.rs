//! haul as a user who owns nothing but what a test gives away: nothing keeps root out.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::haul::HAUL;

const NOBODY: u32 = 65_534;

/// The user who runs the tests, or `nobody` where that is root.
pub struct Nobody {
    binary: PathBuf,
}

impl Nobody {
    /// Puts the binary where that user can run it: into `place`, which then belongs to them.
    pub fn at(place: &Path) -> Self {
        if !is_root() {
            return Self { binary: HAUL.into() };
        }
        let binary = place.join("haul");
        fs::copy(HAUL, &binary).expect("room for the binary");
        give_away(place);
        give_away(&binary);
        let nobody = Self { binary };
        let version = nobody.haul().arg("--version").output();
        let can_run = version.is_ok_and(|output| output.status.success());
        assert!(can_run, "nobody cannot run {}: let TMPDIR be where every user can go", nobody.binary.display());
        nobody
    }

    /// The binary, yet to be run by that user.
    pub fn haul(&self) -> Command {
        self.command(Command::new(&self.binary))
    }

    /// A shell script that finds the binary as `$0`, yet to be run by that user.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg("-c").arg(script).arg(&self.binary);
        self.command(command)
    }

    fn command(&self, mut command: Command) -> Command {
        command.stdin(Stdio::null()).env("NO_COLOR", "1");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
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

/// A path and everything below it, sorted.
pub fn entries(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_path_buf()];
    if path.is_dir() {
        fs::read_dir(path)
            .expect("a directory")
            .for_each(|entry| found.extend(entries(&entry.expect("an entry").path())));
    }
    found.sort();
    found
}

/// Those that do not belong to this user and group.
pub fn of_others(path: &Path, (user, group): (u32, u32)) -> Vec<PathBuf> {
    let is_others = |path: &PathBuf| {
        let metadata = fs::metadata(path).expect("an entry");
        (metadata.uid(), metadata.gid()) != (user, group)
    };
    entries(path).into_iter().filter(is_others).collect()
}
