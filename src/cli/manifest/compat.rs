//! The lines of the original's command line (docs/source-sigilzero.md, "The command line of the original"), with the facts
//! of a run of haul.

use std::path::Path;

use crate::cli::table::Table;
use crate::manifest::migrate::stage_file::NamedFile;
use crate::manifest::outcome::Counts;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::version_survey::VersionSurvey;
use crate::migration::plan::unescape_name;
use crate::migration::{Finding, FirstFindings, OutcomeCounts, Severity, exit};

/// A run or a dry run as the original reports it.
pub struct Summary<'a> {
    /// The application's root.
    pub root: &'a Path,
    /// The version that files are taken to.
    pub target: &'a str,
    /// Outcomes.
    pub counts: &'a Counts,
    /// Findings about single files.
    pub findings: &'a FirstFindings,
    /// True if nothing was written.
    pub is_dry_run: bool,
}

impl Summary<'_> {
    /// Returns the exit code of the original.
    pub fn exit_code(&self) -> u8 {
        if self.counts.refused() > 0 { exit::FAILED } else { exit::OK }
    }

    /// Writes the block of a tree.
    pub fn write_tree(&self, table: &mut Table) {
        let line = "=".repeat(60);
        let (counts, failed) = (self.counts, self.counts.refused());
        table.line(format_args!("Migrating all manifests in: {}", self.root.join(ARTIFACTS).display()));
        table.line(format_args!("Target version: {}", self.target));
        if self.is_dry_run {
            table.lines("[DRY RUN - no changes will be written]\n\n");
        }
        table.lines(&format!("\n{line}\nMIGRATION SUMMARY\n{line}"));
        table.line(format_args!("Total manifests found: {}", counts.manifests()));
        table.line(format_args!("Migrated:              {}", counts.migrated));
        table.line(format_args!("Already current:       {}", counts.current + counts.current_incomplete));
        table.line(format_args!("Failed:                {failed}"));
        if failed > 0 {
            table.lines("\nERRORS:");
            for finding in self.refused() {
                table.gap();
                table.line(format_args!("  Path: {}", self.path(finding)));
                table.line(format_args!("    - {}", self.error_text(finding)));
            }
        }
        match (self.is_dry_run, failed) {
            (true, _) => table.lines("\n[DRY RUN COMPLETE - no changes were written]"),
            (false, 0) => table.lines("\n✅ Migration complete (backups created as *.json.backup)"),
            (false, _) => {}
        }
    }

    fn refused(&self) -> impl Iterator<Item = &Finding> {
        self.findings.first.iter().filter(|finding| finding.severity == Severity::Refused)
    }

    fn path(&self, finding: &Finding) -> String {
        let name = unescape_name(&finding.file).unwrap_or_default();
        self.root.join(name).display().to_string()
    }

    fn error_text(&self, finding: &Finding) -> String {
        match finding.reason.strip_prefix("no migration path") {
            Some(rest) => format!("No migration path{rest}"),
            None => format!("Migration failed: {}", finding.reason),
        }
    }

    /// Writes the lines of one file.
    pub fn write_named(&self, table: &mut Table, relative: &Path, current: &str, named: &NamedFile) {
        table.line(format_args!("Migrating: {}", relative.display()));
        table.line(format_args!("  Current version: {current}"));
        table.line(format_args!("  Target version: {}", self.target));
        if self.is_dry_run {
            table.line("  [DRY RUN - no changes will be written]");
        }
        if let Some(finding) = self.refused().next() {
            table.line("  ❌ Migration failed");
            return table.line(format_args!("     Error: {}", self.error_text(finding)));
        }
        table.line("  ✅ Migration successful");
        if named.applied.is_empty() {
            return table.line("     Already at target version");
        }
        table.line(format_args!("     Applied: {}", named.applied.join(", ")));
        if let Some(backup) = &named.backup {
            table.line(format_args!("     Backup: {}", self.root.join(backup).display()));
        }
    }
}

/// Writes the distribution of versions.
pub fn write_versions(table: &mut Table, survey: &VersionSurvey) {
    if survey.manifests == 0 {
        return table.line("No manifests found.");
    }
    table.line(format_args!("Found {} manifests", survey.manifests));
    table.lines("\nSchema Version Distribution:");
    table.line("-".repeat(40));
    for (version, &count) in &survey.by_version {
        let share = count as f64 * 100.0 / survey.manifests as f64;
        table.line(format_args!("  {version:<10} : {count:>4} ({share:>5.1}%)"));
    }
    table.gap();
    table.line(format_args!("Latest version available: {}", survey.latest_version));
    let latest = survey.by_version.get(&survey.latest_version).copied().unwrap_or(0);
    match survey.manifests - latest {
        0 => {}
        behind => {
            table.gap();
            table.line(format_args!("⚠️  {behind} manifests need migration to {}", survey.latest_version));
        }
    }
}
