//! `haul cas doctor`: examines a store of any generation and reports what would prevent a migration.
//!
//! The JSON document is a [`DoctorEnd`] with `exit_code`.

use std::path::Path;

use clap::Args;

use super::arguments::{resource_options, scope};
use super::generations::write_generations;
use crate::cas::doctor::{DoctorEnd, doctor};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::Answer;
use crate::cli::output::write_findings;
use crate::cli::place::{Place, PlaceKind};
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::migration::exit;

/// What the store is.
struct AnyStore;

impl PlaceKind for AnyStore {
    const VALUE_NAME: &'static str = "STORE";
    const OPTION: &'static str = "store";
    const HELP: &'static str = "Root of the store, of any generation";
}

/// `haul cas doctor`
#[derive(Args)]
pub struct DoctorCommand {
    #[command(flatten)]
    store: Place<AnyStore>,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl DoctorCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = resource_options(&self.resources);
        let store: &Path = &self.store;
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("examining {}", store.display()));
        let end = watch.run(scope(&options), |control| doctor(store, &options, control))?;
        let answer = Answer::new(&end).stopped(end.stopped).exit_if(!end.ok, exit::BAD_DATA);
        answer.print(self.output, |table| render(table, &end))
    }
}

fn render(table: &mut Table, end: &DoctorEnd) {
    table.line(if end.ok { "nothing prevents a migration" } else { "some of it cannot be migrated" });
    write_generations(table, &end.generations);
    let layout = &end.layout;
    let counts = [
        ("at AB/CD/<key>", layout.two_levels),
        ("at AB/<key>", layout.one_level),
        ("at AB/<rest of the key>", layout.split_name),
        ("at <key>", layout.flat),
        ("temporary files", end.leftovers),
    ];
    table.nested(|table| {
        table.counts(counts.into_iter().filter(|(_, count)| *count > 0));
        match end.index {
            Some(index) => table.count("lines of the index", index.rows),
            None => table.row("index", "none"),
        }
    });
    end.blockers.iter().for_each(|blocker| table.line(format_args!("blocker: {blocker}")));
    end.warnings.iter().for_each(|warning| table.line(format_args!("warning: {warning}")));
    table.line(format_args!("covered: {}", end.covered));
    write_findings(table, &end.findings_count, &end.findings, |finding| finding.file.clone());
}
