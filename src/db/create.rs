//! Creates the file of a new migration.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::script::{file_name, migration_names};
use super::version::Version;
use crate::durable::{
    Attributes, Disk, DiskError, create_directory_durable, parent_of, unique_temporary_name, write_new_synced_file,
};
use crate::migration::{Error, now_text};

/// Number of digits of the first version in an empty directory.
const DIGITS_FIRST: usize = 3;
/// The maximum length of the name in a file name.
const SLUG_CHARS_MAX: usize = 100;

/// Creates a migration file with the next version, a header and two empty sections, and returns its path. The version
/// is padded to the width of the highest version in the directory.
pub fn create(disk: &dyn Disk, directory: &Path, name: &str) -> Result<PathBuf, Error> {
    let slug = slug(name).ok_or_else(|| Error::Usage {
        what: format!("`{}` has no letter and no digit", name),
        next: "say what the migration does: --name \"add user preferences\"".into(),
    })?;
    create_directory_durable(disk, directory)?;
    let label = format!("{}_{slug}", next_digits(directory)?);
    let path = directory.join(format!("{label}.sql"));
    let text = format!("-- Migration: {label}\n-- Created: {}\n-- Up\n\n-- Down\n", &now_text()[..10]);
    write(disk, &path, text.as_bytes())
        .map_err(|error| exists(error, "run the same command again: it takes the next version"))?;
    Ok(path)
}

/// Writes a migration file that must not exist yet.
pub fn write_new(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), Error> {
    write(disk, path, text.as_bytes())
        .map_err(|error| exists(error, "name another file with --out, or move that one away"))
}

fn exists(error: DiskError, next: &str) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => Error::Conflict {
            path: error.path,
            what: "a file with this name exists; it is kept".into(),
            next: next.into(),
        },
        _ => error.into(),
    }
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    // A part of a migration may be a migration too, so the file has its name only when it is whole. It must not exist: two
    // people may create the next version at the same time.
    let temporary = unique_temporary_name(path);
    write_new_synced_file(disk, &temporary, Attributes::OfReplaced, |file| file.write_all_at(0, bytes))?;
    if let Err(error) = disk.rename_exclusive(&temporary, path) {
        // The first error is the one to report.
        let _ = disk.remove_file(&temporary);
        return Err(DiskError { path: path.to_path_buf(), ..error });
    }
    disk.sync_directory(parent_of(path))
}

/// Returns the version after the highest one, padded to the same width.
fn next_digits(directory: &Path) -> Result<String, Error> {
    let names = migration_names(directory)?;
    let found = names.iter().filter_map(|name| file_name(name).ok().flatten());
    let highest = found.max_by(|a, b| a.version.cmp(&b.version));
    let (version, width) = match highest {
        Some(highest) => (highest.version.next(), highest.digits.len()),
        None => (first(), DIGITS_FIRST),
    };
    Ok(format!("{version:0>width$}"))
}

fn first() -> Version {
    "1".parse().unwrap_or_else(|_| unreachable!("a whole number"))
}

/// Turns `Add user preferences!` into `add_user_preferences`.
fn slug(name: &str) -> Option<String> {
    let mut slug = String::new();
    for letter in name.chars().take(SLUG_CHARS_MAX) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    let slug = slug.trim_end_matches('_');
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{CrashFault, RealDisk, SimulatedDisk};

    #[test]
    fn a_new_file_is_whole_or_not_there() {
        let (directory, path) = (Path::new("/m"), Path::new("/m/2_squashed.sql"));
        let disk = SimulatedDisk::with_directories(&[directory]);
        write_new(&disk, path, "CREATE TABLE a (a INT);\n").unwrap();
        let faults =
            [CrashFault::AllKept, CrashFault::UnsyncedDropped, CrashFault::LastWriteTorn, CrashFault::RenamesEarly];
        for image in faults.into_iter().flat_map(|fault| disk.crash_images(fault).collect::<Vec<_>>()) {
            let found = crate::durable::read_file(&image, path, 100);
            assert!(found.is_err() || found.unwrap() == b"CREATE TABLE a (a INT);\n");
        }
        let Err(Error::Conflict { path: kept, .. }) = write_new(&disk, path, "other") else { panic!("overwritten") };
        assert_eq!((kept.as_path(), disk.list(directory).unwrap().len()), (path, 1));
    }

    #[test]
    fn new_versions_keep_the_width_of_the_old_ones() {
        let directory = tempfile::tempdir().unwrap();
        let migrations = directory.path().join("db/migrations");
        let create = |name: &str| {
            let path = create(&RealDisk, &migrations, name).unwrap();
            path.file_name().unwrap().to_string_lossy().into_owned()
        };
        assert_eq!(create("Add user  preferences!"), "001_add_user_preferences.sql");
        assert_eq!(create("x"), "002_x.sql");
        #[allow(clippy::disallowed_methods, reason = "tests lay out files")]
        std::fs::write(migrations.join("0099_y.up.sql"), "SELECT 1").unwrap();
        assert_eq!(create("z"), "0100_z.sql");
        let text = std::fs::read_to_string(migrations.join("0100_z.sql")).unwrap();
        assert!(
            text.starts_with("-- Migration: 0100_z\n-- Created: 2") && text.ends_with("-- Up\n\n-- Down\n"),
            "{text}"
        );
        let Err(Error::Usage { .. }) = super::create(&RealDisk, &migrations, "!?") else { panic!("no name") };
    }
}
