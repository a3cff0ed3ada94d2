//! What to do about applied migrations that have no file.

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::place::Place;
use super::work::Work;
use crate::db::Absent;
use crate::db::runner::FilePolicy;

/// What to do about applied migrations that have no file.
#[derive(Args)]
#[command(next_help_heading = "Files")]
pub struct FileArgs {
    /// What an applied migration without a file is: an error, or ignored [default: haul.toml, or error]
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    missing: Option<Absent>,
    /// The same for one above all files, as after a return to an older release [default: haul.toml, or error]
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    newer: Option<Absent>,
}

impl FileArgs {
    /// Sets in `work` what was chosen.
    pub fn apply(&self, work: Work) -> Work {
        let files = work.place.files;
        let ignores = |chosen: Option<Absent>, set: bool| chosen.map_or(set, |how| how == Absent::Ignore);
        let files = FilePolicy {
            ignores_missing: ignores(self.missing, files.ignores_missing),
            ignores_newer: ignores(self.newer, files.ignores_newer),
        };
        Work { place: Place { files, ..work.place }, ..work }
    }
}

impl ValueEnum for Absent {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Error, Self::Ignore]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(if *self == Self::Error { "error" } else { "ignore" }))
    }
}
