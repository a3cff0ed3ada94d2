//! `haul cas dual-run`: one request through two programs, and what differs in their answers.
//!
//! The JSON document, which is also what `--out` gets, is a [`DualRunDocument`].

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::requiem::dual_run::{DualRun, DualRunDocument, DualRunOptions, check_out, dual_run, write_document};

/// `haul cas dual-run`
#[derive(Args)]
#[command(
    after_help = "Digests differ between generations by design; exit code 0 says that exit code, standard output \
                        and standard error of the command are the same, 1 that they are not."
)]
pub struct DualRunCommand {
    /// The request to run
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The program whose answer is the measure
    #[arg(long, value_name = "PROGRAM")]
    old_bin: PathBuf,
    /// The program whose answer is compared with it
    #[arg(long, value_name = "PROGRAM")]
    new_bin: PathBuf,
    /// Where to write what they answered
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How long each program may take, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: u64,
    /// Where each program gets an empty directory of its own [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl DualRunCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_out(&RealDisk, &self.out)?;
        let watch = Watch::start(self.output.progress)?;
        let options = DualRunOptions {
            request: self.request,
            old_bin: self.old_bin,
            new_bin: self.new_bin,
            work_dir: self.work_dir.unwrap_or_else(std::env::temp_dir),
            timeout: Duration::from_millis(self.timeout_ms),
        };
        let (old, new) = (options.old_bin.display(), options.new_bin.display());
        watch.say(&format!("running {old}, then {new}, for at most {} ms each", self.timeout_ms));
        let document = DualRunDocument { dual_run: dual_run(&RealDisk, &options, watch.stop())? };
        write_document(&RealDisk, &self.out, &document)?;
        output::print(self.output.json, &document, || text(&document.dual_run))?;
        Ok(if document.dual_run.behaves_alike() { exit::OK } else { exit::FAILED })
    }
}

fn text(run: &DualRun) -> String {
    let mut text = String::new();
    let says = |is_match| if is_match { "same" } else { "DIFFERENT" };
    for (name, value) in [
        ("exit code", says(run.exit_codes_match)),
        ("standard output", says(run.stdout_match)),
        ("standard error", says(run.stderr_match)),
        ("request digest", if run.request_digests_match { "same" } else { "different" }),
        ("result digest", if run.digests_match { "same" } else { "different" }),
        ("  old", &*run.old_digest.escape_debug().to_string()),
        ("  new", &*run.new_digest.escape_debug().to_string()),
    ] {
        writeln!(text, "{name:<20}{value}").expect("a string takes any text");
    }
    if run.truncated {
        text.push_str("an output was cut; only what was kept of it is compared\n");
    }
    text
}
