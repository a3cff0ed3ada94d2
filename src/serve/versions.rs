//! The versions of the manifests below some roots, counted by a thread of its own when somebody has asked for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::durable::source_root;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::version_survey::{VersionSurvey, survey_versions};
use crate::migration::{Error, now_text};
use crate::pipeline::{Control, NoThread, Silent, StopToken};

/// Name of the thread that counts.
const NAME: &str = "haul-versions";
/// How long a count is shown.
const KEPT: Duration = Duration::from_secs(60);

/// What is known of one root.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The root.
    pub root: PathBuf,
    /// When it was counted, as RFC 3339 in UTC.
    pub at: String,
    /// What was found, or why nothing can be.
    pub survey: Result<VersionSurvey, String>,
}

/// The newest counts.
#[derive(Debug, Clone, Default)]
pub struct Newest {
    /// A count for each root; none before the first is done.
    pub counted: Arc<Vec<Counted>>,
    /// Roots that the command line names.
    pub roots: Vec<PathBuf>,
}

#[derive(Debug, Default)]
struct State {
    counted: Arc<Vec<Counted>>,
    counted_at: Option<Instant>,
    is_wanted: bool,
}

/// Counts versions. Nobody waits for a count.
#[derive(Debug)]
pub struct Versions {
    roots: Vec<PathBuf>,
    state: Mutex<State>,
    wanted: Condvar,
}

impl Versions {
    /// Starts the thread, which ends with the process or soon after a stop.
    pub fn start(roots: Vec<PathBuf>, stop: StopToken) -> Result<Arc<Self>, Error> {
        let versions = Arc::new(Self { roots, state: Mutex::default(), wanted: Condvar::new() });
        let counter = versions.clone();
        let count = move || counter.count_when_wanted(&stop);
        if !versions.roots.is_empty() {
            Builder::new().name(NAME.into()).spawn(count).map_err(|source| NoThread { name: NAME, source })?;
        }
        Ok(versions)
    }

    /// Returns the newest counts, and has them made again if they are old.
    pub fn newest(&self) -> Newest {
        let mut state = self.state.lock();
        if state.counted_at.is_none_or(|at| at.elapsed() >= KEPT) {
            state.is_wanted = true;
            self.wanted.notify_one();
        }
        Newest { counted: state.counted.clone(), roots: self.roots.clone() }
    }

    /// Returns the root of a number, from 1.
    pub fn root(&self, number: usize) -> Option<&Path> {
        self.roots.get(number.checked_sub(1)?).map(PathBuf::as_path)
    }

    fn count_when_wanted(&self, stop: &StopToken) {
        while !stop.is_requested() {
            let mut state = self.state.lock();
            if !state.is_wanted {
                self.wanted.wait_for(&mut state, Duration::from_millis(500));
                continue;
            }
            drop(state);
            let counted = self.roots.iter().map(|root| count(root, stop)).collect();
            let mut state = self.state.lock();
            (state.counted, state.counted_at, state.is_wanted) = (Arc::new(counted), Some(Instant::now()), false);
        }
    }
}

fn count(root: &Path, stop: &StopToken) -> Counted {
    let control = Control { stop, observer: &Silent };
    let options = MigrateOptions { allow_empty: true, ..MigrateOptions::default() };
    let survey = source_root(root).map_err(Error::from).and_then(|tree| survey_versions(tree, &options, &control));
    Counted { root: root.to_path_buf(), at: now_text(), survey: survey.map_err(|error| error.to_string()) }
}
