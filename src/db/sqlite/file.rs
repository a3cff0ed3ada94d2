//! Which file a URL of SQLite names, and what may be done with it.

use std::path::{Path, PathBuf};

use super::connect::{self, FileKind};
use crate::db::percent::decoded;
use crate::migration::Error;

const SCHEME: &str = "sqlite:";
const FILE_SCHEME: &str = "file:";
const FORM: &str = "write sqlite:PATH, with %20 for a space, %3F for ? and %25 for %";

/// The file of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteFile {
    /// Where it is.
    pub path: PathBuf,
    /// True if the URL allows no change.
    pub is_read_only: bool,
    /// True if it may be created. Otherwise it must exist.
    pub may_create: bool,
}

impl From<PathBuf> for SqliteFile {
    /// Returns a file that must exist and may be changed.
    fn from(path: PathBuf) -> Self {
        Self { path, is_read_only: false, may_create: false }
    }
}

impl SqliteFile {
    /// Returns true if the text is a URL of SQLite.
    pub fn is_in(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Parses `sqlite:PATH`, `sqlite://PATH` or `sqlite:file:PATH`, each with `?mode=…`.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let text = url.strip_prefix(SCHEME).unwrap_or(url);
        let text = text.strip_prefix(FILE_SCHEME).unwrap_or(text);
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        if let Some((what, next)) = slip(path) {
            return Err(unreadable(what, next));
        }
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = decoded(path).ok_or_else(|| unreadable("a % is not followed by two hexadecimal digits", FORM))?;
        if path.is_empty() || path == ":memory:" {
            return Err(unreadable("it names no file", "name a file: a database in memory ends with haul"));
        }
        let mut file = Self::from(PathBuf::from(path));
        for word in query.split('&').filter(|word| !word.is_empty()) {
            file.is_read_only |= is_read_only(word)?;
        }
        Ok(file)
    }

    /// Returns the name of the database in messages.
    pub fn place(&self) -> String {
        connect::place(&self.path)
    }

    /// Returns a text that is the same for two paths of one file.
    pub fn identity(&self) -> String {
        let whole = || std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        self.path.canonicalize().unwrap_or_else(|_| whole()).display().to_string()
    }

    /// Returns true if there is a file.
    pub fn is_there(&self) -> Result<bool, Error> {
        Ok(connect::inspect(&self.path)? != FileKind::Nothing)
    }

    /// Fails if the file does not exist and may not be created.
    pub fn require(&self) -> Result<&Path, Error> {
        if self.may_create || connect::inspect(&self.path)? != FileKind::Nothing {
            return Ok(&self.path);
        }
        Err(Error::Usage {
            what: format!("{} does not exist yet", self.place()),
            next: "check the path; to start with a new database add --create to `haul db migrate`, or use `haul db \
                   create-database`"
                .into(),
        })
    }

    /// Fails if the file may not be changed, or does not exist and may not be created.
    pub fn require_writable(&self) -> Result<&Path, Error> {
        if self.is_read_only {
            let what = format!("{}: the URL says mode=ro, and this changes the database", self.place());
            return Err(Error::Usage { what, next: "write mode=rw, or leave the parameter out".into() });
        }
        self.require()
    }
}

/// Returns what makes a path one that nobody has meant, and what to write instead. Escapes such as `%23` are meant.
fn slip(path: &str) -> Option<(&'static str, &'static str)> {
    const QUOTES: [char; 2] = ['\'', '"'];
    const UNFILLED: [&str; 3] = ["${", "$(", "{{"];
    let name = path.trim_start_matches('/');
    if path.chars().any(char::is_control) || path.trim() != path {
        return Some(("the path begins or ends with a blank, or has a line end", "remove it; a space is %20"));
    }
    if path.starts_with(QUOTES) || path.ends_with(QUOTES) {
        return Some(("the path is in quotes", "remove them; in a name they are %22 and %27"));
    }
    if UNFILLED.iter().any(|mark| path.contains(mark)) {
        return Some(("a variable in the path was not filled in", "give it a value; in a name, $ is %24 and { is %7B"));
    }
    if path.contains('#') || path.ends_with(';') {
        return Some(("the path has a # or ends with ;", "remove it; in a name they are %23 and %3B"));
    }
    if path.ends_with('/') && !name.is_empty() {
        return Some(("it names a directory", "name a file"));
    }
    if path.starts_with("~/") || path.starts_with("//~/") {
        return Some(("haul does not know what ~ stands for", "write the whole path"));
    }
    if path.starts_with("///.") && (name.starts_with("./") || name.starts_with("../")) {
        return Some(("three slashes begin a path at the root", "write sqlite:./PATH for one that begins here"));
    }
    None
}

/// Reads a parameter. Returns true if it allows no change.
fn is_read_only(word: &str) -> Result<bool, Error> {
    match word.split_once('=') {
        Some(("mode", "ro")) => Ok(true),
        // Neither creates a file: that is asked for with each command.
        Some(("mode", "rw" | "rwc")) => Ok(false),
        Some(("mode", "memory")) => Err(unreadable("mode=memory names no file", "name a file")),
        Some(("mode", _)) => Err(unreadable("the value of mode is none that it can have", "write mode=rw or mode=ro")),
        parameter => {
            let name = parameter.map_or(word, |(name, _)| name);
            let shown: String = name.chars().filter(|found| found.is_ascii_graphic()).take(40).collect();
            let what = format!("haul does not know the parameter {shown}");
            Err(unreadable(&what, "remove it; for a file with ? in its name write %3F"))
        }
    }
}

fn unreadable(what: &str, next: &str) -> Error {
    Error::Usage { what: format!("the URL of the database cannot be read: {what}"), next: next.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files_and_modes() {
        let of = |url: &str| SqliteFile::parse(url).map(|file| (file.place(), file.is_read_only));
        for (url, place, is_read_only) in [
            ("sqlite:a/b.db", "sqlite:a/b.db", false),
            ("sqlite:///a/b.db", "sqlite:/a/b.db", false),
            ("sqlite://app.db?mode=rwc", "sqlite:app.db", false),
            ("sqlite:my%20app.db?mode=rw", "sqlite:my app.db", false),
            ("sqlite:file:z.db?mode=ro", "sqlite:z.db", true),
            ("sqlite:file:///z.db", "sqlite:/z.db", false),
            ("sqlite:a%3Fb", "sqlite:a?b", false),
        ] {
            assert_eq!(of(url).unwrap(), (place.to_owned(), is_read_only), "{url}");
        }
        for url in ["sqlite:", "sqlite::memory:", "sqlite://", "sqlite:a?mode=memory", "sqlite:a?mode=x", "sqlite:a%2"]
        {
            assert!(of(url).is_err(), "{url}");
        }
        for (url, what) in [
            ("sqlite:x.db ", "with a blank"),
            ("sqlite:x.db\n", "a line end"),
            ("sqlite:\"x.db\"", "in quotes"),
            ("sqlite:${DB}", "not filled in"),
            ("sqlite:{{ db }}.db", "not filled in"),
            ("sqlite:x.db#1", "a #"),
            ("sqlite:x.db;", "ends with ;"),
            ("sqlite:data/", "a directory"),
            ("sqlite:~/x.db", "~"),
            ("sqlite:///./x.db", "three slashes"),
            ("sqlite:///../x.db", "three slashes"),
        ] {
            let error = of(url).unwrap_err().to_string();
            assert!(error.contains(what), "{url}: {error}");
        }
        assert_eq!(of("sqlite:a%23b;c%20").unwrap().0, "sqlite:a#b;c ");
        assert!(of("sqlite:a?cache=shared").unwrap_err().to_string().ends_with("the parameter cache"));
    }

    #[test]
    fn a_file_is_created_only_on_request() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = SqliteFile::from(directory.path().join("x.db"));
        assert!(file.require().unwrap_err().to_string().ends_with("does not exist yet"));
        file.may_create = true;
        assert!(file.require_writable().is_ok());
        file.is_read_only = true;
        assert!(file.require().is_ok() && file.require_writable().is_err());
    }
}
