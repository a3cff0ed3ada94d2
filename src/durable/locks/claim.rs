//! Claims: what keeps two hosts apart where a lock keeps out processes of one host only.
//!
//! A process that takes the lock writes a random word into its file, waits, and reads it back. The one that has written last has the
//! lock. The other finds that out before it changes anything more, because a [`claimed`](super::claimed) disk looks at the word
//! at most a moment before each change.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::durable::{ClaimTimes, Disk, DiskError, read_file};

/// The longest text of a lock that is read.
const TEXT_BYTES_MAX: u64 = 4096;
/// How often a text is read of which only a part is there yet.
const READS_MAX: u32 = 20;
const READ_PAUSE: Duration = Duration::from_millis(5);

/// A claim to the lock at a path.
pub struct Claim {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    text: ClaimText,
    times: ClaimTimes,
    seen: Mutex<Seen>,
}

struct Seen {
    at: Instant,
    /// Who has it now, once this claim is lost.
    lost_to: Option<String>,
}

/// The text of a lock with a claim: `pid 7, claim 0f3a…, on host since …`.
#[derive(Debug, Clone)]
pub struct ClaimText {
    /// What no other claim begins with. It comes first: another host may see the old length of a file for a while.
    begin: String,
    rest: String,
}

impl ClaimText {
    /// Puts a random word into the text `pid 7 on …`.
    pub fn new(owner: &str) -> Self {
        let (process, rest) = owner.split_once(" on ").unwrap_or((owner, "an unknown host"));
        let word = Uuid::new_v4().simple().to_string();
        Self { begin: format!("{process}, claim {},", &word[..16]), rest: format!(" on {rest}") }
    }
}

impl fmt::Display for ClaimText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.begin, self.rest)
    }
}

/// The lock is another's.
#[derive(Debug)]
struct ClaimLost {
    owner: String,
}

impl fmt::Display for ClaimLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it was taken over by {}", self.owner)
    }
}

impl std::error::Error for ClaimLost {}

impl DiskError {
    /// Returns who has the lock now, if that is why the operation was refused.
    pub fn lock_taken_over_by(&self) -> Option<&str> {
        let lost = self.source.get_ref()?.downcast_ref::<ClaimLost>()?;
        Some(&lost.owner)
    }
}

impl Claim {
    /// Waits until every other host sees the text, which [`Disk::try_lock`] has written, and checks that it is still
    /// there.
    pub fn settle(disk: Arc<dyn Disk>, path: PathBuf, text: ClaimText, times: ClaimTimes) -> Result<Self, DiskError> {
        disk.open_file(&path)?.sync()?;
        sleep(times.settle);
        let seen = Mutex::new(Seen { at: Instant::now(), lost_to: None });
        let claim = Self { disk, path, text, times, seen };
        claim.check_now().map(|()| claim)
    }

    /// Adds the id of a run to the text.
    pub fn name_run(&self, run_id: &str) -> Result<(), DiskError> {
        self.check_now()?;
        let text = format!("{}, run {run_id}", self.text);
        let file = self.disk.open_file(&self.path)?;
        // It is longer than before, so nothing of the old text stays and nobody finds it empty.
        file.write_all_at(0, text.as_bytes())?;
        file.sync()
    }

    /// Fails if the lock is another's now: an error whose [`DiskError::lock_taken_over_by`] names it.
    pub fn check_now(&self) -> Result<(), DiskError> {
        let mut seen = self.seen.lock();
        if seen.lost_to.is_none() {
            seen.lost_to = self.read()?;
            seen.at = Instant::now();
        }
        self.held(&seen)
    }

    /// Works like [`check_now`](Self::check_now), but reads nothing for a moment after the last look.
    pub(super) fn check(&self) -> Result<(), DiskError> {
        let seen = self.seen.lock();
        if seen.lost_to.is_none() && seen.at.elapsed() >= self.times.relied_on {
            drop(seen);
            return self.check_now();
        }
        self.held(&seen)
    }

    fn held(&self, seen: &Seen) -> Result<(), DiskError> {
        let Some(owner) = seen.lost_to.clone() else { return Ok(()) };
        let lost = io::Error::new(io::ErrorKind::WouldBlock, ClaimLost { owner });
        Err(DiskError::new("keep the lock", &self.path, lost))
    }

    /// Returns who has the lock, if it is another.
    fn read(&self) -> Result<Option<String>, DiskError> {
        for _ in 0..READS_MAX {
            let text = match read_file(&*self.disk, &self.path, TEXT_BYTES_MAX) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                text => String::from_utf8_lossy(&text?).into_owned(),
            };
            if text.starts_with(&self.text.begin) {
                return Ok(None);
            }
            // Shorter than that, it is still being written.
            if text.len() >= self.text.begin.len() {
                return Ok(Some(text));
            }
            sleep(READ_PAUSE);
        }
        Ok(Some("a process that has not written its name".into()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::durable::{NEVER, SimulatedDisk, claimed};

    const AT_ONCE: ClaimTimes = ClaimTimes { settle: Duration::ZERO, relied_on: Duration::ZERO };

    fn lock() -> PathBuf {
        PathBuf::from("/run/lock")
    }

    fn claim_of(disk: &SimulatedDisk) -> Result<Arc<Claim>, DiskError> {
        let text = ClaimText::new("pid 7 on a since then");
        disk.try_lock(&lock(), &text.to_string()).unwrap().unwrap();
        Claim::settle(Arc::new(disk.clone()), lock(), text, AT_ONCE).map(Arc::new)
    }

    #[test]
    fn nothing_is_changed_once_the_lock_was_taken_over_on_another_host() {
        let here = SimulatedDisk::with_directories(&[Path::new("/run")]);
        let there = here.on_another_host();
        let claim = claim_of(&here).unwrap();
        let disk = claimed(&(Arc::new(here.clone()) as Arc<dyn Disk>), &claim);
        disk.write_new_file(Path::new("/run/before"), b"x").unwrap();
        let file = disk.create_file(Path::new("/run/open")).unwrap();
        claim.name_run("r1").unwrap();
        let other = claim_of(&there).unwrap();
        let operations = here.operations();
        let (a, b) = (Path::new("/run/before"), Path::new("/run/b"));
        let refused = [
            disk.create_file(b).err(),
            disk.write_new_file(b, b"x").err(),
            disk.create_file_like(b, a).err(),
            disk.create_directory(b).err(),
            disk.rename(a, b).err(),
            disk.rename_exclusive(a, b).err(),
            disk.exchange(a, Path::new("/run/open")).err(),
            disk.hard_link(a, b).err(),
            disk.set_mode(a, 0o600).err(),
            disk.remove_file(a).err(),
            disk.remove_directory(Path::new("/run")).err(),
            disk.remove_directory_tree(Path::new("/run"), NEVER).err(),
            disk.root(Path::new("/run")).unwrap().open_directory(Path::new("")).err(),
            file.write_all_at(0, b"x").err(),
            file.set_len(1).err(),
            claim.name_run("r1").err(),
        ];
        for (number, error) in refused.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("operation {number} was done"));
            let owner = error.lock_taken_over_by().unwrap();
            assert!(owner.starts_with("pid 7, claim ") && owner.ends_with(", on a since then"), "{number}: {owner}");
        }
        assert_eq!(here.operations(), operations);
        other.check_now().unwrap();
    }

    #[test]
    fn of_two_that_begin_at_once_the_last_has_the_lock() {
        let here = SimulatedDisk::with_directories(&[Path::new("/run")]);
        let there = here.on_another_host();
        let text = ClaimText::new("pid 7 on a since then");
        here.try_lock(&lock(), &text.to_string()).unwrap().unwrap();
        claim_of(&there).unwrap();
        let lost = Claim::settle(Arc::new(here), lock(), text, AT_ONCE).err().unwrap();
        assert!(lost.lock_taken_over_by().is_some());
    }

    #[test]
    fn a_lock_that_is_gone_or_empty_is_lost_and_one_that_cannot_be_read_is_an_error() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/run")]);
        let claim = claim_of(&disk).unwrap();
        disk.open_file(&lock()).unwrap().set_len(0).unwrap();
        assert!(claim.check_now().unwrap_err().lock_taken_over_by().unwrap().contains("not written its name"));
        let claim = claim_of(&disk.on_another_host()).unwrap();
        disk.remove_file(&lock()).unwrap();
        assert!(claim.check_now().unwrap_err().lock_taken_over_by().is_some());
        let claim = claim_of(&disk.on_another_host()).unwrap();
        disk.remove_file(&lock()).unwrap();
        disk.create_directory(&lock()).unwrap();
        assert_eq!(claim.check_now().unwrap_err().lock_taken_over_by(), None);
    }

    #[test]
    fn a_claim_is_relied_on_for_a_while() {
        let here = SimulatedDisk::with_directories(&[Path::new("/run")]);
        let there = here.on_another_host();
        let text = ClaimText::new("pid 7 on a since then");
        here.try_lock(&lock(), &text.to_string()).unwrap().unwrap();
        let times = ClaimTimes { settle: Duration::ZERO, relied_on: Duration::MAX };
        let claim = Claim::settle(Arc::new(here), lock(), text, times).unwrap();
        claim_of(&there).unwrap();
        claim.check().unwrap();
        claim.check_now().unwrap_err();
        claim.check().unwrap_err();
    }
}
