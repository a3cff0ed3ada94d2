//! One module a target: its `fuzz` takes the bytes of the fuzzer and panics where haul is wrong.

mod cas_frame;
mod cas_map;
mod cas_record;
mod cas_references;
mod checkpoint;
mod db_script;
mod episode_payload;
mod forged_state;
mod manifest_json;
mod manifest_steps;
mod store_reader;
mod upgrade_definition;
mod wal_record;

/// A target, which panics where haul is wrong.
pub type Target = fn(&[u8]);

/// Returns the target called `name`.
pub fn named(name: &str) -> Option<Target> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

const ALL: [(&str, Target); 13] = [
    ("cas_frame", cas_frame::fuzz),
    ("cas_map", cas_map::fuzz),
    ("cas_record", cas_record::fuzz),
    ("cas_references", cas_references::fuzz),
    ("checkpoint", checkpoint::fuzz),
    ("db_script", db_script::fuzz),
    ("episode_payload", episode_payload::fuzz),
    ("forged_state", forged_state::fuzz),
    ("manifest_json", manifest_json::fuzz),
    ("manifest_steps", manifest_steps::fuzz),
    ("store_reader", store_reader::fuzz),
    ("upgrade_definition", upgrade_definition::fuzz),
    ("wal_record", wal_record::fuzz),
];
