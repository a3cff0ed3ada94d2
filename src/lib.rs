//! haul moves a store from an old format to a new one, in bulk and in parallel, as fast as the hardware copies bytes, and
//! proves that nothing was lost.
//!
//! | store | start with | read the result with |
//! |---|---|---|
//! | Engram memory spaces | [`migrate_space`] | [`DualSpace`] |
//! | content-addressed stores | [`migrate_cas`] | [`CasStore`], [`KeyMap`] |
//! | trees of JSON manifests | [`migrate_manifests`] | [`Transformer`] |
//! | SQLite and PostgreSQL databases | [`DbRunner`] | |
//! | your own format | [`engine`] | |
//!
//! Each function takes a [`Disk`], the options of the store and a [`Control`], which stops the run and watches it. A run that
//! was stopped or killed continues when the same call is made again. Errors know their [`ErrorKind`] and the next step.
//! Each kind of store is a cargo feature of its own: `space`, `cas`, `manifest`, `db-sqlite`, `db-postgres`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use haul::{
//!     Control, DualSpace, GenerateSpaceOptions, RealDisk, Silent, SpaceOptions, SpacePaths, Stage, StopToken,
//!     generate_space, migrate_space,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A space of a hundred generated episodes, as Engram writes it.
//! let directory = tempfile::tempdir()?;
//! let paths = SpacePaths::new(directory.path().join("default"));
//! let stop = StopToken::new();
//! let control = Control { stop: &stop, observer: &Silent };
//! let wanted = GenerateSpaceOptions { nodes: 100, seed: 1, files: 2 };
//! generate_space(Arc::new(RealDisk), paths.root(), &wanted, &control)?;
//!
//! // Moves, seals, verifies and publishes. The log stays as it is.
//! let end = migrate_space(Arc::new(RealDisk), &paths, &SpaceOptions::default(), &control)?;
//! assert_eq!((end.stage, end.counts.migrated), (Stage::Published, 100));
//!
//! // Reads the nodes back.
//! let store = DualSpace::open(&paths.store(&end.details.store))?;
//! assert_eq!(store.len(), 100);
//! # Ok(())
//! # }
//! ```

// The shared rooms serve every store, so a build without one of the stores leaves some of their code unused.
#![cfg_attr(
    not(all(
        feature = "space",
        feature = "cas",
        feature = "manifest",
        feature = "db-sqlite",
        feature = "db-postgres",
        feature = "upgrade",
        feature = "cli"
    )),
    allow(dead_code, unused_imports, unused_macros)
)]
#![cfg_attr(not(feature = "internals"), deny(missing_docs))]
// Rooms name items again that only tests, benchmarks and fuzz targets use.
#![cfg_attr(not(feature = "internals"), allow(unused_imports))]

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

// Programs use the names below. Tests, benchmarks and fuzz targets reach into the rooms.
#[cfg(feature = "cas")]
#[cfg(not(feature = "internals"))]
mod cas;
#[cfg(feature = "cas")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod cas;
#[cfg(feature = "cli")]
#[cfg(not(feature = "internals"))]
mod cli;
#[cfg(feature = "cli")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod cli;
#[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
#[cfg(not(feature = "internals"))]
mod db;
#[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod db;
#[cfg(not(feature = "internals"))]
mod durable;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod durable;
mod embed;
#[cfg(all(feature = "cli", any(feature = "space", feature = "cas", feature = "manifest")))]
#[cfg(not(feature = "internals"))]
mod estimate;
#[cfg(all(feature = "cli", any(feature = "space", feature = "cas", feature = "manifest")))]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod estimate;
#[cfg(feature = "manifest")]
#[cfg(not(feature = "internals"))]
mod manifest;
#[cfg(feature = "manifest")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod manifest;
#[cfg(not(feature = "internals"))]
mod migration;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod migration;
#[cfg(feature = "cli")]
#[cfg(not(feature = "internals"))]
mod observe;
#[cfg(feature = "cli")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod observe;
#[cfg(not(feature = "internals"))]
mod pipeline;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod pipeline;
#[cfg(feature = "cas")]
#[cfg(not(feature = "internals"))]
mod requiem;
#[cfg(feature = "cas")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod requiem;
#[cfg(feature = "serve")]
#[cfg(not(feature = "internals"))]
mod serve;
#[cfg(feature = "serve")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod serve;
#[cfg(feature = "space")]
#[cfg(not(feature = "internals"))]
mod space;
#[cfg(feature = "space")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod space;
#[cfg(feature = "upgrade")]
#[cfg(not(feature = "internals"))]
mod upgrade;
#[cfg(feature = "upgrade")]
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod upgrade;

pub mod engine {
    //! The engine moves batches from a reader over parallel converters to a writer, in order and within a memory budget. It
    //! knows no format: a program brings its own [`Reader`], [`Converter`] and [`Writer`].
    //!
    //! ```
    //! use std::num::NonZeroUsize;
    //!
    //! use haul::engine::{
    //!     Admission, Admitted, Budget, Commit, Control, Converter, Ended, NoThread, Options, Reader, Silent, StopToken,
    //!     Writer, run,
    //! };
    //!
    //! /// Reads a text line by line.
    //! struct Lines(std::vec::IntoIter<String>);
    //!
    //! impl Reader for Lines {
    //!     type Batch = String;
    //!     type Error = NoThread;
    //!
    //!     fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<String>>, NoThread> {
    //!         let Some(line) = self.0.next() else { return Ok(None) };
    //!         let source_bytes = line.len() as u64;
    //!         // Waits until the batches in flight leave room for this one; `None` means that the run is stopping.
    //!         let permit = admission.acquire(source_bytes);
    //!         Ok(permit.map(|permit| Admitted { batch: line, permit, records: 1, source_bytes }))
    //!     }
    //! }
    //!
    //! /// Runs on several threads at once.
    //! struct Digest;
    //!
    //! impl Converter for Digest {
    //!     type Batch = String;
    //!     type Output = blake3::Hash;
    //!     type Scratch = ();
    //!     type Error = NoThread;
    //!
    //!     fn convert(&self, _scratch: &mut (), line: String) -> Result<blake3::Hash, NoThread> {
    //!         Ok(blake3::hash(line.as_bytes()))
    //!     }
    //! }
    //!
    //! /// Receives the digests in the order of the lines.
    //! #[derive(Default)]
    //! struct Digests {
    //!     written: Vec<blake3::Hash>,
    //! }
    //!
    //! impl Writer for Digests {
    //!     type Output = blake3::Hash;
    //!     type Error = NoThread;
    //!     type Commit = Durable;
    //!
    //!     fn write(&mut self, digest: blake3::Hash) -> Result<(), NoThread> {
    //!         self.written.push(digest);
    //!         Ok(())
    //!     }
    //!
    //!     fn commit_point(&mut self) -> Result<Durable, NoThread> {
    //!         Ok(Durable)
    //!     }
    //! }
    //!
    //! /// Syncs what was written and records it as done. These digests stay in memory, so there is nothing to sync.
    //! struct Durable;
    //!
    //! impl Commit for Durable {
    //!     type Error = NoThread;
    //!
    //!     fn commit(self) -> Result<(), NoThread> {
    //!         Ok(())
    //!     }
    //! }
    //!
    //! let lines: Vec<String> = (0..1_000).map(|number| format!("line {number}")).collect();
    //! let options = Options {
    //!     parallel_workers: NonZeroUsize::new(2).expect("not zero"),
    //!     budget: Budget::new(1 << 20, 0.8),
    //!     rate_limit: None,
    //!     checkpoint_interval_records: 100,
    //!     checkpoint_interval_ms_min: 200,
    //!     checkpoint_interval_ms_max: 10_000,
    //! };
    //! let stop = StopToken::new();
    //! let control = Control { stop: &stop, observer: &Silent };
    //! let mut digests = Digests::default();
    //! let ended = run(Lines(lines.clone().into_iter()), &Digest, &mut digests, &options, &control).expect("no stage fails");
    //! assert_eq!(ended, Ended::Complete);
    //! assert_eq!(digests.written[999], blake3::hash(b"line 999"));
    //! ```
    pub use crate::pipeline::{
        Admission, Admitted, Budget, Commit, Control, Converter, Ended, Event, NoThread, Observer, Options, Permit,
        Phase, Reader, Silent, StopToken, Writer, run,
    };
}

pub use embed::{embed_migrations, embed_migrations_recursively};

pub use durable::{Disk, DiskError, DiskFile, DiskFileSystem, ReaderKind, RealDisk};
pub use migration::{
    Error, ErrorKind, Finding, MigrationEnd, OutcomeCounts, RunOptions, Severity, Stage, Start, Subset, exit,
};
pub use pipeline::{Control, Event, Observer, Phase, Silent, StopToken};

#[cfg(feature = "space")]
pub use space::{
    DualSpace,
    generate::{GenerateOptions as GenerateSpaceOptions, write::generate_space},
    migrate::{migrate as migrate_space, plan::plan as plan_space},
    options::MigrateOptions as SpaceOptions,
    paths::SpacePaths,
    policy::Policies as SpacePolicies,
    rollback::rollback as rollback_space,
    store::block_view::NodeRef,
    verify::{Depth as SpaceVerifyDepth, run::verify_space},
};

#[cfg(feature = "cas")]
pub use cas::{
    Algorithm as KeyAlgorithm, Key,
    format::encoding::Compress,
    map::KeyMap,
    migrate::migrate as migrate_cas,
    options::{MigrateOptions as CasOptions, Placement},
    paths::TargetPaths as CasPaths,
    rollback::{RollbackRequest as CasRollbackRequest, rollback as rollback_cas},
    store::CasStore,
    verify::{VerifyEnd as CasVerifyEnd, VerifyRequest as CasVerifyRequest, verify_store as verify_cas},
};

#[cfg(feature = "manifest")]
pub use manifest::{
    DocumentInputs, NoInputs, ProvenRegistry, Registry, Step as ManifestStep, Touch, TransformOptions, Transformer,
    Verdict, Version as ManifestVersion,
    migrate::migrate as migrate_manifests,
    prove as prove_steps, read_migrated as read_manifest,
    rollback::{RollbackRequest as RollbackManifests, rollback as rollback_manifests},
    run_options::MigrateOptions as ManifestOptions,
    write_manifest,
};

#[cfg(all(feature = "tokio", any(feature = "db-sqlite", feature = "db-postgres")))]
pub use db::AsyncRunner as AsyncDbRunner;
#[cfg(feature = "db-postgres")]
pub use db::postgres::PostgresDatabase;
#[cfg(feature = "db-sqlite")]
pub use db::sqlite::SqliteDatabase;
#[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
pub use db::{
    Database, Dialect, Migrations, ReadDatabase, Runner as DbRunner, RunnerOptions as DbRunnerOptions,
    Target as DbTarget,
    runner::{MigrateRequest as DbMigrateRequest, RollbackRequest as DbRollbackRequest, RunSummary as DbRunSummary},
};

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::main as run_command_line;
