//! `haul db lint`: finds what is wrong with migration files, or may hurt when they run. Opens no database.
//!
//! The JSON document has `dialect`, `migrations`, `findings` (a list of [`LintFinding`]), `errors`, `warnings`, `notes` and
//! `exit_code`.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::{MigrationArgs, version};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::lint::{LintFinding, LintSeverity, lint, rules};
use crate::db::{Dialect, Version};
use crate::migration::{Error, exit};

/// `haul db lint`
#[derive(Args)]
pub struct LintCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The dialect of the files [default: that of the database]
    #[arg(long, value_name = "DIALECT", value_enum)]
    dialect: Option<LintDialect>,
    /// The lowest version to check [default: all]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    from: Option<Version>,
    /// Do not report what this rule finds; may be given more than once
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The dialect of the files.
#[derive(ValueEnum, Clone, Copy)]
enum LintDialect {
    Sqlite,
    Postgres,
}

impl From<LintDialect> for Dialect {
    fn from(dialect: LintDialect) -> Self {
        match dialect {
            LintDialect::Sqlite => Self::Sqlite,
            LintDialect::Postgres => Self::Postgres,
        }
    }
}

#[derive(Serialize)]
struct LintEnd {
    dialect: Dialect,
    migrations: usize,
    findings: Vec<LintFinding>,
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl LintCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        self.check_rules()?;
        let examined = self.migrations.examine(self.dialect.map(Dialect::from))?;
        let mut findings = lint(&examined, self.from.as_ref());
        findings.retain(|finding| !self.allow.iter().any(|rule| rule == finding.rule));
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(LintSeverity::Error), count(LintSeverity::Warning));
        let notes = count(LintSeverity::Note);
        let is_bad = errors > 0 || self.strict && warnings > 0;
        let (dialect, migrations) = (examined.migrations.dialect(), examined.migrations.len());
        let end = LintEnd { dialect, migrations, findings, errors, warnings, notes };
        Answer::new(&end).exit_if(is_bad, exit::BAD_DATA).print(self.output, |table| render(table, &end))
    }

    /// Refuses unknown rules, and those that keep a file from being read.
    fn check_rules(&self) -> Result<(), Error> {
        match self.allow.iter().find(|allowed| rules().all(|rule| rule.name != **allowed)) {
            Some(unknown) => {
                let names: Vec<_> = rules().map(|rule| rule.name).collect();
                Err(Error::Usage {
                    what: format!("there is no rule `{}` that can be allowed", unknown),
                    next: format!("use one of: {}", names.join(", ")),
                })
            }
            None => Ok(()),
        }
    }
}

fn render(table: &mut Table, end: &LintEnd) {
    for finding in &end.findings {
        let place = match finding.line {
            0 => finding.file.clone(),
            line => format!("{}:{line}", finding.file),
        };
        table.line(format_args!("{place}: {} {}: {}", finding.severity, finding.rule, finding.message));
        table.nested(|table| table.line(finding.next));
    }
    let LintEnd { dialect, migrations, errors, warnings, notes, .. } = end;
    let sums = format!("{errors} errors, {warnings} warnings, {notes} notes");
    table.line(format_args!("read {migrations} migrations of {dialect}: {sums}"));
}
