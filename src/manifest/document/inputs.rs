//! Access to the files in the directory of a manifest, for steps that derive values from them.

/// Reads files in the directory of a manifest.
///
/// A few steps and options derive values from such files. Paths are relative to that directory and use `/`; a path that
/// leaves the directory is an error. Errors are lower-case text fragments for operators.
pub trait DocumentInputs {
    /// Returns the SHA-256 digest and the length in bytes of the file at `path`, or `None` if it is absent.
    fn digest(&self, path: &str) -> Result<Option<([u8; 32], u64)>, String>;

    /// Returns the bytes of the file at `path`, or `None` if it is absent. A file that is longer than `len_max_bytes`
    /// is an error.
    fn read(&self, path: &str, len_max_bytes: u64) -> Result<Option<Vec<u8>>, String>;

    /// Returns the `<job>` of `artifacts/<job>/<run>/manifest.json`, or `None` if the manifest is in another place.
    fn job_directory(&self) -> Option<String>;
}

/// The inputs of a document that has no directory: every file is absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInputs;

impl DocumentInputs for NoInputs {
    fn digest(&self, _: &str) -> Result<Option<([u8; 32], u64)>, String> {
        Ok(None)
    }

    fn read(&self, _: &str, _: u64) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    fn job_directory(&self) -> Option<String> {
        None
    }
}
