//! What is being watched: one run, or a command that begins none.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::durable::VolatileFile;
use crate::migration::now_text;
use crate::observe::live::{self, Live};
use crate::pipeline::{RunStart, Tally};

/// How long the end of a run waits for a last `live.json`.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// The file of a run directory whose owner and permissions `live.json` gets.
const LIKE: &str = "lock";

/// One run, or what a command does that is none.
#[derive(Debug)]
pub(in crate::observe) struct Current {
    pub(in crate::observe) start: Option<RunStart>,
    pub(in crate::observe) started_at: String,
    pub(in crate::observe) tally: Tally,
    live_file: Mutex<Option<VolatileFile>>,
    has_ended: AtomicBool,
}

impl Current {
    pub(in crate::observe) fn new(start: Option<RunStart>) -> Self {
        let directory = start.as_ref().and_then(|start| start.directory.as_deref());
        // What other processes see of the run is a hint: without it they see the lock.
        let live_file = directory.and_then(|path| VolatileFile::new(path, live::FILE_NAME, LIKE).ok());
        Self {
            start,
            started_at: now_text(),
            tally: Tally::new(),
            live_file: Mutex::new(live_file),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(in crate::observe) fn has_ended(&self) -> bool {
        self.has_ended.load(Relaxed)
    }

    /// Writes `live.json`, unless the run has ended. Returns why it cannot be written, once.
    pub(in crate::observe) fn write_live(&self, live: &Live) -> Option<String> {
        let mut file = self.live_file.lock();
        if self.has_ended() {
            return None;
        }
        let bytes = serde_json::to_vec(live).expect("its keys are texts");
        let error = file.as_ref()?.replace(&bytes).err()?;
        *file = None;
        // Somebody has removed the directory, which the run itself will notice.
        (error.kind() != ErrorKind::NotFound)
            .then(|| format!("cannot write {}: {error}; other processes see less of this run", live::FILE_NAME))
    }

    /// Removes `live.json`, which is never written after that.
    pub(super) fn end_live_file(&self) {
        self.has_ended.store(true, Relaxed);
        // The thread that holds it hangs on a disk.
        if let Some(mut file) = self.live_file.try_lock_for(END_PATIENCE)
            && let Some(file) = file.take()
        {
            let _ = file.remove();
        }
    }
}
