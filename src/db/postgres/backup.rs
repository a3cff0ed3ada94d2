//! Backups of a database by PostgreSQL's own pg_dump, in its custom format.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::address::Address;
use super::query::quoted;
use crate::db::backup::{Backup, BackupFile, stopped};
use crate::durable::{DiskError, DiskFile, RealDisk};
use crate::migration::{Error, redacted};
use crate::pipeline::StopToken;

const PROGRAM: &str = "pg_dump";
/// Only the user that runs haul may read the backup.
const MODE: u32 = 0o600;
const LOCK_WAIT_MS: u32 = 10_000;
const BUFFER_BYTES: usize = 256 << 10;
/// The maximum length of the messages of pg_dump that are kept.
const OUTPUT_BYTES_MAX: u64 = 16 << 10;

/// Dumps the database, or the schema of a tenant, into `directory`, or into the working directory. The tables in
/// `without_rows` are dumped without their rows.
pub fn back_up(
    address: &Address,
    without_rows: &[String],
    directory: Option<&Path>,
    stop: &StopToken,
) -> Result<Backup, Error> {
    let mut command = Command::new(PROGRAM);
    command.args(["--format=custom", "--no-password", &format!("--lock-wait-timeout={LOCK_WAIT_MS}")]);
    command.args(address.role.as_ref().map(|role| format!("--role={role}")));
    command.args(without_rows.iter().map(|table| format!("--exclude-table-data={table}")));
    let mut name = address.database();
    if let Some(schema) = address.schema() {
        // In quotes, the name is no pattern.
        command.args(["--strict-names".to_owned(), format!("--schema={}", quoted(schema))]);
        name = format!("{name}.{}", schema.replace('/', "_"));
    }
    // The address is passed in environment variables, because every user of the machine can read a command line.
    command.envs(address.environment()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(&error))?;
    let disk = RealDisk;
    let file = BackupFile::new(&disk, directory.unwrap_or(Path::new(".")), &name, "dump");
    let result = file.and_then(|file| {
        let restore = restore(address, &file.path);
        file.write(MODE, restore, |file, path| receive(&mut child, file, path, stop))
    });
    // After a success the process has ended, and this does nothing.
    let _ = child.kill();
    let _ = child.wait();
    result
}

/// Writes the output of pg_dump to the file, and waits for its end.
fn receive(child: &mut Child, file: &dyn DiskFile, path: &Path, stop: &StopToken) -> Result<(), Error> {
    let read_error = |error| Error::from(DiskError::new("read from pg_dump into", path, error));
    let (stdout, stderr) = child.stdout.take().zip(child.stderr.take()).expect("both are pipes");
    // pg_dump would block on a full pipe if nothing read its messages.
    let output = thread::spawn(move || {
        let mut text = Vec::new();
        let mut stderr = stderr.take(OUTPUT_BYTES_MAX);
        let _ = stderr.read_to_end(&mut text);
        let _ = std::io::copy(&mut stderr.into_inner(), &mut std::io::sink());
        String::from_utf8_lossy(&text).into_owned()
    });
    let (mut stdout, mut buffer, mut at) = (stdout, vec![0; BUFFER_BYTES], 0);
    loop {
        if stop.is_requested() {
            return Err(stopped());
        }
        match stdout.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                file.write_all_at(at, &buffer[..length])?;
                at += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error)),
        }
    }
    let status = child.wait().map_err(read_error)?;
    let output = output.join().unwrap_or_default();
    match status.success() {
        true => Ok(()),
        // An interrupt at the terminal is sent to pg_dump too.
        false if stop.is_requested() => Err(stopped()),
        false => Err(failed(&output)),
    }
}

fn not_started(error: &std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::NotFound => {
            "there is no pg_dump on PATH for the backup before this run; nothing was changed".to_owned()
        }
        _ => format!("pg_dump cannot be started: {error}; nothing was changed"),
    };
    let next = "install the client programs of the server's version; or make a backup by other means and run with \
                --backup never";
    Error::Usage { what, next: next.into() }
}

fn failed(output: &str) -> Error {
    let output: Vec<_> = output.lines().map(|line| line.trim_start_matches("pg_dump: ")).collect();
    Error::Program {
        what: format!("pg_dump did not make a backup; nothing was changed: {}", redacted(&output.join("; "))),
        next: "follow its message; or make a backup by other means and run with --backup never".into(),
        temporary: false,
    }
}

/// Restores into a database of its own: in the original, objects that were created after the backup would remain.
pub fn restore(address: &Address, backup: &Path) -> Vec<Vec<String>> {
    let name = format!("{}_restored", address.database());
    let words = |program: &str, arguments: &[&str]| {
        let head = std::iter::once(program.to_owned()).chain(address.client_arguments());
        head.chain(arguments.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>()
    };
    let backup = backup.display().to_string();
    vec![
        words("createdb", &["--template=template0", &name]),
        words("pg_restore", &["--exit-on-error", &format!("--dbname={name}"), &backup]),
    ]
}
