//! The file of whole runs that later forecasts learn from: `history.jsonl`, one line a run (docs/formats.md).

use std::env::var_os;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::graded::PastRun;
use crate::durable::{append_line, keep_last_lines, lines_of};

/// Lines that are kept.
const LINES_MAX: usize = 1_000;
/// Lines that may be there before the oldest go, so that the file is not rewritten each time.
const LINES_BEFORE_CUT: usize = 1_100;
/// The longest line.
const LINE_BYTES_MAX: usize = 4_096;
/// The variable that names the file, or `none`.
const VARIABLE: &str = "HAUL_HISTORY";

/// Where runs are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum History {
    /// Nowhere.
    #[default]
    None,
    /// In the file that `HAUL_HISTORY` names, else in this user's state directory.
    OfUser,
}

impl History {
    /// Returns the file, if there is one.
    pub fn file(self) -> Option<PathBuf> {
        match self {
            Self::None => None,
            Self::OfUser => {
                file_from(var_os(VARIABLE).as_deref(), var_os("XDG_STATE_HOME").as_deref(), var_os("HOME").as_deref())
            }
        }
    }

    /// Returns the runs, oldest first. Lines that are not understood are left out.
    pub fn runs(self) -> Vec<PastRun> {
        let lines = self.file().and_then(|path| lines_of(&path).ok()).unwrap_or_default();
        parse(&lines)
    }

    /// Adds a run.
    pub fn remember(self, run: &PastRun) -> io::Result<()> {
        let Some(path) = self.file() else { return Ok(()) };
        add_to(&path, run)
    }
}

fn file_from(named: Option<&OsStr>, state: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    match named {
        Some(named) if named == "none" || named.is_empty() => None,
        Some(named) => Some(named.into()),
        None => {
            // A relative one is to be ignored (XDG Base Directory Specification).
            let state = state.map(Path::new).filter(|path| path.is_absolute()).map(Path::to_path_buf);
            let home = || Some(Path::new(home.filter(|home| !home.is_empty())?).join(".local/state"));
            Some(state.or_else(home)?.join("haul/history.jsonl"))
        }
    }
}

fn parse(lines: &[String]) -> Vec<PastRun> {
    let runs = lines.iter().filter_map(|line| serde_json::from_str::<PastRun>(line).ok());
    runs.filter(|run| run.v == PastRun::VERSION).collect()
}

fn add_to(path: &Path, run: &PastRun) -> io::Result<()> {
    let line = serde_json::to_string(run).expect("plain data always serialises");
    if line.len() >= LINE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
    }
    append_line(path, &line)?;
    if lines_of(path)?.len() > LINES_BEFORE_CUT { keep_last_lines(path, LINES_MAX) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::forecast::graded::tests::past;

    #[test]
    fn the_file_is_where_the_user_says() {
        let file = |named: Option<&str>, state: Option<&str>, home: Option<&str>| {
            file_from(named.map(OsStr::new), state.map(OsStr::new), home.map(OsStr::new))
        };
        assert_eq!(file(Some("/h.jsonl"), Some("/s"), Some("/home")), Some("/h.jsonl".into()));
        assert_eq!(file(Some("none"), Some("/s"), Some("/home")), None);
        assert_eq!(file(None, Some("/s"), Some("/home")), Some("/s/haul/history.jsonl".into()));
        assert_eq!(file(None, Some("s"), Some("/home")), Some("/home/.local/state/haul/history.jsonl".into()));
        assert_eq!(file(None, None, None), None);
        assert_eq!(History::None.file(), None);
    }

    #[test]
    fn runs_come_back_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.jsonl");
        for number in 0..=LINES_BEFORE_CUT as u64 {
            add_to(&path, &past("space", number, 1.0, (number % 2 == 0).then_some(1.0))).unwrap();
        }
        let runs = parse(&lines_of(&path).unwrap());
        assert_eq!(runs.len(), LINES_MAX);
        assert_eq!(runs[LINES_MAX - 1], past("space", 1_100, 1.0, Some(1.0)));
        assert_eq!(runs[0].records, 101);
    }

    #[test]
    fn a_line_that_is_not_understood_is_left_out() {
        let good = serde_json::to_string(&past("cas", 1, 1.0, None)).unwrap();
        let newer = good.replace("\"v\":1", "\"v\":2");
        let lines = [good, newer, "no line".to_owned(), "{}".to_owned()];
        assert_eq!(parse(&lines).len(), 1);
    }
}
