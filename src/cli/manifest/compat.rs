//! The lines of the original's command line (docs/source-sigilzero.md, "The command line of the original"), with the
//! facts of a run of haul.

use std::fmt::{self, Write};
use std::path::Path;

use crate::cli::output::text_of;
use crate::manifest::migrate::stage_file::NamedFile;
use crate::manifest::outcome::Counts;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::version_survey::VersionSurvey;
use crate::migration::plan::unescape_name;
use crate::migration::{Finding, FirstFindings, OutcomeCounts, Severity, exit};

/// A run, or a dry run, as the original tells of it.
pub struct Summary<'a> {
    /// The application's root.
    pub root: &'a Path,
    /// The version that files are taken to.
    pub target: &'a str,
    /// Outcomes.
    pub counts: &'a Counts,
    /// What there is to say of single files.
    pub findings: &'a FirstFindings,
    /// True if nothing was written.
    pub is_dry_run: bool,
}

impl Summary<'_> {
    /// The exit code of the original.
    pub fn exit_code(&self) -> u8 {
        if self.counts.refused() > 0 { exit::FAILED } else { exit::OK }
    }

    /// The block of a tree.
    pub fn tree_text(&self) -> String {
        text_of(|text| self.write_tree(text))
    }

    fn write_tree(&self, text: &mut String) -> fmt::Result {
        let line = "=".repeat(60);
        let (counts, failed) = (self.counts, self.counts.refused());
        writeln!(text, "Migrating all manifests in: {}", self.root.join(ARTIFACTS).display())?;
        writeln!(text, "Target version: {}", self.target)?;
        if self.is_dry_run {
            writeln!(text, "[DRY RUN - no changes will be written]\n")?;
        }
        writeln!(text, "\n{line}\nMIGRATION SUMMARY\n{line}")?;
        writeln!(text, "Total manifests found: {}", counts.manifests())?;
        writeln!(text, "Migrated:              {}", counts.migrated)?;
        writeln!(text, "Already current:       {}", counts.current + counts.current_incomplete)?;
        writeln!(text, "Failed:                {failed}")?;
        if failed > 0 {
            writeln!(text, "\nERRORS:")?;
            for finding in self.refused() {
                writeln!(text, "\n  Path: {}", self.path(finding))?;
                writeln!(text, "    - {}", self.error_text(finding))?;
            }
        }
        match (self.is_dry_run, failed) {
            (true, _) => writeln!(text, "\n[DRY RUN COMPLETE - no changes were written]"),
            (false, 0) => writeln!(text, "\n✅ Migration complete (backups created as *.json.backup)"),
            (false, _) => Ok(()),
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

    /// The lines of one file.
    pub fn named_text(&self, relative: &Path, current: &str, named: &NamedFile) -> String {
        text_of(|text| self.write_named(text, relative, current, named))
    }

    fn write_named(&self, text: &mut String, relative: &Path, current: &str, named: &NamedFile) -> fmt::Result {
        writeln!(text, "Migrating: {}", relative.display())?;
        writeln!(text, "  Current version: {current}")?;
        writeln!(text, "  Target version: {}", self.target)?;
        if self.is_dry_run {
            writeln!(text, "  [DRY RUN - no changes will be written]")?;
        }
        if let Some(finding) = self.refused().next() {
            writeln!(text, "  ❌ Migration failed")?;
            return writeln!(text, "     Error: {}", self.error_text(finding));
        }
        writeln!(text, "  ✅ Migration successful")?;
        if named.applied.is_empty() {
            return writeln!(text, "     Already at target version");
        }
        writeln!(text, "     Applied: {}", named.applied.join(", "))?;
        match &named.backup {
            Some(backup) => writeln!(text, "     Backup: {}", self.root.join(backup).display()),
            None => Ok(()),
        }
    }
}

/// The distribution of versions.
pub fn versions_text(survey: &VersionSurvey) -> String {
    text_of(|text| write_versions(text, survey))
}

fn write_versions(text: &mut String, survey: &VersionSurvey) -> fmt::Result {
    if survey.manifests == 0 {
        return writeln!(text, "No manifests found.");
    }
    writeln!(text, "Found {} manifests\n\nSchema Version Distribution:\n{}", survey.manifests, "-".repeat(40))?;
    for (version, &count) in &survey.by_version {
        let share = count as f64 * 100.0 / survey.manifests as f64;
        writeln!(text, "  {version:<10} : {count:>4} ({share:>5.1}%)")?;
    }
    writeln!(text, "\nLatest version available: {}", survey.latest_version)?;
    let latest = survey.by_version.get(&survey.latest_version).copied().unwrap_or(0);
    match survey.manifests - latest {
        0 => Ok(()),
        behind => writeln!(text, "\n⚠️  {behind} manifests need migration to {}", survey.latest_version),
    }
}
