//! Settings of a put.

use crate::cas::format::encoding::Compress;

/// How an object is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOptions {
    /// How the blob of a new object is encoded. [`Compress::AsStored`] keeps the content as it comes, like identity.
    pub compress: Compress,
    /// Unix time in seconds for the sidecar of a new object; 0 if it is not known.
    pub created_at: u64,
}
