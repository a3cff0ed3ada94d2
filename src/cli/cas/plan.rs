//! `haul cas plan`: what a migration would read and need.
//!
//! The JSON document is a [`Plan`] with `free_bytes` and `free_inodes` (null without a limit): what this user may still put
//! on the file system of the target.

use std::path::Path;

use clap::Args;

use super::arguments::{LinkArgs, RECORDS_NOUN, ResultArgs, SourceTargetArgs, scope};
use crate::cas::migrate::plan::{Plan, plan};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::Answer;
use crate::cli::estimate_text::needed_text;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, nearest_directory};

/// `haul cas plan`
#[derive(Args)]
pub struct PlanCommand {
    #[command(flatten)]
    places: SourceTargetArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = TargetPaths::new(&self.places.target)?;
        let options = MigrateOptions { link: self.link.linking(), ..self.result.options(&self.resources) };
        let watch = Watch::start(self.output)?;
        let plan = watch.run(scope(&options), |control| plan(&self.places.source, &paths, &options, control))?;
        let (free_bytes, free_inodes) = free(paths.parent())?;
        let answer = Answer::new(&plan).with("free_bytes", free_bytes).with("free_inodes", free_inodes);
        answer.print(self.output, |table| {
            table.row("source", self.places.source.display());
            table.row("target", self.places.target.display());
            render(table, &plan);
            table.row("disk", needed_text(plan.space_needed_bytes, Some(free_bytes), bytes_text));
            table.row("inodes", needed_text(plan.inodes_needed, free_inodes, count_text));
            table.row("rules", &plan.policies);
            table.row("digest", &plan.digest);
        })
    }
}

/// Returns what may still be put on the file system of `path`, which need not exist.
fn free(path: &Path) -> Result<(u64, Option<u64>), Error> {
    let directory = nearest_directory(&RealDisk, path)?;
    Ok((RealDisk.free_bytes(&directory)?, RealDisk.free_inodes(&directory)?))
}

fn render(table: &mut Table, plan: &Plan) {
    table.row(RECORDS_NOUN, format_args!("{} in {}", count_text(plan.objects), bytes_text(plan.object_bytes)));
    let layout = &plan.layout;
    let layouts = [
        ("<key>", layout.flat),
        ("AB/<key>", layout.one_level),
        ("AB/<rest>", layout.split_name),
        ("AB/CD/<key>", layout.two_levels),
    ];
    for (name, count) in layouts.into_iter().filter(|(_, count)| *count > 0) {
        table.row("", format_args!("{} as {name}", count_text(count)));
    }
    table.row("sidecars", count_text(plan.sidecars));
    table.row("other names", count_text(plan.others));
    let (files, directories) = (count_text(plan.target_files), count_text(plan.target_directories));
    table.row("store", format_args!("at most {files} files, in about {directories} directories"));
}
