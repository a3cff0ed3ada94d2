//! Parses the names of migration files: version, name, and whether the file is half of a pair.

use std::path::Path;

use super::direction::Direction;
use super::error::ScriptFault;
use crate::db::version::Version;

/// A parsed file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The version.
    pub version: Version,
    /// The version as it is written, with leading zeros.
    pub digits: String,
    /// The name after the version, without the ending: `add_users`. May be empty.
    pub name: String,
    /// The half of a pair, if the name says so.
    pub half: Option<Direction>,
}

impl FileName {
    /// Returns the name of a file that has no version.
    pub fn without_version(name: &str, half: Direction) -> Self {
        let zero = "0".parse().expect("a number");
        Self { version: zero, digits: String::new(), name: name.to_owned(), half: Some(half) }
    }
}

/// Parses a file name: `001_x.sql`, `001_x.up.sql`, `001_x.down.sql`, `001.do.sql`, `001.undo.sql`, `V1__x.sql`,
/// `U1__x.sql`. Returns `None` for a hidden file or one with another ending.
pub fn file_name(name: &str) -> Result<Option<FileName>, ScriptFault> {
    let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty() && !name.starts_with('.'))
    else {
        return Ok(None);
    };
    match ending {
        "sql" => {}
        _ if ending.eq_ignore_ascii_case("sql") => return Err(ScriptFault::OtherEnding(format!(".{ending}"))),
        _ => return Ok(None),
    }
    if let Some((stem, half)) = postgrator(stem) {
        return split(&stem, Some(half)).map(Some);
    }
    if let Some((prefix, half)) = flyway(stem) {
        return split(&stem[prefix..], Some(half)).map(Some);
    }
    let half = stem.rsplit_once('.').and_then(|(stem, ending)| match &*ending.to_ascii_lowercase() {
        "up" | "do" => Some((stem, Direction::Up)),
        "down" | "undo" | "rollback" | "revert" => Some((stem, Direction::Down)),
        _ => None,
    });
    match half {
        Some((stem, half)) => split(stem, Some(half)),
        None => split(stem, None),
    }
    .map(Some)
}

/// Returns the name in `R__name.sql`, which a repeatable migration has here and in Flyway.
pub fn repeatable(name: &str) -> Option<&str> {
    name.strip_prefix("R__")?.strip_suffix(".sql").filter(|name| !name.is_empty())
}

/// Recognizes `1.do.name` and `1.undo.name`, the names of postgrator for Up and Down. Returns the name without the half.
fn postgrator(stem: &str) -> Option<(String, Direction)> {
    let mut parts = stem.splitn(3, '.');
    let digits = parts.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let half = match &*parts.next()?.to_ascii_lowercase() {
        "do" => Direction::Up,
        "undo" => Direction::Down,
        _ => return None,
    };
    Some((format!("{digits}_{}", parts.next().unwrap_or_default()), half))
}

/// Recognizes `V…__…` and `U…__…`, the names of Flyway for Up and Down.
fn flyway(stem: &str) -> Option<(usize, Direction)> {
    let half = match stem.bytes().next()? {
        b'V' => Direction::Up,
        b'U' => Direction::Down,
        _ => return None,
    };
    let is_versioned = stem.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    (is_versioned && stem.contains("__")).then_some((1, half))
}

fn split(stem: &str, half: Option<Direction>) -> Result<FileName, ScriptFault> {
    let digits = stem.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = stem.split_at(digits);
    let version: Version = digits.parse().map_err(|_| ScriptFault::NoVersion)?;
    // Flyway takes `1.1__x` and `1_1__x` for versions of several parts, so reading them as version 1 would be wrong.
    let before_name = rest.split_once("__").map(|(before, _)| before).filter(|_| half.is_some());
    let parts = before_name.filter(|before| !before.is_empty()).or(rest.strip_prefix('.').map(|_| rest));
    if let Some(parts) = parts.filter(|parts| parts.bytes().any(|byte| byte.is_ascii_digit())) {
        return Err(ScriptFault::VersionNotWhole(format!("{digits}{parts}")));
    }
    let name = rest.trim_start_matches(['_', '-', '.', ' ']).to_owned();
    Ok(FileName { version, digits: digits.to_owned(), name, half })
}

/// Returns the name of a migration that has the version in the name of its folder: `migration.sql` of Prisma, `up.sql`
/// and `down.sql` of Diesel, which writes versions with hyphens.
pub(super) fn named_by_folder(path: &Path) -> Option<String> {
    let ending = match path.file_name()?.to_str()? {
        "migration.sql" => "sql",
        "up.sql" => "up.sql",
        "down.sql" => "down.sql",
        _ => return None,
    };
    let folder = path.parent()?.file_name()?.to_string_lossy().into_owned();
    let (version, name) = folder.split_once('_').unwrap_or((&folder, ""));
    let is_version = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        && version.starts_with(|c: char| c.is_ascii_digit());
    is_version.then(|| format!("{}_{name}.{ending}", version.replace('-', "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_name_is_parsed() {
        use Direction::*;
        for (text, version, name, half) in [
            ("001_initial_schema.sql", "1", "initial_schema", None),
            ("20260228120000_x.sql", "20260228120000", "x", None),
            ("7.sql", "7", "", None),
            ("3-add.users.sql", "3", "add.users", None),
            ("000002_x.up.sql", "2", "x", Some(Up)),
            ("000002_x.down.sql", "2", "x", Some(Down)),
            ("001.do.sql", "1", "", Some(Up)),
            ("001.undo.users.sql", "1", "users", Some(Down)),
            ("001.do.users.sql", "1", "users", Some(Up)),
            ("2_x.undo.sql", "2", "x", Some(Down)),
            ("2_x.Down.sql", "2", "x", Some(Down)),
            ("2_x.rollback.sql", "2", "x", Some(Down)),
            ("V1__first.sql", "1", "first", Some(Up)),
            ("U1__first.sql", "1", "first", Some(Down)),
        ] {
            let found = file_name(text).unwrap().unwrap();
            assert_eq!((found.version.digits(), &*found.name, found.half), (version, name, half), "{text}");
        }
        assert_eq!(file_name("001_x.sql").unwrap().unwrap().digits, "001");
    }

    #[test]
    fn other_files_are_ignored_or_refused() {
        for text in ["README.md", ".001_x.sql", "001_x.SQL.bak", "schema", ".sql"] {
            assert_eq!(file_name(text).unwrap(), None, "{text}");
        }
        for text in ["seed.sql", "R__views.sql", "V__x.sql", "Version1.sql", "_1.sql"] {
            assert_eq!(file_name(text), Err(ScriptFault::NoVersion), "{text}");
        }
        for text in ["001_x.SQL", "2_x.Sql"] {
            assert!(matches!(file_name(text), Err(ScriptFault::OtherEnding(_))), "{text}");
        }
        assert_eq!(
            (repeatable("R__views.sql"), repeatable("R__views.txt"), repeatable("R__.sql")),
            (Some("views"), None, None)
        );
        for text in ["V1.1__x.sql", "V1_1__x.sql", "1.2_x.sql"] {
            assert!(matches!(file_name(text), Err(ScriptFault::VersionNotWhole(_))), "{text}");
        }
    }
}
