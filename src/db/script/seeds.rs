//! Reads a directory of seeds: files with rows that a database needs, by environment (docs/source-sql.md, "Seeds").

use std::path::{Path, PathBuf};

use super::directory::read_script;
use super::error::ScriptFault;
use super::migration::FileKind;
use super::migrations::{Examined, MigrationCollector, whole_file};
use super::placeholders::Placeholders;
use crate::db::dialect::Dialect;
use crate::durable::{DiskError, source_names};
use crate::migration::Error;

/// The maximum number of files.
const FILES_MAX: usize = 10_000;

/// Reads the files of a directory and those in its folder of the name `environment`. Other folders are for other
/// environments.
pub fn examine_seeds(
    dialect: Dialect,
    directory: &Path,
    environment: Option<&str>,
    placeholders: &Placeholders,
) -> Result<Examined, Error> {
    let mut collector = MigrationCollector::of_seeds(dialect, placeholders);
    let mut found = files(directory, "").map_err(|error| no_directory(directory, error))?;
    if let Some(environment) = environment.filter(|name| directory.join(name).is_dir()) {
        found.extend(files(&directory.join(environment), &format!("{environment}/"))?);
    }
    if found.len() > FILES_MAX {
        return Err(whole_file(directory.to_path_buf(), ScriptFault::TooMany(FILES_MAX)).into());
    }
    // The common files come first.
    found.sort_by(|a, b| (a.1.contains('/'), &a.1).cmp(&(b.1.contains('/'), &b.1)));
    for (path, name) in found {
        match name.rsplit_once('.') {
            Some((stem, "sql")) => collector.add_file(FileKind::Seed, &path, stem, &read_script(&path)?),
            Some((_, ending)) if ending.eq_ignore_ascii_case("sql") => {
                collector.fault(whole_file(path, ScriptFault::OtherEnding(format!(".{ending}"))));
            }
            _ => {}
        }
    }
    Ok(collector.finish())
}

/// Returns the files in a directory, without hidden ones and folders.
fn files(directory: &Path, prefix: &str) -> Result<Vec<(PathBuf, String)>, DiskError> {
    let mut found = Vec::new();
    for name in source_names(directory)? {
        let name = name?.name().to_string_lossy().into_owned();
        let path = directory.join(&name);
        if !name.starts_with('.') && !path.is_dir() {
            found.push((path, format!("{prefix}{name}")));
        }
    }
    Ok(found)
}

fn no_directory(directory: &Path, error: DiskError) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::Usage {
            what: format!("no directory of seeds at {}", directory.display()),
            next: "name it with --dir, or with seeds in haul.toml".into(),
        },
        _ => error.into(),
    }
}

/// Fails unless the name of an environment can be that of a folder in the directory.
pub fn require_environment_name(name: &str) -> Result<(), Error> {
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    if is_name {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("`{name}` cannot be the name of an environment"),
        next: "use the name of a folder in the directory of seeds".into(),
    })
}
