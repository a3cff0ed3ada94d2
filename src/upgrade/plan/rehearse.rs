//! Carries the upgrade out on the private copies, to predict its results.

use std::time::Instant;

use super::estimate::Measured;
use super::model::{Block, MemberPlan, Prediction, StepState};
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::backfill::{self, Limits, SetFacts};
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::Snapshot;
use crate::upgrade::rebuild::{self, Digests, Planned};
use crate::upgrade::schema::{self, Place};
use crate::upgrade::set::Member;
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
        let steps = &planned.steps;
        let same = match Same::before(snapshot, self.definition, planned) {
            Ok(same) => same,
            Err(error) => return Block::of_rehearsal("rebuild", &member.path, error).map(Err),
        };
        if let Err(error) = schema::apply(snapshot.connection_mut(), self.definition, member, steps, self.stop) {
            return Block::of_rehearsal("schema", &member.path, error).map(Err);
        }
        if let Err(error) = rebuild::apply(snapshot.connection_mut(), self.definition, member, steps, self.stop) {
            return Block::of_rehearsal("rebuild", &member.path, error).map(Err);
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
        if let Err(error) = same.check(snapshot, member) {
            return Block::of_rehearsal("rebuild", &member.path, error).map(Err);
        }
        planned.predictions =
            done.into_iter().map(|done| Prediction { step: done.step, rows: done.rows_written }).collect();
        Ok(Ok(()))
    }
}

/// What rebuilds have to keep the same in a database, as it was before.
struct Same<'a> {
    rebuilds: Vec<Planned<'a>>,
    digests: Digests,
}

impl<'a> Same<'a> {
    fn before(snapshot: &Snapshot, definition: &'a Definition, planned: &MemberPlan) -> Result<Self, Error> {
        let (connection, member) = (snapshot.connection(), &planned.member);
        let place = Place::new(connection, member, "plan");
        let wrap = |error| place.error("what rebuilds keep the same", error);
        let rebuilds = rebuild::pending(connection, definition, member, &planned.steps).map_err(wrap)?;
        let digests = rebuild::digests(connection, &rebuilds).map_err(wrap)?;
        Ok(Self { rebuilds, digests })
    }

    fn check(&self, snapshot: &Snapshot, member: &Member) -> Result<(), Error> {
        let place = Place::new(snapshot.connection(), member, "plan");
        let changes = rebuild::changes(snapshot.connection(), &self.rebuilds, &self.digests);
        let changes = changes.map_err(|error| place.error("what rebuilds keep the same", error))?;
        if changes.is_empty() { Ok(()) } else { Err(place.bad_data(changes.join("; "))) }
    }
}

/// Returns true if every step has run before.
pub(super) fn is_done(planned: &MemberPlan) -> bool {
    planned.steps.iter().all(|step| step.state == StepState::Applied)
}
