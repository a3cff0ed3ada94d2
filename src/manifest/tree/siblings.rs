//! The files in the directory of a manifest, for steps that derive values from them.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use sha2::{Digest, Sha256};

use super::scan::ARTIFACTS;
use crate::durable::{DiskError, ReadRoot};
use crate::manifest::document::inputs::DocumentInputs;

/// The longest file whose digest is computed.
const DIGESTED_BYTES_MAX: u64 = 1 << 30;

/// The files in the directory of one manifest.
pub struct SiblingFiles<'a> {
    /// The tree.
    pub root: &'a dyn ReadRoot,
    /// The manifest, relative to the root.
    pub manifest: &'a Path,
}

impl DocumentInputs for SiblingFiles<'_> {
    fn digest(&self, path: &str) -> Result<Option<([u8; 32], u64)>, String> {
        let bytes = self.read(path, DIGESTED_BYTES_MAX)?;
        Ok(bytes.map(|bytes| (Sha256::digest(&bytes).into(), bytes.len() as u64)))
    }

    fn read(&self, path: &str, len_max_bytes: u64) -> Result<Option<Vec<u8>>, String> {
        // The path comes from the manifest itself, so it is not trusted.
        let relative = Path::new(path);
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("{path} leads out of the manifest's directory"));
        }
        let directory = self.manifest.parent().unwrap_or(Path::new(""));
        let mut bytes = Vec::new();
        match self.root.read_file(&directory.join(relative), len_max_bytes, &mut bytes) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(format!("{path}: {}", error.source)),
        }
    }

    fn job_directory(&self) -> Option<String> {
        let parts: Vec<_> = self.manifest.components().map(Component::as_os_str).collect();
        match parts[..] {
            [artifacts, job, _, _] if artifacts == ARTIFACTS => {
                std::str::from_utf8(job.as_bytes()).ok().map(str::to_owned)
            }
            _ => None,
        }
    }
}

fn is_absent(error: &DiskError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Disk, SimulatedDisk};

    #[test]
    fn only_files_in_its_directory_are_read() {
        let disk = SimulatedDisk::new();
        disk.install_file(Path::new("/app/artifacts/job/run/inputs/a"), b"abc");
        disk.install_file(Path::new("/app/secret"), b"x");
        let root = disk.root(Path::new("/app")).unwrap();
        let manifest = Path::new("artifacts/job/run/manifest.json");
        let siblings = SiblingFiles { root: &*root, manifest };
        assert_eq!(siblings.read("inputs/a", 3), Ok(Some(b"abc".to_vec())));
        assert_eq!(siblings.digest("inputs/a").unwrap().unwrap().1, 3);
        assert_eq!(siblings.read("inputs/b", 3), Ok(None));
        assert!(siblings.read("inputs/a", 2).is_err());
        assert!(siblings.read("../../../secret", 3).is_err() && siblings.read("/app/secret", 3).is_err());
        assert_eq!(siblings.job_directory().as_deref(), Some("job"));
        let elsewhere = SiblingFiles { root: &*root, manifest: Path::new("artifacts/manifest.json") };
        assert_eq!(elsewhere.job_directory(), None);
    }
}
