//! `haul cas …` in the directory that holds an old store and its targets.

use haul::cas::Algorithm;
use haul::cas::source::location::Shape;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::haul::{Done, HAUL};
use crate::support::old_store::OldStore;

/// Runs `haul cas` with these words in a directory.
pub fn cas_in(directory: &Path, arguments: &str) -> Done {
    let mut command = Command::new(HAUL);
    command.arg("cas").args(arguments.split_whitespace()).args(["--progress", "none"]);
    Done::of(command.current_dir(directory).stdin(Stdio::null()).env("NO_COLOR", "1").output().expect("haul runs"))
}

impl OldStore {
    /// A store with so many objects, each in two levels of directories.
    pub fn with_objects(count: u8) -> Self {
        let store = Self::new();
        (0..count).for_each(|n| _ = store.object(Algorithm::Sha256, &[n; 100], Shape::TwoLevels));
        store
    }

    /// Runs `haul cas` next to the store, which stays as it was.
    #[track_caller]
    pub fn cas(&self, arguments: &str) -> Done {
        let before = self.seen();
        let done = cas_in(self.place(), arguments);
        assert!(self.seen() == before, "the source is untouched: {arguments}");
        done
    }
}

impl Done {
    /// The printed advice.
    pub fn next(&self) -> &str {
        self.stderr.lines().find_map(|line| line.strip_prefix("next: ")).unwrap_or_default()
    }
}
