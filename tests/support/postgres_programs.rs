//! The programs that come with PostgreSQL, run on a server of the tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::postgres::Server;

/// Where Debian has the programs, below a directory for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Returns the path of a program that is on `PATH` or where Debian puts it.
fn path_of(name: &str) -> PathBuf {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let candidates = on_path.into_iter().flatten().chain(versions).map(|directory: PathBuf| directory.join(name));
    candidates.into_iter().find(|path: &PathBuf| Path::is_file(path)).unwrap_or_else(|| panic!("there is no {name}"))
}

impl Server {
    /// Runs a program of PostgreSQL on a database with `input`. Returns its output.
    pub fn program(&self, name: &str, database: &str, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(path_of(name))
            .args(["-h", self.directory.to_str().expect("text"), "-p", &self.port.to_string()])
            .args(["-U", "postgres", "-d", database])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}
