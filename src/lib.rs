//! haul moves a store from an old format to a new one, offline, as fast as the hardware copies bytes, and proves that
//! nothing was lost.
//!
//! ```
//! use std::sync::Arc;
//!
//! use haul::durable::{Disk, RealDisk, create_directory_durable};
//! use haul::migration::Stage;
//! use haul::pipeline::{Control, Silent, StopToken};
//! use haul::space::{DualSpace, migrate::migrate, options::MigrateOptions, paths::SpacePaths, samples, wal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A space as Engram leaves it: a log of one episode.
//! let directory = tempfile::tempdir()?;
//! let space = directory.path().join("default");
//! let disk: Arc<dyn Disk> = Arc::new(RealDisk);
//! create_directory_durable(&*disk, &space.join("wal"))?;
//! let record = wal::encode_record(0, 1_700_000_000_000_000_000, 1, &samples::episode("episode_000123").encode());
//! disk.create_file(&space.join("wal/wal-0000000065920080.log"))?.write_all_at(0, &record)?;
//!
//! // Moved, sealed, verified and published; the log stays as it is.
//! let paths = SpacePaths::new(&space);
//! let stop = StopToken::new();
//! let control = Control { stop: &stop, observer: &Silent };
//! let end = migrate(disk, &paths, &MigrateOptions::default(), &control)?;
//! assert_eq!((end.stage, end.counts.migrated), (Stage::Published, 1));
//!
//! // Read back: the node, and the record that it was made from, byte for byte.
//! let store = DualSpace::open(&paths.store(&end.store))?;
//! let found = store.get_by_episode_id("episode_000123")?.expect("the node");
//! assert_eq!(found.id.to_string(), "6b1165e6-2ff4-5aa1-84ba-aacf6131db8a");
//! assert_eq!(found.node().payload(), record[64..]);
//! # Ok(())
//! # }
//! ```
//!
//! The rooms of the house, each of which imports only those below it:
//!
//! | room | holds |
//! |---|---|
//! | [`cli`] | the command line: arguments, one call of the library, rendering |
//! | [`observe`] | what shows the events of a run: progress bar, JSON lines |
//! | [`requiem`] | the tools around a Requiem store: requests, results, dual runs, hash vectors |
//! | [`cas`] | content-addressed stores of every Requiem generation, and the v2 store |
//! | [`db`] | versioned SQL migrations of SQLite and PostgreSQL databases |
//! | [`space`] | Engram memory spaces: the log, the dual-memory store, the migration between them |
//! | [`manifest`] | trees of versioned JSON manifests: exact JSON, versions, steps, and the verdict on each document |
//! | [`migration`] | what all migrations share: plan, stages, checkpoint, lock, journal, publishing, report |
//! | [`pipeline`] | batches in motion: reader, converters, ordered writer, committer, one memory budget |
//! | [`durable`] | every effect on a disk, real or simulated; sources opened for reading only |

// The shared rooms serve every store, so a build without one of the stores leaves some of their code unused.
#![cfg_attr(
    not(all(
        feature = "space",
        feature = "cas",
        feature = "manifest",
        feature = "db-sqlite",
        feature = "db-postgres",
        feature = "cli"
    )),
    allow(dead_code, unused_imports, unused_macros)
)]

#[cfg(all(
    feature = "cli",
    not(any(
        feature = "space",
        feature = "cas",
        feature = "manifest",
        feature = "db-sqlite",
        feature = "db-postgres"
    ))
))]
compile_error!("the feature `cli` needs at least one of `space`, `cas`, `manifest`, `db-sqlite` and `db-postgres`");

#[cfg(feature = "cas")]
pub mod cas;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
pub mod db;
pub mod durable;
#[cfg(feature = "manifest")]
pub mod manifest;
pub mod migration;
#[cfg(feature = "cli")]
pub mod observe;
pub mod pipeline;
#[cfg(feature = "cas")]
pub mod requiem;
#[cfg(feature = "space")]
pub mod space;
