//! The state of files without a version: repeatable migrations and seeds.

use serde::Serialize;

use crate::db::dialect::Dialect;
use crate::db::script::classify::{Destruction, Keywords};
use crate::db::script::{Migration, Migrations, Section};
use crate::db::state::FileRow;

/// The state of a file without a version.
#[derive(Debug, Clone, Serialize)]
pub struct FileState {
    /// The label.
    pub name: String,
    /// The path; empty if the file is gone.
    pub file: String,
    /// `new`, `changed`, `applied`, or `gone` if it has run and there is no file any more.
    pub state: &'static str,
    /// The checksum of the text.
    pub checksum: Option<String>,
    /// The checksum of the text that ran last.
    pub applied_checksum: Option<String>,
    /// When it ran last.
    pub applied_at: Option<String>,
    /// The statements that destroy data.
    pub destructive: Vec<DestructiveStatement>,
    /// Why the file must not run, if it must not.
    pub fault: Option<String>,
}

/// A statement that destroys data.
#[derive(Debug, Clone, Serialize)]
pub struct DestructiveStatement {
    /// The line in the file.
    pub line: u64,
    /// What the statement destroys.
    pub what: Destruction,
}

impl FileState {
    /// Compares the files with what has run.
    pub(super) fn compare(files: &Migrations, rows: &[FileRow]) -> Vec<Self> {
        let kind = files.file_kind().name();
        let rows: Vec<_> = rows.iter().filter(|row| row.kind == kind).collect();
        let of_file = |file: &Migration| {
            let row = rows.iter().find(|row| row.name == file.name);
            let checksum = file.checksum.to_string();
            let state = match row {
                None => "new",
                Some(row) if row.checksum == checksum => "applied",
                Some(_) => "changed",
            };
            Self {
                name: file.label(),
                file: file.up.file.display().to_string(),
                state,
                checksum: Some(checksum),
                applied_checksum: row.map(|row| row.checksum.clone()),
                applied_at: row.map(|row| row.applied_at.clone()),
                destructive: destructive_statements(files.dialect(), &file.up),
                fault: file.fault().map(ToString::to_string),
            }
        };
        let mut states: Vec<_> = files.files().iter().map(of_file).collect();
        let gone = rows.iter().filter(|row| files.files().iter().all(|file| file.name != row.name));
        states.extend(gone.map(|row| Self {
            name: files.file_kind().label(&row.name),
            file: String::new(),
            state: "gone",
            checksum: None,
            applied_checksum: Some(row.checksum.clone()),
            applied_at: Some(row.applied_at.clone()),
            destructive: Vec::new(),
            fault: None,
        }));
        states
    }

    /// Returns true if the file is new or was changed, so that it is to run.
    pub fn is_pending(&self) -> bool {
        ["new", "changed"].contains(&self.state)
    }
}

/// Returns the statements of a section that destroy data.
pub(super) fn destructive_statements(dialect: Dialect, section: &Section) -> Vec<DestructiveStatement> {
    let destruction = |(line, statement): (u64, &str)| {
        let what = Keywords::of(dialect, statement).destruction()?;
        Some(DestructiveStatement { line, what })
    };
    section.statements().filter_map(destruction).collect()
}

/// Returns the row of a file that has run.
pub(super) fn file_row(file: &Migration, at: String, duration_ms: i64, owner: &str) -> FileRow {
    FileRow {
        kind: file.kind.name().to_owned(),
        name: file.name.clone(),
        checksum: file.checksum.to_string(),
        applied_at: at,
        duration_ms,
        applied_by: owner.to_owned(),
        haul_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
