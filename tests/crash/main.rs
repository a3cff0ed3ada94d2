//! Migrations that lose the power, their process or one operation of the disk, at each operation they perform.
#![allow(clippy::disallowed_methods, reason = "tests prepare and damage files directly")]

mod cas;
mod cas_failing_source;
mod cas_rollback;
mod cas_scene;
mod forged;
mod forged_state;
mod manifest;
mod manifest_failing_source;
mod sample;
mod source_faults;
mod space;
mod space_failing_source;
mod swapped_directories;
mod two_hosts;

#[path = "../support"]
mod support {
    pub mod files;
    pub mod nodes;
    pub mod old_objects;
    pub mod old_store;
    pub mod scene;
    pub mod seen;
    pub mod sharing;
    pub mod space;
    pub mod store_runs;
    pub mod written;
}
