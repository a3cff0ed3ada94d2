//! Real processes under `kill -9`. Their moments are counted in milliseconds: nothing else may run at the same time.
#![allow(clippy::disallowed_methods, reason = "tests prepare and damage files directly")]

mod cas;
mod db;
mod db_tenants;
mod killing;
mod manifest;
mod space;
mod upgrade;

#[path = "../support"]
mod support {
    pub mod cortex;
    pub mod db;
    pub mod files;
    pub mod generated_store;
    pub mod haul;
    pub mod manifest;
    pub mod old_store;
    pub mod postgres;
    pub mod seen;
}
