//! The files in the directory of a manifest, for steps that derive values from them.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::scan::ARTIFACTS;
use crate::durable::{DiskError, ReadRoot};
use crate::manifest::document::inputs::DocumentInputs;
use crate::pipeline::StopToken;

/// The files in the directory of one manifest.
pub struct SiblingFiles<'a> {
    pub root: &'a dyn ReadRoot,
    /// The manifest, relative to the root.
    pub manifest: &'a Path,
    /// Ends the digest of a long file early, with an error.
    pub stop: Option<&'a StopToken>,
}

impl DocumentInputs for SiblingFiles<'_> {
    fn digest(&self, path: &str) -> Result<Option<([u8; 32], u64)>, String> {
        let file = self.file(path)?;
        let (mut hasher, mut len_bytes) = (Sha256::new(), 0);
        let mut take = |piece: &[u8]| {
            hasher.update(piece);
            len_bytes += piece.len() as u64;
            if self.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.root.read_pieces(&file, &mut take) {
            Ok(()) if self.is_stopped() => Err(format!("{path}: stopped")),
            Ok(()) => Ok(Some((hasher.finalize().into(), len_bytes))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(format!("{path}: {}", error.source)),
        }
    }

    fn read(&self, path: &str, len_max_bytes: u64) -> Result<Option<Vec<u8>>, String> {
        let file = self.file(path)?;
        let mut bytes = Vec::new();
        match self.root.read_file(&file, len_max_bytes, &mut bytes) {
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

impl SiblingFiles<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(StopToken::is_requested)
    }

    /// Returns the path of a file relative to the root.
    fn file(&self, path: &str) -> Result<PathBuf, String> {
        // The path comes from the manifest itself, so it is not trusted.
        let relative = Path::new(path);
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("{path} leads out of the manifest's directory"));
        }
        Ok(self.manifest.parent().unwrap_or(Path::new("")).join(relative))
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
        let siblings = SiblingFiles { root: &*root, manifest, stop: None };
        assert_eq!(siblings.read("inputs/a", 3), Ok(Some(b"abc".to_vec())));
        assert_eq!(siblings.digest("inputs/a").unwrap().unwrap().1, 3);
        assert_eq!(siblings.read("inputs/b", 3), Ok(None));
        assert!(siblings.read("inputs/a", 2).is_err());
        assert!(siblings.read("../../../secret", 3).is_err() && siblings.read("/app/secret", 3).is_err());
        assert_eq!(siblings.job_directory().as_deref(), Some("job"));
        let elsewhere = SiblingFiles { root: &*root, manifest: Path::new("artifacts/manifest.json"), stop: None };
        assert_eq!(elsewhere.job_directory(), None);
    }
}
