//! `haul manifest validate`: checks manifests against the schemas of the versions that they name.
//!
//! The JSON document has `files`, in the order of the arguments, each with a code if it is refused or
//! cannot be read, and `exit_code`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::StepsArgs;
use crate::cli::arguments::{OutputArgs, check_any_exists};
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::durable::{Disk, DiskError, RealDisk, parent_of};
use crate::manifest::migrate::evaluate::disk_refusal;
use crate::manifest::{MANIFEST_BYTES_MAX, Notice, Refusal, Registry, prove, validate};
use crate::migration::exit;

/// `haul manifest validate`
#[derive(Args)]
pub struct ValidateCommand {
    /// The manifests
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct ValidateEnd {
    files: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    version: Option<String>,
    refused: Option<Refused>,
    warnings: Vec<Warning>,
    /// True if the file cannot be read.
    #[serde(skip)]
    is_unread: bool,
}

#[derive(Serialize)]
struct Refused {
    code: &'static str,
    text: String,
    offset: Option<u64>,
    line: Option<u64>,
    column: Option<u64>,
}

/// A remark about a manifest that is not refused.
#[derive(Serialize)]
pub struct Warning {
    code: &'static str,
    text: String,
}

impl From<Notice> for Warning {
    fn from(notice: Notice) -> Self {
        Self { code: notice.code, text: notice.text }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, text, at, .. } = refusal;
        let (offset, line, column) = (at.map(|at| at.offset), at.map(|at| at.line), at.map(|at| at.column));
        Self { code: code.name(), text, offset, line, column }
    }
}

impl ValidateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_any_exists(&self.files, "give the paths of manifests")?;
        let registry = prove(Arc::new(self.steps.registry()?))?;
        let files = self.files.iter().map(|file| check(&registry, file)).collect();
        let end = ValidateEnd { files };
        let is_any = |is_unread| end.files.iter().any(|file| file.refused.is_some() && file.is_unread == is_unread);
        let answer = Answer::new(&end).exit_if(is_any(true), exit::FAILED).exit_if(is_any(false), exit::BAD_DATA);
        answer.print(self.output, |table| end.files.iter().for_each(|file| render(table, file)))
    }
}

fn check(registry: &Registry, file: &Path) -> Checked {
    let name = file.display().to_string();
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let refused = Some(disk_refusal(&error).into());
            return Checked { file: name, version: None, refused, warnings: Vec::new(), is_unread: true };
        }
    };
    match validate(registry, &bytes) {
        Ok((version, notices)) => Checked {
            file: name,
            version: Some(version.to_string()),
            refused: None,
            warnings: notices.into_iter().map(Warning::from).collect(),
            is_unread: false,
        },
        Err(refusal) => Checked {
            file: name,
            version: refusal.from.map(|version| version.to_string()),
            refused: Some(refusal.into()),
            warnings: Vec::new(),
            is_unread: false,
        },
    }
}

/// Reads a file. Errors have the name that the user gave it.
pub fn read(file: &Path) -> Result<Vec<u8>, DiskError> {
    let mut bytes = Vec::new();
    let name = Path::new(file.file_name().unwrap_or_default());
    let root = RealDisk.root(parent_of(file))?;
    let read = root.read_file(name, MANIFEST_BYTES_MAX, &mut bytes);
    read.map_err(|error| DiskError::new(error.operation, file, error.source))?;
    Ok(bytes)
}

fn render(table: &mut Table, checked: &Checked) {
    let Checked { file, version, refused, warnings, .. } = checked;
    match refused {
        Some(Refused { code, text, line: Some(line), column: Some(column), .. }) => {
            table.line(format_args!("{file}:{line}:{column}: {code}: {text}"));
        }
        Some(Refused { code, text, .. }) => table.line(format_args!("{file}: {code}: {text}")),
        None => table.line(format_args!("{file}: valid {}", version.as_deref().unwrap_or_default())),
    }
    warnings.iter().for_each(|Warning { code, text }| table.line(format_args!("{file}: {code}: {text}")));
}
