//! Migrations of databases, on both engines.

mod acceptance;
mod backups;
mod bad_days;
mod batches;
mod builds;
mod callers;
mod engines;
mod environments;
mod estimates;
mod failures;
mod features;
mod files;
mod foreign_keys;
mod ledger;
mod ledger_place;
mod lexer_agreement;
mod library;
mod named_databases;
mod pgbouncer;
mod postgres_connections;
mod postgres_roles;
mod postgres_standby;
mod postgres_tls;
mod rehearsals;
mod round_trips;
mod runs;
mod schema;
mod servers;
mod sessions;
mod squash;
mod takeover;
mod tenant_lists;
mod tenant_verbs;
mod tenants;

use crate::support::db::Db;
use crate::support::haul::Done;
use crate::support::nobody::Nobody;

/// Runs `haul db …` on a database as a user who may not write to everything.
fn run_as(nobody: &Nobody, db: &Db, arguments: &str) -> Done {
    let mut command = nobody.haul();
    command.arg("db").args(arguments.split_whitespace()).current_dir(db.path()).env("DATABASE_URL", db.url());
    Done::of(command.output().expect("haul runs"))
}
