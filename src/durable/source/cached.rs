//! Tells how much of a file the system has in memory.

use memmap2::MmapOptions;

use super::file::SourceFile;

impl SourceFile {
    /// Returns which part of a range is in the page cache, from 0 to 1, without reading it. `None` if the system does not
    /// say so. Of a file that this user may not write it says that all is.
    pub fn cached_share(&self, offset: u64, len: usize) -> Option<f64> {
        let page_bytes = rustix::param::page_size();
        let within = offset.checked_add(len as u64).is_some_and(|end| end <= self.identity().len_bytes);
        if len == 0 || !within {
            return None;
        }
        let lead = (offset % page_bytes as u64) as usize;
        let file = self.file().ok()?;
        // SAFETY: the mapping is private to this function, and no byte of it is accessed.
        let map = unsafe { MmapOptions::new().offset(offset - lead as u64).len(lead + len).map(&*file) }.ok()?;
        let mut pages = vec![0_u8; map.len().div_ceil(page_bytes)];
        let start = map.as_ptr().cast_mut().cast::<libc::c_void>();
        // SAFETY: the range is that of the mapping, which lives until the end of the function, and there is one byte for
        // each of its pages.
        let result = unsafe { libc::mincore(start, map.len(), pages.as_mut_ptr()) };
        let cached = pages.iter().filter(|&&page| page & 1 == 1).count();
        (result == 0).then(|| cached as f64 / pages.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use crate::durable::{ReaderKind, SourceFile};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "lays out the file")]
    fn what_was_just_written_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("source");
        std::fs::write(&path, vec![7; 100_000]).unwrap();
        let file = SourceFile::open(&path, ReaderKind::Pread).unwrap();
        for (offset, len) in [(0, 100_000), (5_000, 10), (4_096, 4_096), (99_999, 1)] {
            assert_eq!(file.cached_share(offset, len), Some(1.0), "{len} bytes at {offset}");
        }
        assert_eq!(file.cached_share(99_999, 2), None);
        assert_eq!(file.cached_share(0, 0), None);
    }
}
