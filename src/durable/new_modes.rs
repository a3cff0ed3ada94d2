//! The permissions of what is created: never more than those of what it is made from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::DiskError;

/// Reading and writing, for the group and for others.
const SHARED_BITS: u32 = 0o066;

/// The permissions that new files and directories may have at most. The mask of the process takes its own bits away
/// besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewModes {
    /// Those of [`SHARED_BITS`] that are allowed.
    shared: u32,
}

impl NewModes {
    /// Whatever the mask of the process leaves.
    pub const ANY: Self = Self { shared: SHARED_BITS };

    /// Nothing for anybody but the owner.
    pub const PRIVATE: Self = Self { shared: 0 };

    /// Returns what a file with these permission bits grants.
    pub fn of_file(mode: u32) -> Self {
        Self { shared: mode & SHARED_BITS }
    }

    /// Returns the permission bits without those that this does not grant.
    pub fn narrowed(self, mode: u32) -> u32 {
        let fine = self.shared | (self.shared >> 1 | self.shared >> 2) & 0o011;
        mode & (0o7700 | fine)
    }

    /// Returns what all of these source paths grant, links followed: a file what its bits say, a directory everything
    /// to those who may enter it.
    pub fn of_sources<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, DiskError> {
        paths.into_iter().try_fold(Self::ANY, |modes, path| Ok(modes.and(Self::of_source(path.as_ref())?)))
    }

    fn of_source(path: &Path) -> Result<Self, DiskError> {
        let metadata = fs::metadata(path).map_err(|e| DiskError::new("look up the mode of", path, e))?;
        let mode = metadata.permissions().mode();
        if !metadata.is_dir() {
            return Ok(Self::of_file(mode));
        }
        let granted = |enter: u32| if mode & enter == 0 { 0 } else { enter * 6 };
        Ok(Self { shared: granted(0o010) | granted(0o001) })
    }

    /// Returns what both grant.
    pub fn and(self, other: Self) -> Self {
        Self { shared: self.shared & other.shared }
    }

    /// The bits of a new file.
    pub(super) fn file(self) -> u32 {
        0o600 | self.shared
    }

    /// The bits of a new directory: who may read or write what is in it may enter it.
    pub(super) fn directory(self) -> u32 {
        0o700 | self.shared | (self.shared >> 1 | self.shared >> 2) & 0o011
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a source")]

    use super::*;

    fn bits(modes: NewModes) -> (u32, u32) {
        (modes.file(), modes.directory())
    }

    #[test]
    fn nobody_gets_more_than_from_every_source() {
        let place = tempfile::tempdir().unwrap();
        let of = |modes: &[u32], directory: u32| {
            let directory_path = place.path().join("d");
            fs::create_dir_all(&directory_path).unwrap();
            let files: Vec<_> = modes.iter().map(|mode| directory_path.join(format!("{mode:o}"))).collect();
            for (file, mode) in files.iter().zip(modes) {
                fs::write(file, b"").unwrap();
                fs::set_permissions(file, fs::Permissions::from_mode(*mode)).unwrap();
            }
            fs::set_permissions(&directory_path, fs::Permissions::from_mode(directory)).unwrap();
            bits(NewModes::of_sources(files.iter().chain([&directory_path])).unwrap())
        };
        assert_eq!(of(&[0o644], 0o755), (0o644, 0o755));
        assert_eq!(of(&[0o600, 0o644], 0o755), (0o600, 0o700));
        assert_eq!(of(&[0o640], 0o755), (0o640, 0o750));
        assert_eq!(of(&[0o664], 0o750), (0o660, 0o770));
        assert_eq!(of(&[0o444], 0o700), (0o600, 0o700));
        assert_eq!(of(&[0o440, 0o404], 0o711), (0o600, 0o700));
        assert_eq!(bits(NewModes::ANY), (0o666, 0o777));
        assert_eq!(bits(NewModes::PRIVATE), (0o600, 0o700));
        assert_eq!(NewModes::of_file(0o640).narrowed(0o664), 0o640);
        assert_eq!(NewModes::ANY.narrowed(0o4755), 0o4755);
    }
}
