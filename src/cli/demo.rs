//! `haul demo`: generates a space, migrates it, verifies it, and shows what was done.
//!
//! The JSON document has `space` (path), `generated` (a [`GeneratedSpace`]), `migration` (a [`MigrationEnd`]), `verified`
//! (a [`Coverage`]), `nodes_per_second` of the migration, and `commands` (`get`, `verify` and `rollback`).

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::arguments::{OutputArgs, WaitArgs};
use super::command::Answer;
use super::command_line::space_command;
use super::progress::Watch;
use super::space::arguments::RECORDS_NOUN;
use super::space::{generate, migrate, verify};
use super::table::Table;
use crate::durable::{Disk, ReaderKind, RealDisk, create_directory_durable, remove_large_tree, replace_file};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, Subset, shell_word};
use crate::space::generate::write::GeneratedSpace;
use crate::space::generate::{GenerateOptions, generated_episode};
use crate::space::migrate::MigrationEnd;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::verify::{Coverage, Depth};

/// Marks a directory that the demo created and may empty.
const MARKER: &str = ".haul-demo";
const MARKER_TEXT: &[u8] = b"Made by `haul demo`, which replaces the space next to this file when it runs again.\n";
/// Name of the generated space.
const SPACE: &str = "default";
const SEED: u64 = 1;

/// `haul demo`
#[derive(Args)]
pub struct Demo {
    /// Nodes to generate, about 3.4 KB each
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    nodes: u64,
    /// Data directory to create; one that an earlier demo created is used again
    #[arg(long, value_name = "DIR", default_value = "./haul-demo")]
    dir: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct DemoEnd {
    space: String,
    generated: GeneratedSpace,
    migration: MigrationEnd,
    verified: Coverage,
    nodes_per_second: u64,
    commands: Commands,
}

/// Commands to try next.
#[derive(Serialize)]
struct Commands {
    get: String,
    verify: String,
    rollback: String,
}

impl Demo {
    pub fn run(self) -> anyhow::Result<u8> {
        let watch = Watch::start(self.output)?;
        let paths = SpacePaths::new(self.dir.join(SPACE));
        let made = self.generate(&watch, &paths)?;
        unless_stopped(made.stopped)?;
        let options = MigrateOptions { reader: ReaderKind::Auto, ..MigrateOptions::default() };
        let began = Instant::now();
        let migration = migrate::run(&watch, &paths, &options, WaitArgs::default())?;
        let seconds = began.elapsed().as_secs_f64().max(1e-6);
        unless_stopped(migration.stopped)?;
        let whole = verify::Request { store: None, depth: Depth::Full, subset: Subset::ALL, wait: WaitArgs::default() };
        let verified = verify::verify(&watch, &paths, &whole, &options)?;
        unless_stopped(verified.stopped)?;
        let end = DemoEnd {
            space: paths.root().display().to_string(),
            generated: made,
            nodes_per_second: (migration.records as f64 / seconds) as u64,
            migration,
            verified: verified.coverage,
            commands: commands(paths.root()),
        };
        Answer::new(&end).print(self.output, |table| render(table, &end))
    }

    fn generate(&self, watch: &Watch, paths: &SpacePaths) -> Result<GeneratedSpace, Error> {
        take_directory(&RealDisk, &self.dir)?;
        remove_large_tree(&RealDisk, paths.root(), &watch.stop().check())?;
        let options = GenerateOptions { nodes: self.nodes, seed: SEED, files: 1 };
        generate::generate(watch, paths.root(), &options)
    }
}

fn unless_stopped(stopped: bool) -> Result<(), Error> {
    if stopped { Err(Error::stopped()) } else { Ok(()) }
}

/// Creates the directory, or takes one that a demo made. Refuses any other that is not empty.
fn take_directory(disk: &dyn Disk, directory: &Path) -> Result<(), Error> {
    // A mistyped --dir must never empty a directory of the user.
    let marker = directory.join(MARKER);
    if disk.kind(directory)?.is_some() && disk.kind(&marker)?.is_none() && !disk.list(directory)?.is_empty() {
        return Err(Error::Usage {
            what: format!("{} exists and was not created by a demo", directory.display()),
            next: "choose another directory with --dir".into(),
        });
    }
    create_directory_durable(disk, directory)?;
    Ok(replace_file(disk, &marker, MARKER_TEXT)?)
}

fn commands(root: &Path) -> Commands {
    let id = shell_word(generated_episode(SEED, 0).id);
    Commands {
        get: format!("{} {id}", space_command("get", root)),
        verify: format!("{} --full", space_command("verify", root)),
        rollback: space_command("rollback", root),
    }
}

fn render(table: &mut Table, end: &DemoEnd) {
    let DemoEnd { space, generated, migration, verified, nodes_per_second, commands } = end;
    table.row("generated", format_args!("{} in {space}/wal", bytes_text(generated.bytes)));
    table.row("migrated", format_args!("{space}/{}", migration.details.store));
    table.outcomes(&migration.counts);
    table.row("rate", format_args!("{} {RECORDS_NOUN}/s, from plan to publishing", count_text(*nodes_per_second)));
    let blocks = count_text(verified.rebuilt_blocks);
    table.row("verified", format_args!("{blocks} blocks rebuilt to the bytes of the log"));
    table.row("report", format_args!("{space}/migration/report.json"));
    table.gap();
    let commands = [
        ("look at one node", &commands.get),
        ("verify again", &commands.verify),
        ("roll back, so that the log is live again", &commands.rollback),
    ];
    for (what, command) in commands {
        table.line(format_args!("{what}:"));
        table.nested(|table| table.line(command));
    }
}
