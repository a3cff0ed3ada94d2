//! `haul cas result-check`: whether the digests of result files hold.
//!
//! The JSON document is a [`ResultsReport`] and, beside its fields, `exit_code`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::requiem::result_check::{Finding, ResultReport, ResultsReport, Verdict, check_results};

/// `haul cas result-check`
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 every result_digest holds, 3 some are to be run again or could not be checked, 65 \
                        a digest is wrong or a file is no result."
)]
pub struct ResultCheckCommand {
    /// Result files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    report: ResultsReport,
    exit_code: u8,
}

impl ResultCheckCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let report = check_results(&self.files);
        let exit_code = match report.worst() {
            Verdict::Fine => exit::OK,
            Verdict::Unchecked | Verdict::MustBeRerun => exit::REFUSED_RECORDS,
            Verdict::Wrong | Verdict::Unreadable => exit::BAD_DATA,
        };
        let document = Document { report, exit_code };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document.report)))?;
        Ok(exit_code)
    }
}

fn render(text: &mut String, report: &ResultsReport) -> std::fmt::Result {
    for file in &report.files {
        render_file(text, file)?;
    }
    let counts = [
        (report.fine, "fine"),
        (report.unchecked, "not checked"),
        (report.must_be_rerun, "to be run again"),
        (report.wrong, "wrong"),
        (report.unreadable, "unreadable"),
    ];
    let counts = counts.map(|(count, name)| format!("{} {name}", count_text(count)));
    writeln!(text, "{}", counts.join(", "))
}

fn render_file(text: &mut String, file: &ResultReport) -> std::fmt::Result {
    let verdict = match file.verdict {
        Verdict::Fine => "fine",
        Verdict::Unchecked => "not checked",
        Verdict::MustBeRerun => "must be re-run",
        Verdict::Wrong => "WRONG",
        Verdict::Unreadable => "unreadable",
    };
    let reason = file.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    writeln!(text, "{}: {verdict}{reason}", file.file)?;
    if let Some(code) = &file.error_code {
        writeln!(text, "  error_code {}", code.escape_debug())?;
    }
    for check in &file.checks {
        let says = match &check.finding {
            Finding::Holds => "holds".to_owned(),
            Finding::NotChecked { why } => format!("is not checked: {why}"),
            Finding::Prefixed { prefix } => format!("has the prefix {prefix}:, which no digest of today has"),
            Finding::OlderGeneration { algorithm } => format!("is that of an older generation, by {algorithm}"),
            Finding::Wrong { expected } => format!("is wrong; it should be {expected}"),
            Finding::NoDigest => "is no digest".to_owned(),
        };
        writeln!(text, "  {} {says}", check.digest.escape_debug())?;
    }
    Ok(())
}
