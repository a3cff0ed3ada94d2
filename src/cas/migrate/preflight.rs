//! The checks of a migration, in their order. Both a run and its dry run make them.

use super::publish::merge_preflight::check_before_merge;
use super::publish::{check_target, is_live};
use super::steps::CasMigration;
use crate::cas::options::Placement;
use crate::cas::paths::{check_apart, check_not_mounted};
use crate::cas::state::RunState;
use crate::cas::verify::run::{verify_held, verify_in_memory};
use crate::cas::verify::{VerifyEnd, VerifyRequest};
use crate::migration::{Check, Context, Error, Stage};
use crate::pipeline::Ended;

impl CasMigration<'_> {
    /// Makes the checks that belong to this point of the run.
    pub(super) fn check(&self, cx: &Context<'_>, check: Check<'_, RunState>) -> Result<Ended, Error> {
        match check {
            Check::Places => {
                check_apart(self.root.path(), self.paths)?;
                check_not_mounted(self.paths)?;
            }
            Check::Target => {
                check_target(&**cx.disk, self.paths, self.options.placement)?;
                if self.options.placement == Placement::Merge && self.options.verify_merged_into {
                    return check_before_merge(&**cx.disk, self.paths, || self.verify_target(cx));
                }
            }
            Check::Continued(state) if state.stage == Stage::RolledBack || self.is_target_gone(cx, state)? => {
                return Err(Error::State {
                    path: cx.checkpoint.path(),
                    what: "that run was rolled back, and the store that it had published is removed".into(),
                    next: "migrate again with --restart".into(),
                    damaged: false,
                    source: None,
                });
            }
            Check::Continued(_) => {}
        }
        Ok(Ended::Complete)
    }

    /// Verifies the store that is merged into. A dry run sorts in memory, because it must not write.
    fn verify_target(&self, cx: &Context<'_>) -> Result<VerifyEnd, Error> {
        let target = self.paths.target();
        match cx.lock {
            Some(_) => verify_held(cx.disk, self.paths, target, &VerifyRequest::WHOLE, self.options, cx.control),
            None => verify_in_memory(target, self.options, cx.control),
        }
    }

    /// Returns true if nothing is left of the published store. An index that changed is fine, because a later merge or
    /// put writes to it.
    fn is_target_gone(&self, cx: &Context<'_>, state: &RunState) -> Result<bool, Error> {
        Ok(state.stage == Stage::Published
            && !is_live(&**cx.disk, self.paths, state)?
            && cx.disk.kind(self.paths.target())?.is_none())
    }
}
