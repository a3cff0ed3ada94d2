//! The programs that come with PostgreSQL, run on a server of the tests.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::postgres::{Server, programs};

impl Server {
    /// A program of PostgreSQL, run on a database with `input`; its output. `None` if it is not there.
    pub fn program(&self, name: &str, database: &str, arguments: &[&str], input: &str) -> Option<String> {
        let path =
            [programs()?.join(name), PathBuf::from("/usr/bin").join(name)].into_iter().find(|path| path.is_file())?;
        let mut child = Command::new(path)
            .args(["-h", self.directory.to_str().expect("text"), "-U", "postgres", "-d", database])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).expect("text"))
    }
}
