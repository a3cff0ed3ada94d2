//! References to keys in other files, and their rewriting by the map of a migration.
//!
//! A reference is a run of exactly 64 lowercase hex digits that no ASCII letter, digit or `_` precedes or follows,
//! alone or behind one of the schemes `sha256:`, `blake2s:`, `blake3:` and `cas:`. The first three name the algorithm of
//! the digest; `cas:` is the source system's word for an object of its store and says nothing of the algorithm. What the
//! text around a reference means is not looked at: JSON and plain text are the same here.
//!
//! | | forward | in reverse |
//! |---|---|---|
//! | is looked up as | old key; behind a scheme of an algorithm only by that algorithm | new key |
//! | becomes | the one new key | the one old key |
//! | its scheme | `sha256:`, `blake2s:`, `blake3:` become `blake3:` | `blake3:` becomes that of the old key, if that has one |
//! | is left as it is | a new key already, in no row, ambiguous | an old key already, in no row, ambiguous |

mod counts;
mod findings;
mod original;
mod passes;
mod replace;
mod resolve;
mod rewrite;
mod rewriter;
mod scan;
mod targets;
mod trouble;

pub use counts::{FileCounts, ReferenceCounts};
pub use findings::{FINDINGS_KEPT_MAX, FindingsKept};
pub use original::{Files, Original, RealFiles};
pub use replace::{BACKUP_SUFFIX, BACKUP_SUFFIX_REVERSE, DryRun, OnDisk, Replacement, Replacer, Write};
pub use resolve::{Direction, Resolution, Resolver};
pub use rewrite::{Rewrite, RewriteEnd};
pub use rewriter::Rewriter;
pub use scan::{REFERENCE_TEXT_BYTES_MAX, Reference, Scanner, Scheme};
pub use trouble::Trouble;
