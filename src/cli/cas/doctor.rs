//! `haul cas doctor`: looks at a store of any generation and says what it is and what is in the way.
//!
//! The JSON document is a [`DoctorEnd`].

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::arguments::{course, scope};
use crate::cas::doctor::{DoctorEnd, doctor};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::migration::units::count_text;
use crate::migration::{Finding, exit};

/// Findings that the text shows.
const FINDINGS_SHOWN_MAX: usize = 20;

/// `haul cas doctor`
#[derive(Args)]
pub struct DoctorCommand {
    /// Root of the store, of any generation
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl DoctorCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = course(&self.resources);
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("looking at {}", self.store.display()));
        let end = watch.run(scope(&options), |control| doctor(&self.store, &options, control))?;
        output::print(self.output.json, &end, || text(&end))?;
        if end.stopped {
            watch.say_stopped();
            return Ok(exit::TEMPORARY);
        }
        Ok(if end.ok { exit::OK } else { exit::BAD_DATA })
    }
}

fn text(end: &DoctorEnd) -> String {
    let mut text = String::new();
    render(&mut text, end).expect("a string takes any text");
    push_findings(&mut text, &end.findings);
    text
}

fn render(text: &mut String, end: &DoctorEnd) -> std::fmt::Result {
    writeln!(
        text,
        "{}",
        if end.ok { "nothing is in the way of a migration" } else { "some of it cannot be migrated" }
    )?;
    let (generations, layout) = (&end.generations, &end.layout);
    let mut lines = vec![
        ("keys by SHA-256", generations.sha256),
        ("keys by BLAKE2s-256", generations.blake2s),
        ("keys by BLAKE3", generations.blake3),
        ("keys by BLAKE3 cas:", generations.cas),
        ("at AB/CD/<key>", layout.two_levels),
        ("at AB/<key>", layout.one_level),
        ("at AB/<rest of the key>", layout.split_name),
        ("at <key>", layout.flat),
        ("temporary files", end.leftovers),
    ];
    if let Some(index) = end.index {
        lines.push(("lines of the index", index.rows));
    }
    for (name, count) in lines.into_iter().filter(|(_, count)| *count > 0) {
        writeln!(text, "  {name:<28}{:>16}", count_text(count))?;
    }
    if end.index.is_none() {
        writeln!(text, "  {:<28}{:>16}", "index", "none")?;
    }
    for blocker in &end.blockers {
        writeln!(text, "blocker: {blocker}")?;
    }
    for warning in &end.warnings {
        writeln!(text, "warning: {warning}")?;
    }
    writeln!(text, "covered: {}", end.covered)
}

/// The first findings, one line each.
pub fn push_findings(text: &mut String, findings: &[Finding]) {
    for finding in findings.iter().take(FINDINGS_SHOWN_MAX) {
        let name = serde_json::to_value(finding.severity).expect("a plain name");
        writeln!(text, "{}: {}: {}", name.as_str().unwrap_or_default(), finding.file, finding.reason)
            .expect("a string takes any text");
    }
    if findings.len() > FINDINGS_SHOWN_MAX {
        writeln!(text, "and more; --json lists them").expect("a string takes any text");
    }
}
