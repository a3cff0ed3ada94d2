//! A file of lines that several processes add to. A line is written in one step and never synced: a loss of power may take
//! the last ones or leave a torn one, and readers skip what is no line of theirs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdir, open, renameat, unlinkat};
use rustix::io::Errno;

use super::regular_file::open_state_file;

/// The most that is read of such a file.
const READ_BYTES_MAX: u64 = 64 << 20;

/// Adds a line. The file is made readable for this user alone; directories that are not there are made so too. A link in the
/// place of the file is refused.
pub fn append_line(path: &Path, line: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        create_directories(parent)?;
    }
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(open(path, flags, Mode::RUSR | Mode::WUSR)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file"));
    }
    // A torn line that was left there is ended first.
    let begin = if ends_in_line(&file)? { "" } else { "\n" };
    file.write_all(format!("{begin}{line}\n").as_bytes())
}

/// Returns the lines; none if there is no file.
pub fn lines_of(path: &Path) -> io::Result<Vec<String>> {
    let file = match open_state_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Keeps the last `lines_max` lines. A line that another process adds meanwhile may be lost.
pub fn keep_last_lines(path: &Path, lines_max: usize) -> io::Result<()> {
    let lines = lines_of(path)?;
    if lines.len() <= lines_max {
        return Ok(());
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let directory = open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let temporary = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
    let mut text = lines[lines.len() - lines_max..].join("\n");
    text.push('\n');
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let written = rustix::fs::openat(&directory, &temporary, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io::Error::from)
        .and_then(|file| File::from(file).write_all(text.as_bytes()))
        .and_then(|()| Ok(renameat(&directory, &temporary, &directory, name)?));
    if written.is_err() {
        // The first error is the one to report.
        let _ = unlinkat(&directory, &temporary, rustix::fs::AtFlags::empty());
    }
    written
}

fn ends_in_line(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len();
    let mut last = [b'\n'];
    if len > 0 {
        std::os::unix::fs::FileExt::read_exact_at(file, &mut last, len - 1)?;
    }
    Ok(last == [b'\n'])
}

fn create_directories(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        create_directories(parent)?;
    }
    match mkdir(directory, Mode::RWXU) {
        Err(Errno::EXIST) => Ok(()),
        made => Ok(made?),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn lines_are_added_by_several_and_only_this_user_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/haul/history.jsonl");
        assert_eq!(lines_of(&path).unwrap(), Vec::<String>::new());
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|line| append_line(path, &format!("{writer} {line}")).unwrap()));
            }
        });
        let mut lines = lines_of(&path).unwrap();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 200);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_torn_line_costs_no_other_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.jsonl");
        fs::write(&path, b"one\ntor\xff").unwrap();
        append_line(&path, "two").unwrap();
        assert_eq!(lines_of(&path).unwrap(), ["one", "two"]);
    }

    #[test]
    fn the_last_lines_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.jsonl");
        for line in 0..7 {
            append_line(&path, &line.to_string()).unwrap();
        }
        keep_last_lines(&path, 9).unwrap();
        assert_eq!(lines_of(&path).unwrap().len(), 7);
        keep_last_lines(&path, 3).unwrap();
        assert_eq!(lines_of(&path).unwrap(), ["4", "5", "6"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_or_a_directory_in_its_place_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("other"), "kept\n").unwrap();
        symlink(path("other"), path("link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        for name in ["link", "directory"] {
            assert!(append_line(&path(name), "x").is_err(), "{name}");
        }
        assert_eq!(fs::read(path("other")).unwrap(), b"kept\n");
    }
}
