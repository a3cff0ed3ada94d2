//! Rewrites references to keys in other files by the map of a migration.
//!
//! A reference is a run of exactly 64 lower-case hex digits that no ASCII letter, digit or `_` precedes or follows,
//! alone or after one of the schemes `sha256:`, `blake2s:`, `blake3:` and `cas:`. The first three name the algorithm of
//! the digest; `cas:` is the source system's word for an object of its store, whatever the algorithm. The meaning of
//! the text around a reference does not matter: JSON and plain text are the same here.
//!
//! Other spellings are found as well: upper-case letters, which stay, mixed case, and characters written `\u00XX`, which
//! become lower-case text. With the directories of an object's path before it (`AB/CD/KEY`, `AB/KEY`, or `AB/REST` without
//! the first two digits) a key is replaced together with them, by `AB/CD/KEY` of the other key.
//!
//! The text of a gzip file is searched as well, and on request it is rewritten like a plain one and compressed again. What
//! it unpacks to is limited.
//!
//! The same holds for SQLite databases: texts in ordinary tables, blobs that are text, and blobs of 32 bytes that are keys of
//! the map.
//!
//! | | forward | in reverse |
//! |---|---|---|
//! | is looked up as | old key; after a scheme of an algorithm only by that algorithm | new key |
//! | is replaced by | the one new key | the one old key |
//! | new scheme | `blake3:` for `sha256:`, `blake2s:` and `blake3:` | for `blake3:` that of the old key, if it has one |
//! | stays as it is | if it is a new key, in no row, or ambiguous | if it is an old key, in no row, or ambiguous |

mod counts;
mod failure;
mod findings;
mod gzip;
mod original;
mod passes;
mod replace;
mod resolve;
mod rewrite;
mod rewriter;
mod scan;
mod shards;
#[cfg(feature = "db-sqlite")]
mod sqlite;
mod stores;
mod targets;
mod text;
mod windows;

pub use findings::FindingsKept;
pub use original::{FileSource, Original, RealFileSource};
pub use replace::{BACKUP_SUFFIX, BACKUP_SUFFIX_REVERSE, DiskReplacer, DryRun, Replacer, Write};
pub use resolve::{Direction, Resolution, Resolver};
pub use rewrite::{BegunRewrite, Packed, Rewrite, RewriteEnd};
pub use rewriter::Rewriter;
pub use scan::{Reference, Scanner, Scheme, Spelling};
pub use shards::Separator;
