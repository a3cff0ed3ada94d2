//! Runs the binary in a scene.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No command of a scene takes longer than a second undisturbed.
const LIMIT: Duration = Duration::from_secs(60);

/// How a run of the binary ended.
pub struct End {
    /// The exit code, or what a shell calls a death by signal: 128 and its number.
    pub code: i32,
    /// Standard output and standard error.
    pub text: String,
    /// Whether it had to be killed because it did not end.
    pub is_hung: bool,
}

impl End {
    pub fn panicked(&self) -> bool {
        self.code == 101 || self.text.contains("panicked at")
    }
}

/// Returns the command of `haul` with these arguments, in `directory`, with its output in a file beside it.
pub fn haul(haul: &Path, directory: &Path, arguments: &[String]) -> Command {
    let output = File::create(output_path(directory)).expect("a file for the output");
    let mut command = Command::new(haul);
    command
        .args(arguments)
        .args(["--progress", "none"])
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a second descriptor"))
        .stderr(output);
    command
}

/// Returns what the last run in `directory` has written.
pub fn output(directory: &Path) -> String {
    String::from_utf8_lossy(&fs::read(output_path(directory)).unwrap_or_default()).into_owned()
}

fn output_path(directory: &Path) -> PathBuf {
    directory.with_extension("output")
}

/// Runs it undisturbed. One that does not end in time is killed.
pub fn run(program: &Path, directory: &Path, arguments: &[String]) -> End {
    let mut child = haul(program, directory, arguments).spawn().expect("haul starts");
    let started = Instant::now();
    let mut is_hung = false;
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if started.elapsed() > LIMIT && !is_hung => {
                is_hung = true;
                let _ = child.kill();
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    End { code, text: output(directory), is_hung }
}

/// Splits a line of arguments at blanks.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Copies a directory with modes, times and links.
pub fn copy(from: &Path, to: &Path) {
    remove(to);
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}

/// Removes a directory, whatever is in it.
pub fn remove(directory: &Path) {
    if directory.symlink_metadata().is_ok() {
        fs::remove_dir_all(directory).expect("the directory of a scene is removed");
    }
}
