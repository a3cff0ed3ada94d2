//! The tests of haul in one program: the four stores, the command line, what other systems wrote, and the rules of the house.
#![allow(clippy::disallowed_methods, reason = "tests prepare and damage files directly")]

mod cas;
mod cli;
mod conformance;
mod db;
mod formats_doc;
mod frozen_store;
mod house;
mod manifest;
mod metrics;
mod observe;
mod owners;
mod reports;
mod serve;
mod space;
mod stop;
mod upgrade;

#[path = "../support"]
mod support {
    pub mod conformance;
    pub mod db;
    pub mod db_contents;
    pub mod files;
    pub mod generated_store;
    pub mod haul;
    pub mod headers;
    pub mod http;
    pub mod manifest;
    pub mod manifest_files;
    pub mod nobody;
    pub mod nodes;
    pub mod old_objects;
    pub mod old_store;
    pub mod place;
    pub mod postgres;
    pub mod postgres_programs;
    pub mod read_only;
    pub mod scene;
    pub mod seen;
    pub mod sharing;
    pub mod space;
    pub mod space_runs;
    pub mod store_runs;
    pub mod tenants;
    pub mod v2_store;
}
