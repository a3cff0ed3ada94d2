//! Settings of a put.

use crate::cas::options::Compress;

/// How an object is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOptions {
    /// How the blob of a new object is encoded; [`Compress::AsStored`] is as the content comes, which is identity.
    pub compress: Compress,
    /// Unix seconds for the sidecar of a new object; 0: not known.
    pub created_at: u64,
}
