//! What a step may ask of the directory that a manifest is in.

/// Files beside one manifest, for the few steps and options that derive from them. All paths are relative to the
/// manifest's directory and use `/`; one that leaves it is an error. Errors are lower-case fragments for people.
pub trait DocumentInputs {
    /// The SHA-256 digest and the length in bytes of the file at `path`; `None` if it is absent.
    fn digest(&self, path: &str) -> Result<Option<([u8; 32], u64)>, String>;

    /// The bytes of the file at `path`, which is refused if it is longer than `len_max_bytes`; `None` if it is absent.
    fn read(&self, path: &str, len_max_bytes: u64) -> Result<Option<Vec<u8>>, String>;

    /// The job's directory in `artifacts/<job>/<run>/manifest.json`; `None` where a manifest is elsewhere.
    fn job_directory(&self) -> Option<String>;
}

/// A document that comes from nowhere: no files beside it.
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
