//! The check of a rollback that the declared inverse of breaking steps leads from the file to its backup
//! (docs/source-sigilzero.md, "Declared steps").

use super::invariants;
use super::route::Route;
use super::step::Touch;
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::job_id::JOB_ID;
use crate::manifest::document::json::{Document, Numbers, ReadOptions};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::options::Mode;
use crate::manifest::document::value_types::ValueType;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;
use crate::manifest::steps::registry::Registry;

/// Checks that the inverse of the steps from `from` to `to` leads from the document `after` to its backup `before`. A
/// `job_id` that an option added is removed as well.
pub fn check_inverse(
    registry: &Registry,
    from: Version,
    to: Version,
    before: &[u8],
    after: &[u8],
    mode: Mode,
) -> Result<(), Refusal> {
    let no_path = || Refusal::new(ErrorCode::VersionUnknown, format!("no steps lead from {from} to {to}"));
    let mut touches = Route::find(registry, from, to).ok_or_else(no_path)?.touches;
    let is_compat = mode == Mode::Compat;
    // The migration has accepted both documents under its own options, which may be more generous than the defaults.
    let options =
        ReadOptions { depth_max: usize::MAX, bom_strip: true, last_member_wins: is_compat, compat_numbers: false };
    let mut before = parse(before, &options)?;
    let mut after = parse(after, &options)?;
    if before.root().get(JOB_ID).is_none() && after.root().get(JOB_ID).is_some() {
        touches.push(Touch::Add { path: KeyPath::of_root(JOB_ID), value_type: ValueType::Text });
    }
    let root = before.root().id();
    let numbers = if is_compat { Numbers::Values } else { Numbers::Lexemes };
    invariants::check(&mut before, root, &mut after, &touches.iter().collect::<Vec<_>>(), numbers)
}

fn parse<'a>(bytes: &'a [u8], options: &ReadOptions) -> Result<Document<'a>, Refusal> {
    Document::parse(bytes, options).map_err(|fault| Refusal::of_fault(&fault, bytes))
}
