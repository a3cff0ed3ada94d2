//! Migrations that are compiled into a program: for its build script.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable::{RealDisk, replace_file, source_names};

/// The name of the file that the build script writes.
const FILE_NAME: &str = "haul_migrations.rs";
const DEPTH_MAX: u32 = 16;

/// Makes the migrations in a directory part of a program. To be called by its build script, `build.rs`:
///
/// ```no_run
/// haul::embed_migrations("migrations");
/// ```
///
/// The program then has them in [`embedded_migrations!`](crate::embedded_migrations). They are embedded again when a
/// file or the directory changes. The directory is relative to that of the package. Folders in it are not read: one
/// with SQL files is an error, as it is for `haul db migrate`.
///
/// ```toml
/// [build-dependencies]
/// haul = { version = "0.1", default-features = false } # no engine is built for the build script
/// ```
///
/// # Panics
///
/// Panics if the directory cannot be read, or has a name that is not UTF-8: then the build fails.
pub fn embed_migrations(directory: impl AsRef<Path>) {
    embed(directory.as_ref(), 0);
}

/// Works like [`embed_migrations`], and reads the folders in the directory too, as `--recursive` does.
///
/// # Panics
///
/// Panics as [`embed_migrations`] does.
pub fn embed_migrations_recursively(directory: impl AsRef<Path>) {
    embed(directory.as_ref(), DEPTH_MAX);
}

/// Returns the migrations that the build script of this package has embedded, as pairs of file name and text. See
/// [`embed_migrations`].
///
/// ```text
/// let migrations = Migrations::from_texts(Dialect::Sqlite, haul::embedded_migrations!().iter().copied())?;
/// ```
#[macro_export]
macro_rules! embedded_migrations {
    () => {{
        const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/haul_migrations.rs"));
        EMBEDDED
    }};
}

fn embed(directory: &Path, depth: u32) {
    let variable = |name| std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: call this in build.rs"));
    let whole = Path::new(&variable("CARGO_MANIFEST_DIR")).join(directory);
    let source = Source::read(&whole, depth);
    let source = source.unwrap_or_else(|error| panic!("migrations cannot be embedded: {}: {error}", whole.display()));
    source.watched.iter().for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
    let target = Path::new(&variable("OUT_DIR")).join(FILE_NAME);
    replace_file(&RealDisk, &target, source.text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
}

/// The source text of embedded migrations.
struct Source {
    text: String,
    /// The files and directories on which it depends.
    watched: Vec<PathBuf>,
}

impl Source {
    fn read(directory: &Path, depth: u32) -> io::Result<Self> {
        let mut source = Self { text: "&[\n".into(), watched: Vec::new() };
        source.add(directory, "", depth)?;
        source.text.push_str("]\n");
        Ok(source)
    }

    /// Adds the files of a directory in the order of their names, each with `prefix` before its name.
    fn add(&mut self, directory: &Path, prefix: &str, depth: u32) -> io::Result<()> {
        self.watched.push(directory.to_path_buf());
        let mut names = Vec::new();
        for name in source_names(directory).map_err(|error| error.source)? {
            let name = name.map_err(|error| error.source)?.name();
            names.push(name.into_string().map_err(|name| invalid(&format!("the name {name:?} is not UTF-8")))?);
        }
        names.sort();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            let path = directory.join(name);
            match path.is_dir() {
                true if depth > 0 => self.add(&path, &format!("{prefix}{name}/"), depth - 1)?,
                true if has_scripts(&path) => {
                    return Err(invalid(&format!("the folder {name} is not read: use embed_migrations_recursively")));
                }
                true => {}
                false if is_script(name) => {
                    let (name, file) = (format!("{prefix}{name}"), path.canonicalize()?);
                    writeln!(self.text, "    ({name:?}, include_str!({file:?})),").map_err(io::Error::other)?;
                    self.watched.push(path);
                }
                false => {}
            }
        }
        Ok(())
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Returns true for all that reads as a script, so that a wrong ending is found where it is read.
fn is_script(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sql"))
}

/// Returns true if there is a script right in a folder. One that cannot be read has none.
fn has_scripts(folder: &Path) -> bool {
    let names = source_names(folder).into_iter().flatten().flatten();
    names.into_iter().any(|name| name.name().to_str().is_some_and(is_script))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out files")]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in
            [("002_b.sql", "SELECT '\"\\';\r\n"), ("001_a.sql", "SELECT 1;"), ("3_c.SQL", ""), ("x.md", "x")]
        {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    /// The compiler reads what is written, and the program has the bytes of the files.
    #[test]
    fn a_program_has_the_texts_of_the_files() {
        let directory = directory();
        let source = Source::read(directory.path(), 0).unwrap();
        let program = format!("fn main() {{ let m: &[(&str, &str)] = {}; print!(\"{{m:?}}\"); }}", source.text);
        fs::write(directory.path().join("main.rs"), program).unwrap();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let built = Command::new(rustc).current_dir(directory.path()).args(["main.rs", "-o", "main"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let shown = Command::new(directory.path().join("main")).output().unwrap().stdout;
        let expected = [("001_a.sql", "SELECT 1;"), ("002_b.sql", "SELECT '\"\\';\r\n"), ("3_c.SQL", "")];
        assert_eq!(String::from_utf8(shown).unwrap(), format!("{expected:?}"));
        let watched: Vec<_> = source.watched.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(&watched[1..], ["001_a.sql", "002_b.sql", "3_c.SQL"]);
        assert_eq!(source.watched[0], directory.path());
    }

    #[test]
    fn a_folder_with_scripts_is_read_on_request() {
        let directory = directory();
        let folder = directory.path().join("20260101_init");
        fs::create_dir(&folder).unwrap();
        assert!(Source::read(directory.path(), 0).is_ok());
        fs::write(folder.join("migration.sql"), "SELECT 1;").unwrap();
        let error = Source::read(directory.path(), 0).err().unwrap().to_string();
        assert!(error.contains("the folder 20260101_init is not read"), "{error}");
        let source = Source::read(directory.path(), DEPTH_MAX).unwrap();
        assert!(source.text.contains("(\"20260101_init/migration.sql\", include_str!("), "{}", source.text);
        assert!(Source::read(&directory.path().join("nowhere"), 0).is_err());
    }
}
