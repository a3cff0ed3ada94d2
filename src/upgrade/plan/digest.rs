//! The identity of a plan: what decides the result of the upgrade.

use serde_json::json;

use super::model::{MemberPlan, Plan};
use crate::migration::RunPlan;

const CONTEXT: &str = "haul digest of the plan of an upgrade, version 1";

impl Plan {
    /// Returns the digest as hexadecimal digits.
    pub fn digest_text(&self) -> String {
        blake3::Hash::from_bytes(RunPlan::digest(self)).to_hex().to_string()
    }
}

impl RunPlan for Plan {
    /// Times, lengths of files and what was measured are no part of it, nor where the set lies.
    fn digest(&self) -> [u8; 32] {
        let deciding = json!({
            "version": self.version,
            "definition": [self.upgrade, self.definition_sha256],
            "mode": self.mode,
            "zone": self.assume_tz,
            "inputs": self.inputs_sha256,
            "settings": self.settings,
            "members": self.members.iter().map(deciding).collect::<Vec<_>>(),
        });
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(deciding.to_string().as_bytes());
        *hasher.finalize().as_bytes()
    }

    fn space_needed_bytes(&self) -> Option<u64> {
        Some(self.space_needed_bytes)
    }
}

fn deciding(planned: &MemberPlan) -> serde_json::Value {
    let member = &planned.member;
    let tables = planned.baseline.tables.iter();
    let tables: Vec<_> = tables.map(|(name, facts)| json!([name, facts.columns, facts.content_sha256])).collect();
    let steps: Vec<_> = planned.steps.iter().map(|step| json!([step.name, step.sha256])).collect();
    json!({
        "file": [member.key, member.tier, member.shape],
        "primary": member.is_primary,
        "schema": planned.schema_sha256,
        "tables": tables,
        "steps": steps,
    })
}

#[cfg(test)]
mod tests {
    use super::super::model::{Mode, PhaseEstimate};
    use super::super::test_plan::plan;
    use super::*;

    #[test]
    fn what_decides_the_result_is_in_the_digest_and_nothing_else() {
        let digest = |change: fn(&mut Plan)| {
            let mut changed = plan();
            change(&mut changed);
            changed.digest_text()
        };
        let same: [fn(&mut Plan); 6] = [
            |_| {},
            |plan| plan.made_at = "later".into(),
            |plan| plan.estimate.push(PhaseEstimate { phase: "freeze".into(), p10_ms: 1, p50_ms: 2, p90_ms: 3 }),
            |plan| plan.members[0].file_bytes += 1,
            |plan| plan.members[0].member.path = "/moved/a.db".into(),
            |plan| plan.members[0].baseline.pages += 1,
        ];
        assert!(same.iter().all(|change| digest(*change) == plan().digest_text()));
        let others: [fn(&mut Plan); 9] = [
            |plan| plan.definition_sha256 = "x".into(),
            |plan| plan.mode = Mode::InPlace,
            |plan| plan.assume_tz = "+01:00".into(),
            |plan| drop(plan.inputs_sha256.insert("plugins".into(), "x".into())),
            |plan| plan.settings = [("turn-limit".to_owned(), 3.0)].into(),
            |plan| plan.members[0].member.is_primary = false,
            |plan| plan.members[0].schema_sha256 = "x".into(),
            |plan| plan.members[0].baseline.tables.get_mut("old").unwrap().content_sha256 = "x".into(),
            |plan| plan.members.clear(),
        ];
        let mut digests: Vec<_> = others.iter().map(|change| digest(*change)).collect();
        digests.push(plan().digest_text());
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 10);
        assert_eq!(digests[0].len(), 64);
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let mut first = plan();
        first.settings.insert("share".into(), 0.1);
        let text = serde_json::to_string_pretty(&first).unwrap();
        let again: Plan = serde_json::from_str(&text).unwrap();
        assert_eq!(again, first);
        assert_eq!(again.digest_text(), first.digest_text());
    }
}
