//! `haul cas plan`: what a migration would read and need.
//!
//! The JSON document is a [`Plan`] and, beside its fields, `free_bytes` and `free_inodes` (`null` without a limit): what
//! this user may still put on the file system of the target.

use std::fmt::{self, Write};
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::arguments::{LinkArgs, MoveArgs, RECORDS_NOUN, ResultArgs, scope};
use crate::cas::migrate::plan::{Plan, plan};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, exit, nearest_directory};

/// `haul cas plan`
#[derive(Args)]
pub struct PlanCommand {
    #[command(flatten)]
    places: MoveArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    free_bytes: u64,
    free_inodes: Option<u64>,
}

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = TargetPaths::new(&self.places.target)?;
        let options = MigrateOptions { link: self.link.link, ..self.result.options(&self.resources) };
        let watch = Watch::start(self.output.progress)?;
        let plan = watch.run(scope(&options), |control| plan(&self.places.source, &paths, &options, control))?;
        let (free_bytes, free_inodes) = free(paths.parent())?;
        let document = Document { plan: &plan, free_bytes, free_inodes };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &self.places, &document)))?;
        Ok(exit::OK)
    }
}

/// What may still be put on the file system of `path`, which need not be there.
fn free(path: &Path) -> Result<(u64, Option<u64>), Error> {
    let directory = nearest_directory(&RealDisk, path)?;
    Ok((RealDisk.free_bytes(&directory)?, RealDisk.free_inodes(&directory)?))
}

fn render(text: &mut String, places: &MoveArgs, document: &Document<'_>) -> fmt::Result {
    let plan = document.plan;
    let mut line = |name: &str, value: String| writeln!(text, "{name:<14} {value}");
    line("source", places.source.display().to_string())?;
    line("target", places.target.display().to_string())?;
    line(RECORDS_NOUN, format!("{} in {}", count_text(plan.objects), bytes_text(plan.object_bytes)))?;
    let layout = &plan.layout;
    for (name, count) in [
        ("<key>", layout.flat),
        ("AB/<key>", layout.one_level),
        ("AB/<rest>", layout.split_name),
        ("AB/CD/<key>", layout.two_levels),
    ] {
        if count > 0 {
            line("", format!("{} as {name}", count_text(count)))?;
        }
    }
    line("sidecars", count_text(plan.sidecars))?;
    line("other names", count_text(plan.others))?;
    let (files, directories) = (count_text(plan.target_files), count_text(plan.target_directories));
    line("store", format!("at most {files} files, in about {directories} directories"))?;
    line("disk", needed_text(plan.space_needed_bytes, Some(document.free_bytes), bytes_text))?;
    line("inodes", needed_text(plan.inodes_needed, document.free_inodes, count_text))?;
    line("rules", plan.policies.clone())?;
    line("digest", plan.digest.clone())
}

/// `3 needed, 2 free: not enough`.
pub fn needed_text(needed: u64, free: Option<u64>, number_text: impl Fn(u64) -> String) -> String {
    let free_text = free.map_or("no limit".to_owned(), |free| format!("{} free", number_text(free)));
    let verdict = if free.is_none_or(|free| free >= needed) { "" } else { ": not enough" };
    format!("{} needed, {free_text}{verdict}", number_text(needed))
}
