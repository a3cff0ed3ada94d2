//! `haul manifest validate`: checks manifests against the schemas of the versions that they name.
//!
//! The JSON document has `files`, in the order of the arguments, each with a code if it is refused or cannot be read, and
//! `exit_code`. For a tree it is a [`ValidateEnd`] with `root`, `findings` (the first of them) and `exit_code`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::arguments::{PlaceArgs, SelectionArgs, scope};
use super::root::check_tree;
use super::text::{TreeEnd, write_findings};
use crate::cli::arguments::{OutputArgs, ResourceArgs, check_any_exists};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{RealDisk, source_root};
use crate::manifest::migrate::evaluate::disk_refusal;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::validate::check_readers;
use crate::manifest::validate_tree::{ValidateEnd, validate_tree};
use crate::manifest::{Notice, Refusal, Registry, Version, prove, validate_file};
use crate::migration::{Error, exit};
use crate::pipeline::Control;

/// `haul manifest validate`
#[derive(Args)]
pub struct ValidateCommand {
    /// The manifests, or the root of an application, whose manifests are all checked
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Check that readers of this version can read them [default: of the version of each manifest]
    #[arg(long = "as", value_name = "V")]
    readers: Option<Version>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct FilesEnd {
    files: Vec<Checked>,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    version: Option<String>,
    refused: Option<Refused>,
    /// Everything else that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Refused>,
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
        let options = self.selection.applied_to(self.place.options(&self.resources)?);
        if let [root] = &self.files[..]
            && root.is_dir()
        {
            return self.tree(root, &options);
        }
        if let Some(directory) = self.files.iter().find(|file| file.is_dir()) {
            let what = format!("{} is a directory, and files are named as well", directory.display());
            return Err(Error::Usage { what, next: "name one root, or files".into() }.into());
        }
        if !options.selection.is_all() {
            let what = "a selection is given, but files are named".to_owned();
            return Err(Error::Usage { what, next: "give the root of the application".into() }.into());
        }
        check_any_exists(&self.files, "give the paths of manifests")?;
        check_readers(&options.registry, self.readers)?;
        let registry = prove(options.registry)?;
        let budget_bytes = self.resources.memory_budget_bytes();
        let files = self.files.iter().map(|file| check(&registry, (file, self.readers), budget_bytes)).collect();
        let end = FilesEnd { files };
        let is_any = |is_unread| end.files.iter().any(|file| file.refused.is_some() && file.is_unread == is_unread);
        let answer = Answer::new(&end).exit_if(is_any(true), exit::FAILED).exit_if(is_any(false), exit::BAD_DATA);
        answer.print(self.output, |table| end.files.iter().for_each(|file| render(table, file)))
    }

    fn tree(&self, root: &Path, options: &MigrateOptions) -> anyhow::Result<u8> {
        check_tree(root)?;
        let tree = source_root(root)?;
        let watch = Watch::start(self.output)?;
        let work = |control: &Control<'_>| validate_tree(&tree, self.readers, options, control);
        let end = watch.run(scope(&self.resources), work)?;
        let tree_end = TreeEnd::new(root, &end, &end.findings);
        let answer = Answer::new(&tree_end).stopped(end.stopped);
        let answer = answer.exit_if(end.unreadable > 0, exit::FAILED).exit_if(end.refused > 0, exit::BAD_DATA);
        answer.print(self.output, |table| render_tree(table, root, &end))
    }
}

fn render_tree(table: &mut Table, root: &Path, end: &ValidateEnd) {
    let readers = end.readers.as_ref().map_or_else(String::new, |version| format!(" for readers of {version}"));
    let how = match (end.stopped, end.refused + end.unreadable) {
        (true, _) => "stopped",
        (_, 0) => "all are valid",
        _ => "not all are valid",
    };
    table.line(format_args!("{}: {how}{readers}", root.display()));
    table.count("manifests", end.manifests);
    table.nested(|table| {
        table.counts([("valid", end.valid), ("not valid", end.refused), ("not readable", end.unreadable)]);
    });
    let others = [("not a manifest", end.foreign), ("not selected", end.not_selected)];
    table.counts(others.into_iter().filter(|(_, count)| *count > 0));
    write_findings(table, &end.findings);
}

fn check(registry: &Registry, (file, readers): (&Path, Option<Version>), budget_bytes: u64) -> Checked {
    let checked = Checked {
        file: file.display().to_string(),
        version: None,
        refused: None,
        also: Vec::new(),
        warnings: Vec::new(),
        is_unread: false,
    };
    match validate_file(&RealDisk, registry, (file, readers), budget_bytes) {
        Ok(Ok((version, notices))) => {
            let warnings = notices.into_iter().map(Warning::from).collect();
            Checked { version: Some(version.to_string()), warnings, ..checked }
        }
        Ok(Err(refusals)) => {
            let version = refusals.first().and_then(|refusal| refusal.from).map(|version| version.to_string());
            let mut refused = refusals.into_iter().map(Refused::from);
            Checked { version, refused: refused.next(), also: refused.collect(), ..checked }
        }
        Err(error) => Checked { refused: Some(disk_refusal(&error).into()), is_unread: true, ..checked },
    }
}

fn render(table: &mut Table, checked: &Checked) {
    let Checked { file, version, refused, also, warnings, .. } = checked;
    if refused.is_none() {
        table.line(format_args!("{file}: valid {}", version.as_deref().unwrap_or_default()));
    }
    refused.iter().chain(also).for_each(|refused| match refused {
        Refused { code, text, line: Some(line), column: Some(column), .. } => {
            table.line(format_args!("{file}:{line}:{column}: {code}: {text}"));
        }
        Refused { code, text, .. } => table.line(format_args!("{file}: {code}: {text}")),
    });
    warnings.iter().for_each(|Warning { code, text }| table.line(format_args!("{file}: {code}: {text}")));
}
