//! Migrations that are looked at again and again: running ones each time, others when something changed in their
//! directory.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Found, Walked, read, walk};
use crate::observe::MigrationState;

/// The shortest time between two walks.
const WALK_INTERVAL: Duration = Duration::from_secs(2);
/// Walks take at most one part in so many of the time.
const WALK_SHARE: u32 = 20;

/// Looks at the migrations below some directories.
#[derive(Debug)]
pub struct Watcher {
    roots: Vec<PathBuf>,
    walked: Walked,
    walk_next: Option<Instant>,
    known: BTreeMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    found: Arc<Found>,
    changed: Option<Changed>,
}

/// What differs after something changed in a directory: seconds and nanoseconds of its time, and its number.
type Changed = (i64, i64, u64);

impl Watcher {
    /// Returns one that has not looked yet.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, walked: Walked::default(), walk_next: None, known: BTreeMap::new() }
    }

    /// Looks, and returns what is there now, in the order of paths. What did not change is the same object as before.
    pub fn look(&mut self) -> Vec<Arc<Found>> {
        let now = Instant::now();
        if self.walk_next.is_none_or(|next| next <= now) {
            self.walked = walk(&self.roots);
            let took = now.elapsed();
            self.walk_next = Some(Instant::now() + (took * WALK_SHARE).max(WALK_INTERVAL));
        }
        let mut known = BTreeMap::new();
        for path in &self.walked.run_directories {
            let earlier = self.known.remove(path);
            if let Some(looked) = look_at(path, earlier) {
                known.insert(path.clone(), looked);
            }
        }
        self.known = known;
        self.known.values().map(|known| known.found.clone()).collect()
    }

    /// Returns what the last walk came to.
    pub fn walked(&self) -> &Walked {
        &self.walked
    }
}

/// Looks at one again, if there may be anything new. `None`: it is gone.
fn look_at(path: &Path, earlier: Option<Known>) -> Option<Known> {
    let changed = path.symlink_metadata().ok().map(|found| (found.mtime(), found.mtime_nsec(), found.ino()));
    changed?;
    match earlier {
        Some(earlier) if earlier.changed == changed && earlier.found.state != MigrationState::Running => Some(earlier),
        earlier => {
            let found = read(path);
            let same = earlier.filter(|earlier| *earlier.found == found);
            Some(Known { found: same.map_or_else(|| Arc::new(found), |same| same.found), changed })
        }
    }
}
