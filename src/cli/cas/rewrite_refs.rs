//! `haul cas rewrite-refs`: replaces the references in other files by the keys of the new store, or back.
//!
//! The JSON document is a [`RewriteEnd`] with `map` (path), `direction`, `dry_run`, `report` (path, or null) and
//! `exit_code`. `findings` lists the first thousand; with `--report` all of them are in that file, one object a line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::cas::Algorithm;
use crate::cas::map::KeyMap;
use crate::cas::references::{
    BACKUP_SUFFIX, BACKUP_SUFFIX_REVERSE, Direction, DiskReplacer, DryRun, FindingsKept, Packed, RealFileSource,
    Replacer, Resolver, Rewrite, RewriteEnd,
};
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs, check_exists, one_of};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, NewModes, RealDisk, parent_of, with_modes};
use crate::migration::units::count_text;
use crate::migration::{Error, Finding};
use crate::observe::Scope;

/// Findings that the text shows. The document has more.
const FINDINGS_SHOWN_MAX: usize = 20;

/// `haul cas rewrite-refs`
#[derive(Args)]
pub struct RewriteRefsCommand {
    /// Files to rewrite, and directories to search for text files
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// The map of the migration
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Show what would be done, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace new keys with old ones
    #[arg(long)]
    reverse: bool,
    /// The algorithm whose keys are meant if those of several lead to different keys
    #[arg(long, value_name = "NAME", value_parser = one_of::<Algorithm>(&["blake2s", "blake3", "cas", "sha256"]))]
    algorithm: Option<Algorithm>,
    /// Rewrite references in gzip files too, which are compressed again
    #[arg(long)]
    gzip: bool,
    /// Rewrite references in the tables of SQLite databases too, each in one transaction
    #[arg(long)]
    sqlite: bool,
    /// Suffix of the originals that are kept [default: .haul-backup, with --reverse .haul-backup-reverse]
    #[arg(long, value_name = "SUFFIX", value_parser = suffix)]
    backup_suffix: Option<String>,
    /// Write all findings about references and files to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Also exit with 3 if a reference is not in the map
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn suffix(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains('/') {
        return Err("expected a suffix of a file name");
    }
    Ok(text.to_owned())
}

impl RewriteRefsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        #[cfg(not(feature = "db-sqlite"))]
        if self.sqlite {
            return Err(Error::Usage {
                what: "this build of haul has no SQLite".into(),
                next: "use a build with the feature db-sqlite, or leave out --sqlite".into(),
            }
            .into());
        }
        check_exists(&self.map, "name the map of the migration: NEW.migration/key-map.tsv")?;
        let map = KeyMap::open(&self.map)?;
        let direction = self.direction();
        let mut resolver = Resolver::new(&map, direction, self.algorithm)?;
        let suffix = self.backup_suffix();
        if !self.dry_run {
            let paths = if self.paths.len() == 1 { "1 path".to_owned() } else { format!("{} paths", self.paths.len()) };
            self.consent.confirm(format_args!(
                "this rewrites the references in {paths}; the original of each file that changes is kept next to it as NAME{suffix}"
            ))?;
        }
        let watch = Watch::start(self.output)?;
        let end = self.rewrite(&watch, &mut resolver, suffix)?;
        let report = self.report.as_ref().map(|path| path.display().to_string());
        let answer = Answer::new(&end).path("map", &self.map).with("direction", direction.to_string());
        let answer = answer.with("dry_run", self.dry_run).with("report", report).stopped(end.stopped);
        let exit_code = end.exit_code(self.strict);
        answer.exit(exit_code).print(self.output, |table| render(table, &end, &self))
    }

    fn direction(&self) -> Direction {
        if self.reverse { Direction::Reverse } else { Direction::Forward }
    }

    fn backup_suffix(&self) -> &str {
        let default = if self.reverse { BACKUP_SUFFIX_REVERSE } else { BACKUP_SUFFIX };
        self.backup_suffix.as_deref().unwrap_or(default)
    }

    fn rewrite(&self, watch: &Watch, resolver: &mut Resolver<'_>, backup_suffix: &str) -> Result<RewriteEnd, Error> {
        let disk = RealDisk;
        let private: Arc<dyn Disk> = Arc::new(RealDisk);
        let on_disk = DiskReplacer(&disk);
        let replacer: &dyn Replacer = if self.dry_run { &DryRun } else { &on_disk };
        // The report may be in a directory that is searched, and it quotes references itself.
        let excluded: Vec<PathBuf> = self.report.iter().filter_map(|path| real_path(path)).collect();
        let packed = Packed { gzip: self.gzip, sqlite: self.sqlite };
        let rewrite = Rewrite { files: &RealFileSource, replacer, backup_suffix, excluded: &excluded, packed };
        watch.run(Scope::of("references"), |control| {
            let begun = self.wait.repeat(control, || rewrite.begin(&self.paths))?;
            let findings = match &self.report {
                // It quotes files that may each have other permissions.
                Some(path) => FindingsKept::logged(&*with_modes(&private, NewModes::PRIVATE), path)?,
                None => FindingsKept::in_memory(),
            };
            begun.run(resolver, findings, control)
        })
    }
}

/// Returns the path without links and dots of a file that need not exist yet.
fn real_path(file: &Path) -> Option<PathBuf> {
    Some(parent_of(file).canonicalize().ok()?.join(file.file_name()?))
}

fn render(table: &mut Table, end: &RewriteEnd, command: &RewriteRefsCommand) {
    let would = if command.dry_run { "would be " } else { "" };
    let (files, references) = (&end.files, &end.references);
    table.count("files", files.seen);
    table.nested(|table| {
        table.count(format_args!("{would}changed"), files.changed);
        table.count("unchanged", files.unchanged);
        table.count("skipped", files.skipped);
        table.count("refused", files.refused);
    });
    table.count("references", references.found);
    table.nested(|table| {
        table.count(format_args!("{would}replaced"), references.replaced);
        table.count("current", references.current);
        table.count("not in the map", references.unknown);
        table.count("ambiguous", references.ambiguous);
        table.count("in refused files", references.refused);
    });
    end.findings.iter().take(FINDINGS_SHOWN_MAX).for_each(|finding| table.line(finding_text(finding)));
    let shown = end.findings.len().min(FINDINGS_SHOWN_MAX);
    let more = (end.findings.len() - shown) as u64 + end.findings_left_out;
    if more > 0 {
        let all = if command.report.is_some() { "" } else { "; --report FILE has them all" };
        table.line(format_args!("… and {} more{all}", count_text(more)));
    }
}

fn finding_text(finding: &Finding) -> String {
    let Finding { file, offset, reason, id, .. } = finding;
    match id {
        Some(id) => format!("{file} at {offset}: {id}: {reason}"),
        None => format!("{file}: {reason}"),
    }
}
