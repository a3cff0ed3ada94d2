//! Phases 2 and 3 on every database of a set.

use std::path::Path;

use serde::Serialize;

use super::files::working_path;
use crate::durable::{Disk, replace_file};
use crate::migration::{Error, check_stop};
use crate::pipeline::Control;
use crate::upgrade::backfill::{self, BackfillDone, Limits, open_working};
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::failed;
use crate::upgrade::freeze::start::mark_start;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::Plan;
use crate::upgrade::rebuild;
use crate::upgrade::schema::{self, SchemaDone};
use crate::upgrade::values::Values;

/// What phases 2 to 4 work with.
pub struct Work<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Where the files are.
    pub layout: &'a Layout,
    /// The definition.
    pub definition: &'a Definition,
    /// The plan of the run.
    pub plan: &'a Plan,
    /// Its digest, in hexadecimal digits.
    pub plan_digest: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// What SQL works with.
    pub values: &'a Values,
    /// Stop and events.
    pub control: &'a Control<'a>,
}

/// What a phase has done in a database, as its artifact shows it.
#[derive(Debug, Serialize)]
struct Of<'a, T> {
    file: &'a str,
    #[serde(flatten)]
    done: T,
}

#[derive(Debug, Serialize)]
struct Steps {
    steps: Vec<BackfillDone>,
}

impl Work<'_> {
    /// Applies the groups of the definition to every database.
    pub fn schema(&self) -> Result<(), Error> {
        let mut all = Vec::new();
        for planned in &self.plan.members {
            check_stop(self.control.stop)?;
            let path = working_path(self.layout, self.plan.mode, &planned.member);
            let mut working = open_working(&path, self.plan.mode)?;
            mark_start(&working.connection, self.plan_digest).map_err(failed(&path))?;
            let stop = self.control.stop;
            let mut done: SchemaDone =
                schema::apply(&mut working.connection, self.definition, &planned.member, &planned.steps, stop)?;
            let rebuilt =
                rebuild::apply(&mut working.connection, self.definition, &planned.member, &planned.steps, stop)?;
            done.groups.extend(rebuilt);
            working.finish()?;
            all.push(Of { file: &planned.member.key, done });
        }
        self.artifact("schema", &all)
    }

    /// Fills the new tables and columns of every database.
    pub fn backfill(&self, limits: &Limits) -> Result<(), Error> {
        let facts = self.plan.set_facts();
        let mut all = Vec::new();
        for planned in &self.plan.members {
            check_stop(self.control.stop)?;
            let path = working_path(self.layout, self.plan.mode, &planned.member);
            let working = open_working(&path, self.plan.mode)?;
            let steps = backfill::run(
                &working.connection,
                self.definition,
                &planned.member,
                &facts,
                self.values,
                limits,
                &mut |batch| self.control.progress(batch.rows_written, 0),
            )?;
            working.finish()?;
            all.push(Of { file: &planned.member.key, done: Steps { steps } });
        }
        self.artifact("backfill", &all)
    }

    /// Writes what a phase reports.
    pub fn artifact(&self, phase: &str, content: &impl Serialize) -> Result<(), Error> {
        write_json(self.disk, &self.layout.artifact(phase), content)
    }
}

fn write_json(disk: &dyn Disk, path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(content).expect("plain data always serialises");
    Ok(replace_file(disk, path, text.as_bytes())?)
}
