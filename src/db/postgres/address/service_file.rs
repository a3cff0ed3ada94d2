//! The service files of libpq: sections `[NAME]` with lines `parameter=value`.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::parameters::Parameters;
use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

const USER_FILE: &str = ".pg_service.conf";
const SYSTEM_FILE: &str = "pg_service.conf";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Adds the parameters of the service that is named, as far as they are not set yet.
pub fn add_service(parameters: &mut Parameters, variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(service) = parameters.get("service").map(str::to_owned).or_else(|| variable("PGSERVICE")) else {
        return Ok(());
    };
    let user = variable("PGSERVICEFILE").map(PathBuf::from);
    let user = user.or_else(|| variable("HOME").map(|home| Path::new(&home).join(USER_FILE)));
    let system = variable("PGSYSCONFDIR").map(|directory| Path::new(&directory).join(SYSTEM_FILE));
    for path in user.into_iter().chain(system) {
        let Some(text) = read(&path)? else { continue };
        if let Some(lines) = section(&text, &service) {
            return add(parameters, &path, &lines);
        }
    }
    Err(Error::Usage {
        what: format!("there is no service {service} in the service files of PostgreSQL"),
        next: format!("add it to ~/{USER_FILE}, or name its file in PGSERVICEFILE"),
    })
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    let wrap = |error| Error::from(DiskError::new("read services", path, error));
    let file = match open_named_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(wrap)?,
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
    Ok(Some(text))
}

/// Returns the lines of a section, each with its number.
fn section<'a>(text: &'a str, service: &str) -> Option<Vec<(usize, &'a str)>> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let head = format!("[{service}]");
    let mut lines = lines.skip_while(|(_, line)| *line != head);
    lines.next()?;
    let lines = lines.take_while(|(_, line)| !line.starts_with('['));
    Some(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect())
}

fn add(parameters: &mut Parameters, path: &Path, lines: &[(usize, &str)]) -> Result<(), Error> {
    let mut found = Parameters::default();
    for (number, line) in lines {
        let set = line.split_once('=').map(|(name, value)| found.set(name.trim(), value.trim().to_owned()));
        if !matches!(set, Some(Ok(()))) {
            return Err(Error::Usage {
                what: format!("{}:{number}: the line is not a parameter that haul reads", path.display()),
                next: "write NAME=VALUE, with a parameter of a connection".into(),
            });
        }
    }
    parameters.add_missing(found.into_values());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_one() {
        let text = "[a]\nhost=x\n\n# b\n[b]\nhost=y\nport = 3\n";
        assert_eq!(section(text, "b"), Some(vec![(6, "host=y"), (7, "port = 3")]));
        assert_eq!(section(text, "c"), None);
        let mut found = Parameters::parse("postgres:///?host=z").unwrap();
        add(&mut found, Path::new("f"), &section(text, "b").unwrap()).unwrap();
        assert_eq!((found.get("host"), found.get("port")), (Some("z"), Some("3")));
        let error = add(&mut found, Path::new("f"), &[(7, "s3cret")]).unwrap_err().to_string();
        assert!(error.starts_with("f:7: ") && !error.contains("s3cret"), "{error}");
    }
}
