//! Carries the upgrade out on the private copies, to predict its results.

use std::time::Instant;

use super::estimate::Measured;
use super::model::{Block, MemberPlan, Prediction, StepState};
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::backfill::{self, Limits, SetFacts};
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::Snapshot;
use crate::upgrade::schema;
use crate::upgrade::values::Values;

/// What a rehearsal needs besides the copies.
pub(super) struct Rehearsal<'a> {
    pub definition: &'a Definition,
    pub values: &'a Values,
    pub set: &'a SetFacts,
    pub stop: &'a StopToken,
}

impl Rehearsal<'_> {
    /// Carries all steps out on the copy of a database, and notes what they write. The inner error says what stands in
    /// the way.
    pub fn run(
        &self,
        planned: &mut MemberPlan,
        snapshot: &mut Snapshot,
        measured: &mut Measured,
    ) -> Result<Result<(), Block>, Error> {
        let member = &planned.member;
        let started = Instant::now();
        let groups = &planned.steps;
        if let Err(error) = schema::apply(snapshot.connection_mut(), self.definition, member, groups, self.stop) {
            return Block::of_rehearsal("schema", &member.path, error).map(Err);
        }
        measured.schema += started.elapsed();
        let started = Instant::now();
        let limits = Limits::new(self.stop.clone());
        let connection = snapshot.connection();
        let done = backfill::run(connection, self.definition, member, self.set, self.values, &limits, &mut |_| ());
        let done = match done {
            Ok(done) => done,
            Err(error) => return Block::of_rehearsal("backfill", &member.path, error).map(Err),
        };
        measured.backfill += started.elapsed();
        planned.predictions =
            done.into_iter().map(|done| Prediction { step: done.step, rows: done.rows_written }).collect();
        Ok(Ok(()))
    }
}

/// Returns true if every step has run before.
pub(super) fn is_done(planned: &MemberPlan) -> bool {
    planned.steps.iter().all(|step| step.state == StepState::Applied)
}
