//! Tells the errors of one file from those of the whole tree.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::durable::{DiskError, FaultClass, IN_A_ROW_MAX, MediumFaults, read_again_if};

/// Returns true if the error concerns this file or its directory only, so that the run can go on with other files.
pub fn concerns_one_file(error: &DiskError) -> bool {
    error.fault_class() == FaultClass::Item
}

/// Tells bad spots of a medium from a medium that fails, while files are read one after the other. Threads may share it.
#[derive(Debug, Default)]
pub struct BadSpots {
    read: AtomicU64,
    found: AtomicU64,
    in_a_row: AtomicU64,
}

impl BadSpots {
    /// Reads a file, again after an error of the medium. The inner error is the file's: others can be read all the same.
    pub fn read<T>(&self, read: impl FnMut() -> Result<T, DiskError>) -> Result<Result<T, DiskError>, DiskError> {
        match read_again_if(read, itself) {
            Ok(value) => {
                self.read.fetch_add(1, Ordering::Relaxed);
                self.in_a_row.store(0, Ordering::Relaxed);
                Ok(Ok(value))
            }
            Err(error) if concerns_one_file(&error) || self.is_spot(&error) => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// Decides about a file that could not be read twice in a row. As the files are not known in advance, it is the
    /// medium that fails from the third file in a row on, and if more than one in a hundred cannot be read.
    fn is_spot(&self, error: &DiskError) -> bool {
        if error.fault_class() != FaultClass::Medium || error.operation != "read" {
            return false;
        }
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let found = self.found.fetch_add(1, Ordering::Relaxed) + 1;
        let seen = self.read.load(Ordering::Relaxed) + found;
        in_a_row <= IN_A_ROW_MAX && found <= MediumFaults::max_of(seen)
    }
}

fn itself(error: &DiskError) -> Option<&DiskError> {
    Some(error)
}

#[cfg(test)]
mod tests {
    use std::io::Error;
    use std::path::Path;

    use super::*;

    /// Reads files, of which some fail with an error of the system. Tells of each whether it was read (`r`), is refused
    /// (`-`) or ends the run (`!`).
    fn reads(codes: &[i32]) -> String {
        let spots = BadSpots::default();
        let read = |&code: &i32| match spots.read(|| match code {
            0 => Ok(()),
            code => Err(DiskError::new("read", Path::new("file"), Error::from_raw_os_error(code))),
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
        assert_eq!(reads(&[0, EIO, EIO, EIO, 0]), "r--!r");
        assert_eq!(reads(&[EIO, 0, EIO, 0, 0, EIO]), "-r-rr!", "more than one in a hundred");
        assert_eq!(reads(&[EACCES, EROFS, 0]), "--r");
        assert_eq!(reads(&[EMFILE, ENOMEM, ENODEV, ESTALE]), "!!!!");
        let mut many = vec![0; 300];
        many.extend([EIO, 0, EIO, 0, EIO, 0, EIO]);
        assert!(reads(&many).ends_with("-r-r-r!"));
    }

    #[test]
    fn only_a_read_can_meet_a_bad_spot() {
        let fail = || Err::<(), _>(DiskError::new("write", Path::new("file"), Error::from_raw_os_error(libc::EIO)));
        BadSpots::default().read(fail).unwrap_err();
    }
}
