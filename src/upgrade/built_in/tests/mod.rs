//! Runs the upgrades that are built in on databases that the tests make, without the machinery of the phases.

mod conformance;
mod cortex;
mod library;
mod runner;
mod unify;
