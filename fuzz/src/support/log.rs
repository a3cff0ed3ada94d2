//! Log files in memory, cut and converted as in a migration.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use haul::durable::{ReaderKind, SourceFile};
use haul::pipeline::{Converter, StopToken};
use haul::space::log::extent::Extent;
use haul::space::log::framing::{Cut, View, cut};
use haul::space::log::range_sums::{LogFile, RangeSums};
use haul::space::log::reader::{Batch, Cursor};
use haul::space::migrate::convert::{EncodedBatch, LogConverter};
use haul::space::policy::{Corruption, Policies};

/// A source file that no directory holds.
pub struct Log {
    pub file: Arc<SourceFile>,
    sums: RangeSums,
    pub bytes: Vec<u8>,
    _memory: File,
}

impl Log {
    pub fn new(bytes: Vec<u8>) -> Self {
        let memory = rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory");
        let mut memory = File::from(memory);
        memory.write_all(&bytes).expect("room in memory");
        let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
        let file = Arc::new(SourceFile::open(&path, ReaderKind::Pread).expect("an open file"));
        Self { file, sums: RangeSums::default(), bytes, _memory: memory }
    }

    /// The extents of the whole file, seen through windows that are at first `window_bytes` long.
    pub fn extents(&self, policy: Corruption, window_bytes: usize) -> Vec<Extent> {
        let file_len_bytes = self.bytes.len() as u64;
        let (mut extents, mut at) = (Vec::new(), 0_u64);
        while at < file_len_bytes {
            let extent = self.extent_at(at, policy, window_bytes);
            assert_eq!(extent.start, at);
            assert!(extent.len_bytes > 0 && extent.end() <= file_len_bytes);
            at = extent.end();
            extents.push(extent);
        }
        extents
    }

    fn extent_at(&self, at: u64, policy: Corruption, window_bytes: usize) -> Extent {
        let rest = &self.bytes[at as usize..];
        let mut window_bytes = window_bytes.min(rest.len());
        loop {
            let view = View { base: at, bytes: &rest[..window_bytes], file_len_bytes: self.bytes.len() as u64 };
            match cut(LogFile { file: &self.file, sums: &self.sums, stop: &StopToken::new() }, &view, at, policy)
                .expect("a readable file")
            {
                Cut::Extent(extent) => return extent,
                Cut::NeedsBytes(bytes) => {
                    assert!(bytes > window_bytes as u64 && window_bytes < rest.len(), "asks for {bytes}");
                    window_bytes = (bytes as usize).min(rest.len());
                }
            }
        }
    }

    /// The blocks of the whole file.
    pub fn convert(&self, extents: Vec<Extent>, policies: Policies) -> EncodedBatch {
        let after = Cursor { file: 0, offset: self.bytes.len() as u64, extent: extents.len() as u64 };
        let window = self.file.window(0, self.bytes.len()).expect("a readable file");
        let batch = Batch { file_number: 0, file: self.file.clone(), window_offset: 0, window, extents, after };
        let converter =
            LogConverter::new(policies, Arc::new(vec!["wal-0000000000000001.log".to_owned()]), &StopToken::new());
        converter.convert(&mut Default::default(), batch).expect("a readable file")
    }
}
