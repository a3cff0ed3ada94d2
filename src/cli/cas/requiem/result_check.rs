//! `haul cas result-check`: checks the digests of result files.
//!
//! The JSON document is a [`ResultsReport`] with `exit_code`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::arguments::{OutputArgs, check_any_exists, check_file};
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::requiem::result_check::{DigestFinding, ResultReport, ResultsReport, Verdict, check_results};

/// `haul cas result-check`
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 every result_digest is right, 3 some must be run again or could not be checked, 65 \
                        a digest is wrong or a file is not a result."
)]
pub struct ResultCheckCommand {
    /// Result files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ResultCheckCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        match &self.files[..] {
            [file] => check_file(file, "give the path of a result file")?,
            files => check_any_exists(files, "give the paths of result files")?,
        }
        let report = check_results(&self.files);
        let exit_code = match report.worst() {
            Verdict::Fine => exit::OK,
            Verdict::Unchecked | Verdict::MustBeRerun => exit::REFUSED_RECORDS,
            Verdict::Wrong | Verdict::Unreadable => exit::BAD_DATA,
        };
        Answer::new(&report).exit(exit_code).print(self.output, |table| render(table, &report))
    }
}

fn render(table: &mut Table, report: &ResultsReport) {
    report.files.iter().for_each(|file| render_file(table, file));
    let counts = [
        (report.fine, "fine"),
        (report.unchecked, "not checked"),
        (report.must_be_rerun, "to run again"),
        (report.wrong, "wrong"),
        (report.unreadable, "unreadable"),
    ];
    let counts = counts.map(|(count, name)| format!("{} {name}", count_text(count)));
    table.line(counts.join(", "));
}

fn render_file(table: &mut Table, file: &ResultReport) {
    let verdict = match file.verdict {
        Verdict::Fine => "fine",
        Verdict::Unchecked => "not checked",
        Verdict::MustBeRerun => "must be run again",
        Verdict::Wrong => "WRONG",
        Verdict::Unreadable => "unreadable",
    };
    let reason = file.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    table.line(format_args!("{}: {verdict}{reason}", file.file));
    if let Some(code) = &file.error_code {
        table.line(format_args!("  error_code {}", code));
    }
    for check in &file.checks {
        let says = match &check.finding {
            DigestFinding::Holds => "is right".to_owned(),
            DigestFinding::NotChecked { why } => format!("is not checked: {why}"),
            DigestFinding::Prefixed { prefix } => format!("has the prefix {prefix}:, which no current digest has"),
            DigestFinding::OlderGeneration { algorithm } => format!("is one of an older generation, by {algorithm}"),
            DigestFinding::Wrong { expected } => format!("is wrong; it should be {expected}"),
            DigestFinding::NoDigest => "is not a digest".to_owned(),
        };
        table.line(format_args!("  {} {says}", check.digest));
    }
}
