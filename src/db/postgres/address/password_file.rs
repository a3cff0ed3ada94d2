//! The file of passwords of libpq: lines `host:port:database:user:password`.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

const NAME: &str = ".pgpass";
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Rights of users other than the owner.
const OTHERS: u32 = 0o077;

/// What a password is for.
pub struct Sought<'a> {
    pub host: &'a str,
    pub port: u16,
    pub database: &'a str,
    pub user: &'a str,
}

/// Returns the password in the file at `path`, or else in the one of the user's home directory.
pub fn password_for(path: Option<&str>, sought: &Sought<'_>) -> Result<Option<String>, Error> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(NAME));
    let Some(path) = path.map(PathBuf::from).or_else(home) else { return Ok(None) };
    let wrap = |error| Error::from(DiskError::new("read passwords", &path, error));
    let file = match open_named_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(wrap)?,
    };
    if file.metadata().map_err(wrap)?.permissions().mode() & OTHERS != 0 {
        return Err(Error::Usage {
            what: format!("{}: other users may read these passwords", path.display()),
            next: "take their rights away with chmod 600".into(),
        });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
    Ok(text.lines().find_map(|line| password_in(line, sought)))
}

fn password_in(line: &str, sought: &Sought<'_>) -> Option<String> {
    let fields = fields(line);
    // A socket is called localhost in this file.
    let host = if sought.host.starts_with('/') { "localhost" } else { sought.host };
    let port = sought.port.to_string();
    let values = [host, &port, sought.database, sought.user];
    let [rest @ .., password] = fields.as_slice() else { return None };
    let is_same = |(field, value): (&String, &str)| field == "*" || field == value;
    (!line.starts_with('#') && rest.len() == values.len() && rest.iter().zip(values).all(is_same))
        .then(|| password.clone())
}

/// Splits at the first four colons; a backslash stands before one that is a part of a field.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut rest = line.chars();
    while let Some(found) = rest.next() {
        let count = fields.len();
        let last = &mut fields[count - 1];
        match found {
            '\\' => last.extend(rest.next()),
            ':' if count < 5 => fields.push(String::new()),
            found => last.push(found),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_by_all_of_its_fields() {
        let sought = Sought { host: "h", port: 5432, database: "d", user: "u" };
        let password = |line: &str| password_in(line, &sought);
        assert_eq!(password("h:5432:d:u:p\\:w:x").as_deref(), Some("p:w:x"));
        assert_eq!(password("*:*:*:u:pw").as_deref(), Some("pw"));
        for line in ["# h:5432:d:u:pw", "h:1:d:u:pw", "h:5432:d:v:pw", "", "h:5432:d:u"] {
            assert_eq!(password(line), None, "{line}");
        }
        assert_eq!(password_in("localhost:*:*:*:pw", &Sought { host: "/run", ..sought }).as_deref(), Some("pw"));
    }
}
