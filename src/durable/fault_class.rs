//! Tells whose fault a failed system call is: that of the one item it was about, or that of the process or the device.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

use super::DiskError;

/// Items in a row that cannot be read from a medium that works.
pub const IN_A_ROW_MAX: u64 = 2;
/// Of so many items, one may be on a bad spot of a medium that works.
const ITEMS_PER_FAULT_MIN: u64 = 100;
/// How the operations begin that only read one file. The medium under a name may be as bad as that under the content.
const READING: [&str; 4] = ["read", "open", "look up", "map"];
/// Interruptions of one call after which it is given up.
pub(super) const INTERRUPTIONS_MAX: u32 = 100;

/// Whose fault an error of the system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The item's: others can be read and written all the same.
    Item,
    /// The medium's, which may have one bad spot or fail as a whole: see [`MediumFaults`].
    Medium,
    /// The process's or the device's: nothing that follows can be trusted.
    Run,
}

impl FaultClass {
    /// Returns the class of an error. One that is not known is the run's.
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::of_code(code),
            None => Self::of_kind(error.kind()),
        }
    }

    fn of_code(code: i32) -> Self {
        match code {
            // File systems report a damaged block of their own as EUCLEAN or EBADMSG, a device a bad sector as ENODATA.
            libc::EIO | libc::EUCLEAN | libc::EBADMSG | libc::ENODATA | libc::EREMOTEIO => Self::Medium,
            libc::EACCES
            | libc::EPERM
            | libc::EROFS
            | libc::EBUSY
            | libc::EXDEV
            | libc::ENAMETOOLONG
            | libc::ETXTBSY
            | libc::EMLINK
            | libc::ELOOP
            | libc::ENOENT
            | libc::ENOTDIR
            | libc::EISDIR
            | libc::EEXIST
            | libc::ENOTEMPTY
            | libc::EINVAL
            | libc::EILSEQ
            | libc::EOVERFLOW
            | libc::EOPNOTSUPP
            | libc::ENOTTY
            | libc::ENOKEY => Self::Item,
            _ => Self::Run,
        }
    }

    /// Errors that haul makes have no code.
    fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::OutOfMemory
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded => Self::Run,
            _ => Self::Item,
        }
    }
}

impl DiskError {
    /// Returns whose fault it is.
    pub fn fault_class(&self) -> FaultClass {
        FaultClass::of(&self.source)
    }
}

/// Reads again, once after an error of the medium, and as long as the call is only interrupted.
pub fn read_again<T>(read: impl FnMut() -> Result<T, DiskError>) -> Result<T, DiskError> {
    read_again_if(read, itself)
}

fn itself(error: &DiskError) -> Option<&DiskError> {
    Some(error)
}

/// Works like [`read_again`] for an error of which `of_disk` returns that of the disk, if it is one.
pub fn read_again_if<T, E>(
    mut read: impl FnMut() -> Result<T, E>,
    of_disk: impl Fn(&E) -> Option<&DiskError>,
) -> Result<T, E> {
    let (mut is_second, mut interruptions) = (false, 0);
    loop {
        let result = read();
        let Some(error) = result.as_ref().err().and_then(&of_disk) else { return result };
        if error.kind() == ErrorKind::Interrupted && !error.is_stop() && interruptions < INTERRUPTIONS_MAX {
            interruptions += 1;
        } else if error.fault_class() == FaultClass::Medium && !is_second {
            is_second = true;
        } else {
            return result;
        }
    }
}

/// Tells bad spots of a medium from a medium that fails. Threads may share it.
#[derive(Debug)]
pub struct MediumFaults {
    found_max: u64,
    found: AtomicU64,
}

impl MediumFaults {
    /// Creates the judge of a source with this many items.
    pub fn new(items: u64) -> Self {
        Self { found_max: Self::max_of(items), found: AtomicU64::new(0) }
    }

    /// Returns how many of so many items may be on bad spots of a medium that works: one in a hundred, but two of less
    /// than three hundred, because one bad sector of a small store is no failing device.
    pub fn max_of(items: u64) -> u64 {
        IN_A_ROW_MAX.max(items / ITEMS_PER_FAULT_MIN)
    }

    /// Decides about an item that could not be read twice in a row. Returns true if the fault is the item's: an item next
    /// to it can be read, fewer than three in a row cannot, and so far no more than one in a hundred.
    ///
    /// Each iterator reads the items on one side, the nearest first, and says whether that was possible. They are asked
    /// only as far as needed.
    pub fn is_of_item<E>(
        &self,
        before: impl Iterator<Item = Result<bool, E>>,
        after: impl Iterator<Item = Result<bool, E>>,
    ) -> Result<bool, E> {
        if self.found.fetch_add(1, Ordering::Relaxed) >= self.found_max {
            return Ok(false);
        }
        let mut in_a_row = 1;
        let is_next_to_readable = count_unreadable(before, &mut in_a_row)? | count_unreadable(after, &mut in_a_row)?;
        Ok(is_next_to_readable && in_a_row <= IN_A_ROW_MAX)
    }
}

/// Counts the items that cannot be read up to the first that can. Returns true if there is one.
fn count_unreadable<E>(side: impl Iterator<Item = Result<bool, E>>, in_a_row: &mut u64) -> Result<bool, E> {
    for is_readable in side {
        if is_readable? {
            return Ok(true);
        }
        *in_a_row += 1;
        if *in_a_row > IN_A_ROW_MAX {
            break;
        }
    }
    Ok(false)
}

/// Tells bad spots of a medium from a medium that fails, while files are read one after the other. Threads may share it.
#[derive(Debug, Default)]
pub struct BadSpots {
    items: u64,
    read: AtomicU64,
    found: AtomicU64,
    in_a_row: AtomicU64,
}

impl BadSpots {
    /// Creates the judge of so many files; without that, the files that were read so far count.
    pub fn of(items: u64) -> Self {
        Self { items, ..Self::default() }
    }

    /// Reads a file, again after an error of the medium. The inner error is the file's: others can be read all the same.
    pub fn read<T>(&self, read: impl FnMut() -> Result<T, DiskError>) -> Result<Result<T, DiskError>, DiskError> {
        match read_again_if(read, itself) {
            Ok(value) => {
                self.note_readable();
                Ok(Ok(value))
            }
            Err(error) if self.is_of_file(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// Takes note of a file that could be read.
    pub fn note_readable(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Returns true if the error, which came twice in a row, is that of one file: others can be read all the same.
    pub fn is_of_file(&self, error: &DiskError) -> bool {
        error.fault_class() == FaultClass::Item || self.is_spot(error)
    }

    /// Decides about a file that could not be read twice in a row. As the files are not known in advance, it is the
    /// medium that fails from the third file in a row on, and if more than one in a hundred cannot be read.
    fn is_spot(&self, error: &DiskError) -> bool {
        let is_read = READING.iter().any(|operation| error.operation.starts_with(operation));
        if error.fault_class() != FaultClass::Medium || !is_read {
            return false;
        }
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let found = self.found.fetch_add(1, Ordering::Relaxed) + 1;
        let seen = self.read.load(Ordering::Relaxed) + found;
        in_a_row <= IN_A_ROW_MAX && found <= MediumFaults::max_of(seen.max(self.items))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;
    use std::path::Path;

    use super::*;

    fn error(code: i32) -> DiskError {
        DiskError::new("read source", Path::new("x"), io::Error::from_raw_os_error(code))
    }

    #[test]
    fn every_error_has_its_class() {
        let items = [libc::EACCES, libc::EPERM, libc::EROFS, libc::EBUSY, libc::EXDEV, libc::ENAMETOOLONG];
        for code in items.into_iter().chain([libc::ETXTBSY, libc::EMLINK, libc::ENOENT, libc::ELOOP]) {
            assert_eq!(error(code).fault_class(), FaultClass::Item, "{}", error(code).source);
        }
        let runs = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN, libc::EINTR, libc::ENODEV, libc::ENXIO];
        for code in runs.into_iter().chain([libc::ESTALE, libc::ENOSPC, libc::ETIMEDOUT, 4_000]) {
            assert_eq!(error(code).fault_class(), FaultClass::Run, "{}", error(code).source);
        }
        assert_eq!(error(libc::EIO).fault_class(), FaultClass::Medium);
        assert_eq!(FaultClass::of(&ErrorKind::InvalidInput.into()), FaultClass::Item);
        assert_eq!(FaultClass::of(&ErrorKind::OutOfMemory.into()), FaultClass::Run);
    }

    /// Reads with these errors in turn, then successfully, and returns the number of reads and the last error.
    fn reads(codes: &[i32]) -> (usize, Option<i32>) {
        let count = Cell::new(0);
        let read = || {
            count.set(count.get() + 1);
            codes.get(count.get() - 1).map_or(Ok(()), |&code| Err(error(code)))
        };
        let result = read_again(read);
        (count.get(), result.err().and_then(|error| error.source.raw_os_error()))
    }

    #[test]
    fn a_medium_is_read_twice_and_an_interrupted_call_repeated() {
        assert_eq!(reads(&[]), (1, None));
        assert_eq!(reads(&[libc::EIO]), (2, None));
        assert_eq!(reads(&[libc::EIO, libc::EIO]), (2, Some(libc::EIO)));
        assert_eq!(reads(&[libc::EINTR, libc::EIO, libc::EINTR]), (4, None));
        assert_eq!(reads(&[libc::EINTR; 200]), (101, Some(libc::EINTR)));
        assert_eq!(reads(&[libc::EACCES]), (1, Some(libc::EACCES)));
        assert_eq!(reads(&[libc::EMFILE]), (1, Some(libc::EMFILE)));
    }

    fn is_of_item(faults: &MediumFaults, before: &[bool], after: &[bool]) -> bool {
        let (before, after) = (before.iter().copied(), after.iter().copied());
        faults.is_of_item(before.map(Ok::<_, Infallible>), after.map(Ok)).unwrap()
    }

    #[test]
    fn three_in_a_row_are_the_devices() {
        let judge = |before: &[bool], after: &[bool]| is_of_item(&MediumFaults::new(10), before, after);
        for (before, after) in [([true, true], [true, true]), ([false, true], [true, true]), ([true; 2], [false, true])]
        {
            assert!(judge(&before, &after), "{before:?} {after:?}");
        }
        for (before, after) in [([false, false], [true; 2]), ([true; 2], [false; 2]), ([false, true], [false, true])] {
            assert!(!judge(&before, &after), "{before:?} {after:?}");
        }
        // At an end, the items on the other side decide; with nothing that can be read there is no telling.
        assert!(judge(&[], &[true]) && judge(&[true], &[]) && judge(&[false, true], &[]));
        assert!(!judge(&[], &[]) && !judge(&[false], &[]));
    }

    #[test]
    fn more_than_one_in_a_hundred_are_the_devices() {
        for (items, found_max) in [(5, 2), (200, 2), (300, 3), (1_000, 10)] {
            let faults = MediumFaults::new(items);
            let found = (0..100).take_while(|_| is_of_item(&faults, &[true], &[true])).count();
            assert_eq!(found, found_max, "{items}");
        }
    }

    /// Reads files, of which some fail with an error of the system. Tells of each whether it was read (`r`), is refused
    /// (`-`) or ends the run (`!`).
    fn read_in_turn(codes: &[i32]) -> String {
        let spots = BadSpots::default();
        let read = |&code: &i32| match spots.read(|| match code {
            0 => Ok(()),
            code => Err(DiskError::new("read", Path::new("file"), io::Error::from_raw_os_error(code))),
        }) {
            Ok(Ok(())) => 'r',
            Ok(Err(_)) => '-',
            Err(_) => '!',
        };
        codes.iter().map(read).collect()
    }

    #[test]
    fn the_third_unreadable_file_in_a_row_is_the_mediums_fault() {
        use libc::{EACCES, EIO, EMFILE, ENODEV, ENOMEM, EROFS, ESTALE};
        assert_eq!(read_in_turn(&[0, EIO, EIO, EIO, 0]), "r--!r");
        assert_eq!(read_in_turn(&[EIO, 0, EIO, 0, 0, EIO]), "-r-rr!", "more than one in a hundred");
        assert_eq!(read_in_turn(&[EACCES, EROFS, 0]), "--r");
        assert_eq!(read_in_turn(&[EMFILE, ENOMEM, ENODEV, ESTALE]), "!!!!");
        let mut many = vec![0; 300];
        many.extend([EIO, 0, EIO, 0, EIO, 0, EIO]);
        assert!(read_in_turn(&many).ends_with("-r-r-r!"));
    }

    #[test]
    fn the_share_of_bad_spots_is_that_of_all_files_if_their_number_is_known() {
        let failures_of = |spots: BadSpots| {
            let is_of_file = || {
                spots.note_readable();
                spots.is_of_file(&error(libc::EIO))
            };
            (0..100).take_while(|_| is_of_file()).count()
        };
        assert_eq!(failures_of(BadSpots::default()), 2);
        assert_eq!([299, 300, 1_000].map(|items| failures_of(BadSpots::of(items))), [2, 3, 10]);
    }

    #[test]
    fn only_a_read_can_meet_a_bad_spot() {
        for (operation, is_of_file) in [
            ("read", true),
            ("open source", true),
            ("look up", true),
            ("write", false),
            ("sync the file system of", false),
        ] {
            let error = DiskError::new(operation, Path::new("file"), io::Error::from_raw_os_error(libc::EIO));
            assert_eq!(BadSpots::default().is_of_file(&error), is_of_file, "{operation}");
        }
    }
}
