//! `haul manifest validate`: holds manifests against the schema of the version that each says it is of.
//!
//! The JSON document is `files`, in the order of the arguments, each with its code where it is refused, and `exit_code`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::StepsArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::durable::{Disk, DiskError, RealDisk, parent_of};
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
struct Document {
    files: Vec<Checked>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    version: Option<String>,
    refused: Option<Refused>,
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
struct Refused {
    code: &'static str,
    text: String,
    offset: Option<u64>,
    line: Option<u64>,
    column: Option<u64>,
}

/// What is worth saying of a manifest that is not refused.
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
        let registry = prove(Arc::new(self.steps.registry()?))?;
        let files = self.files.iter().map(|file| check(&registry, file)).collect::<Result<Vec<_>, _>>()?;
        let is_fine = files.iter().all(|file| file.refused.is_none());
        let exit_code = if is_fine { exit::OK } else { exit::BAD_DATA };
        let document = Document { files, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit_code)
    }
}

fn check(registry: &Registry, file: &Path) -> Result<Checked, DiskError> {
    let name = file.display().to_string();
    let bytes = read(file)?;
    Ok(match validate(registry, &bytes) {
        Ok((version, notices)) => Checked {
            file: name,
            version: Some(version.to_string()),
            refused: None,
            warnings: notices.into_iter().map(Warning::from).collect(),
        },
        Err(refusal) => Checked {
            file: name,
            version: refusal.from.map(|version| version.to_string()),
            refused: Some(refusal.into()),
            warnings: Vec::new(),
        },
    })
}

/// A file whole, under the name that the user gave it.
pub fn read(file: &Path) -> Result<Vec<u8>, DiskError> {
    let mut bytes = Vec::new();
    let name = Path::new(file.file_name().unwrap_or_default());
    let root = RealDisk.root(parent_of(file))?;
    let read = root.read_file(name, MANIFEST_BYTES_MAX, &mut bytes);
    read.map_err(|error| DiskError::new(error.operation, file, error.source))?;
    Ok(bytes)
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    for file in &document.files {
        match (&file.refused, &file.version) {
            (Some(refused), _) => {
                let place = match (refused.line, refused.column) {
                    (Some(line), Some(column)) => format!(":{line}:{column}"),
                    _ => String::new(),
                };
                writeln!(text, "{}{place}: {}: {}", file.file, refused.code, refused.text)
            }
            (None, version) => writeln!(text, "{}: valid {}", file.file, version.as_deref().unwrap_or_default()),
        }
        .expect("a string takes any text");
        for warning in &file.warnings {
            writeln!(text, "{}: {}: {}", file.file, warning.code, warning.text).expect("a string takes any text");
        }
    }
    text
}
