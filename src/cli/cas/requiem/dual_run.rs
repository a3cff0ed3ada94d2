//! `haul cas dual-run`: runs one request with two programs and compares what they answer.
//!
//! The JSON document, which is also what `--out` gets, is a [`DualRunDocument`].

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::arguments::{OutputArgs, check_file};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::requiem::dual_run::{DualRun, DualRunDocument, DualRunOptions, check_out, dual_run, write_document};

/// `haul cas dual-run`
#[derive(Args)]
#[command(
    after_help = "Digests differ between generations by design. Exit code 0 means that exit code, standard output \
                        and standard error of the programs are the same, 1 that they are not."
)]
pub struct DualRunCommand {
    /// The request to run
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The program whose answer is the reference
    #[arg(long, value_name = "PROGRAM")]
    old_bin: PathBuf,
    /// The program whose answer is compared with it
    #[arg(long, value_name = "PROGRAM")]
    new_bin: PathBuf,
    /// File to write the answers to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Time limit of each program, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: u64,
    /// Directory in which each program gets an empty one [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl DualRunCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_out(&RealDisk, &self.out)?;
        check_file(&self.request, "give the path of a request")?;
        let watch = Watch::start(self.output)?;
        let options = DualRunOptions {
            request: self.request,
            old_bin: self.old_bin,
            new_bin: self.new_bin,
            work_dir: self.work_dir.unwrap_or_else(std::env::temp_dir),
            timeout: Duration::from_millis(self.timeout_ms),
        };
        let (old, new) = (options.old_bin.display(), options.new_bin.display());
        watch.say(format_args!("running {old}, then {new}, for at most {} ms each", self.timeout_ms));
        let document = DualRunDocument { dual_run: dual_run(&RealDisk, &options, watch.stop())? };
        write_document(&RealDisk, &self.out, &document)?;
        output::print(self.output.json, &document, || Table::render(|table| render(table, &document.dual_run)))?;
        Ok(if document.dual_run.behaves_alike() { exit::OK } else { exit::FAILED })
    }
}

fn render(table: &mut Table, run: &DualRun) {
    let same = |is_match| if is_match { "same" } else { "DIFFERENT" };
    table.row("exit code", same(run.exit_codes_match));
    table.row("standard output", same(run.stdout_match));
    table.row("standard error", same(run.stderr_match));
    table.row("request digest", if run.request_digests_match { "same" } else { "different" });
    table.row("result digest", if run.digests_match { "same" } else { "different" });
    table.nested(|table| {
        table.row("old", &run.old_digest);
        table.row("new", &run.new_digest);
    });
    if run.truncated {
        table.line("an output was cut; only what was kept of it is compared");
    }
}
