//! `haul cas rewrite-refs`: gives the references in other files the keys of the new store, or takes them back.
//!
//! The JSON document is a [`RewriteEnd`] and, beside its fields, `map` (path), `direction`, `dry_run`, `report` (path, or
//! `null`) and `exit_code`. `findings` is a list of the first thousand; with `--report` all of them are in that file, one
//! object a line.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cas::Algorithm;
use crate::cas::map::KeyMap;
use crate::cas::references::{
    BACKUP_SUFFIX, BACKUP_SUFFIX_REVERSE, Direction, DryRun, FindingsKept, OnDisk, RealFiles, Replacer, Resolver,
    Rewrite, RewriteEnd,
};
use crate::cli::arguments::{OutputArgs, one_of};
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::units::count_text;
use crate::migration::{Error, Finding};
use crate::observe::Scope;

/// Findings that are shown, at most.
const FINDINGS_SHOWN_MAX: usize = 20;

/// `haul cas rewrite-refs`
#[derive(Args)]
pub struct RewriteRefsCommand {
    /// Files, taken as named, and directories, searched for text files
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// The map of the migration
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// From new keys back to old ones
    #[arg(long)]
    reverse: bool,
    /// Whose keys are meant where those of several lead to different ones
    #[arg(long, value_name = "NAME", value_parser = one_of::<Algorithm>(&["blake2s", "blake3", "cas", "sha256"]))]
    algorithm: Option<Algorithm>,
    /// What the name of each original ends in that is kept [default: .haul-backup, with --reverse .haul-backup-reverse]
    #[arg(long, value_name = "SUFFIX", value_parser = suffix)]
    backup_suffix: Option<String>,
    /// Write everything there is to say of single references and files to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Exit 3 also if a reference is not in the map
    #[arg(long)]
    strict: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn suffix(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains('/') {
        return Err("expected an ending of a file name");
    }
    Ok(text.to_owned())
}

#[derive(Serialize)]
struct Document<'a> {
    map: String,
    direction: Direction,
    dry_run: bool,
    #[serde(flatten)]
    end: &'a RewriteEnd,
    report: Option<String>,
    exit_code: u8,
}

impl RewriteRefsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let map = KeyMap::open(&self.map)?;
        let mut resolver = Resolver::new(&map, self.direction(), self.algorithm)?;
        let suffix = self.backup_suffix();
        if !self.dry_run {
            let what = format!(
                "this rewrites the references in {} {}; the original of each file that changes is kept beside it as NAME{suffix}",
                self.paths.len(),
                if self.paths.len() == 1 { "path" } else { "paths" },
            );
            confirm(&what, self.yes)?;
        }
        let watch = Watch::start(self.output.progress)?;
        let end = self.rewrite(&watch, &mut resolver, suffix)?;
        let exit_code = end.exit_code(self.strict);
        let document = Document {
            map: self.map.display().to_string(),
            direction: self.direction(),
            dry_run: self.dry_run,
            end: &end,
            report: self.report.as_ref().map(|path| path.display().to_string()),
            exit_code,
        };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        if end.stopped {
            watch.say_stopped();
        }
        Ok(exit_code)
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
        let on_disk = OnDisk(&disk);
        let replacer: &dyn Replacer = if self.dry_run { &DryRun } else { &on_disk };
        let findings = match &self.report {
            Some(path) => FindingsKept::logged(&disk, path)?,
            None => FindingsKept::in_memory(),
        };
        let excluded: Vec<PathBuf> = self.report.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let rewrite = Rewrite { files: &RealFiles, replacer, backup_suffix, excluded: &excluded };
        let scope = Scope { records_noun: "references", source_bytes: None, budget_bytes: 0 };
        watch.run(scope, |control| rewrite.run(&self.paths, resolver, findings, control))
    }
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let Document { end, dry_run, .. } = document;
    let would = if *dry_run { "would be " } else { "" };
    let mut line = |name: &str, total: u64, counts: &[(u64, &str)]| {
        let counts: Vec<_> = counts.iter().map(|(count, what)| format!("{} {what}", count_text(*count))).collect();
        writeln!(text, "{name:<12}{}: {}", count_text(total), counts.join(", "))
    };
    let (files, references) = (&end.files, &end.references);
    line(
        "files",
        files.seen,
        &[
            (files.changed, &format!("{would}changed")),
            (files.unchanged, "unchanged"),
            (files.skipped, "skipped"),
            (files.refused, "refused"),
        ],
    )?;
    line(
        "references",
        references.found,
        &[
            (references.replaced, &format!("{would}replaced")),
            (references.current, "current"),
            (references.unknown, "not in the map"),
            (references.ambiguous, "ambiguous"),
            (references.refused, "in refused files"),
        ],
    )?;
    for finding in end.findings.iter().take(FINDINGS_SHOWN_MAX) {
        writeln!(text, "{}", finding_text(finding))?;
    }
    let shown = end.findings.len().min(FINDINGS_SHOWN_MAX);
    match (end.findings.len() - shown) as u64 + end.findings_left_out {
        0 => Ok(()),
        more => writeln!(
            text,
            "{} more{}",
            count_text(more),
            if document.report.is_some() { "" } else { "; --report FILE has them all" }
        ),
    }
}

fn finding_text(finding: &Finding) -> String {
    let Finding { file, offset, reason, id, .. } = finding;
    // A name must not move the cursor of a terminal.
    let file: String = file.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match id {
        Some(id) => format!("{file} at {offset}: {id}: {reason}"),
        None => format!("{file}: {reason}"),
    }
}
