//! `haul cas hash-vectors`: checks known digests on every path that computes digests.
//!
//! The JSON document is a [`HashReport`] with `file` (the path, or null for the built-in vectors) and `exit_code`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::write_more;
use crate::cli::table::Table;
use crate::migration::exit;
use crate::requiem::hash_vectors::{HashReport, built_in, read_vectors, run};
use crate::requiem::small_file::SmallFile;

/// Mismatches that the text shows. The document has all.
const MISMATCHES_SHOWN_MAX: usize = 20;

/// `haul cas hash-vectors`
#[derive(Args)]
pub struct HashVectorsCommand {
    /// Also compute the digests of this file, which has the format of hash-vectors.json
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl HashVectorsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let mut vectors = built_in();
        if let Some(path) = &self.file {
            vectors.extend(read_vectors(path, &SmallFile::read(path)?.bytes)?);
        }
        let report = run(&vectors);
        let file = self.file.map(|path| path.display().to_string());
        let answer = Answer::new(&report).with("file", file.clone());
        let answer = answer.exit_if(!report.mismatches.is_empty(), exit::BAD_DATA);
        answer.print(self.output, |table| render(table, file.as_deref(), &report))
    }
}

fn render(table: &mut Table, file: Option<&str>, report: &HashReport) {
    table.count("vectors", report.vectors);
    table.nested(|table| table.counts(report.functions.iter().map(|(function, count)| (function, *count))));
    table.row("from", file.map_or("haul".to_owned(), |file| format!("haul and {file}")));
    let paths = report.digests;
    table.count("one-shot digests", paths.one_shot);
    table.count("streaming digests", paths.streaming);
    table.count("parallel digests", paths.parallel);
    table.count("mismatches", report.mismatches.len() as u64);
    table.nested(|table| {
        for mismatch in report.mismatches.iter().take(MISMATCHES_SHOWN_MAX) {
            table.line(format_args!("{}, {}:", mismatch.vector, mismatch.function));
            table.line(format_args!("  expected {}", mismatch.expected));
            table.line(format_args!("  found    {} by {}", mismatch.found, mismatch.paths.join("; ")));
        }
        write_more(table, report.mismatches.len() as u64, MISMATCHES_SHOWN_MAX);
    });
}
