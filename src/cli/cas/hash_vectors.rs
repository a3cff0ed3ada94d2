//! `haul cas hash-vectors`: makes the digests of the specification by every path that makes digests here.
//!
//! The JSON document is a [`HashReport`] and, beside its fields, `file` (the path, or null for the built-in vectors) and
//! `exit_code`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::requiem::hash_vectors::{HashReport, built_in, read_vectors, run};
use crate::requiem::small_file::Input;

/// Mismatches that the text shows; the document has all.
const MISMATCHES_SHOWN_MAX: usize = 20;

/// `haul cas hash-vectors`
#[derive(Args)]
pub struct HashVectorsCommand {
    /// Make the digests of this file of vectors as well, of the shape of hash-vectors.json
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    file: Option<String>,
    #[serde(flatten)]
    report: HashReport,
    exit_code: u8,
}

impl HashVectorsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let mut vectors = built_in();
        if let Some(path) = &self.file {
            vectors.extend(read_vectors(path, &Input::read(path)?.bytes)?);
        }
        let report = run(&vectors);
        let exit_code = if report.mismatches.is_empty() { exit::OK } else { exit::BAD_DATA };
        let file = self.file.map(|path| path.display().to_string());
        let document = Document { file, report, exit_code };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        Ok(exit_code)
    }
}

fn render(text: &mut String, document: &Document) -> std::fmt::Result {
    let Document { file, report, .. } = document;
    let beside = file.as_ref().map_or_else(String::new, |file| format!(" and those of {file}"));
    writeln!(text, "{:<20}{}: the built-in ones{beside}", "vectors", count_text(report.vectors))?;
    for (function, count) in &report.functions {
        writeln!(text, "  {function:<18}{}", count_text(*count))?;
    }
    let paths = report.digests;
    for (path, count) in [("one-shot", paths.one_shot), ("streaming", paths.streaming), ("parallel", paths.parallel)] {
        writeln!(text, "{path:<20}{} digests", count_text(count))?;
    }
    writeln!(text, "{:<20}{}", "mismatches", count_text(report.mismatches.len() as u64))?;
    for mismatch in report.mismatches.iter().take(MISMATCHES_SHOWN_MAX) {
        writeln!(text, "  {}, {}:", mismatch.vector.escape_debug(), mismatch.function)?;
        writeln!(text, "    expected {}", mismatch.expected)?;
        writeln!(text, "    found    {} by {}", mismatch.found, mismatch.paths.join("; "))?;
    }
    match report.mismatches.len().saturating_sub(MISMATCHES_SHOWN_MAX) {
        0 => Ok(()),
        more => writeln!(text, "  … and {} more", count_text(more as u64)),
    }
}
