//! The plan of a run that begins.

use crate::migration::{Context, Error, exit};
use crate::upgrade::phases::files::command;
use crate::upgrade::plan::{self, Block, Plan};
use crate::upgrade::request::UpgradeRequest;

/// Assesses the set, and refuses to begin where something blocks or the plan is not the one that was approved.
pub fn plan_of_new_run(request: &UpgradeRequest, cx: &Context<'_>) -> Result<Plan, Error> {
    let plan = match plan::kept_plan(request, &**cx.disk)? {
        Some(plan) => plan,
        None => plan::assess(request, &**cx.disk, cx.control)?,
    };
    refuse_blocked(&plan.blocks)?;
    let digest = plan.digest_text();
    match &request.approved_plan {
        Some(approved) if !approved.eq_ignore_ascii_case(&digest) => Err(Error::Usage {
            what: format!("freeze: the plan is no longer the one that was approved: its digest is {digest}"),
            next: format!("look at `{}`, and approve that", command("plan", &request.directory)),
        }),
        _ => Ok(plan),
    }
}

/// Returns the error for what blocks an upgrade. Faults of the data come before what does not fit, and that before what
/// may pass.
pub fn refuse_blocked(blocks: &[Block]) -> Result<(), Error> {
    let rank = |code: u8| [exit::BAD_DATA, exit::USAGE, exit::TEMPORARY].iter().position(|known| *known == code);
    let Some(first) = blocks.iter().min_by_key(|block| rank(block.exit_code).unwrap_or(usize::MAX)) else {
        return Ok(());
    };
    let text = |block: &Block| match &block.file {
        Some(file) => format!("{file}: {} ({})", block.what, block.code),
        None => format!("{} ({})", block.what, block.code),
    };
    let what = format!("plan: {}", blocks.iter().map(text).collect::<Vec<_>>().join("; "));
    let next = first.next.clone();
    Err(match first.exit_code {
        exit::USAGE => Error::Usage { what, next },
        exit::TEMPORARY => Error::Database { what, next, temporary: true, source: None },
        _ => Error::Verification { what, next, source: None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(exit_code: u8) -> Block {
        Block {
            code: format!("code-{exit_code}"),
            file: Some("a.db".into()),
            what: "it is wrong".into(),
            next: format!("mend {exit_code}"),
            exit_code,
        }
    }

    #[test]
    fn the_worst_block_decides_and_all_are_named() {
        refuse_blocked(&[]).unwrap();
        for (codes, expected) in [(&[75, 65, 2][..], 65), (&[75, 2], 2), (&[75], 75)] {
            let blocks: Vec<_> = codes.iter().map(|code| block(*code)).collect();
            let error = refuse_blocked(&blocks).unwrap_err();
            assert_eq!(error.exit_code(), expected);
            assert_eq!(error.next_step().unwrap(), format!("mend {expected}"));
            assert!(codes.iter().all(|code| error.to_string().contains(&format!("code-{code}"))), "{error}");
        }
    }
}
