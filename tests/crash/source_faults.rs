//! The reads of a source that fail: every one in turn, once, twice, or from then on.

use haul::durable::{SourceFault, SourceOperation};

use crate::sample::thinned;

const OPERATIONS: [SourceOperation; 4] =
    [SourceOperation::Open, SourceOperation::List, SourceOperation::Read, SourceOperation::Stat];

/// Errors of the process, the medium, the file system and the object.
const CODES: [i32; 5] = [libc::EMFILE, libc::EIO, libc::ESTALE, libc::EACCES, libc::ENOENT];

/// Tries every fault up to the last operation of its kind, and returns how many there were. `try_fault` tells whether the
/// fault was reached.
pub fn for_each_fault(stride: usize, mut try_fault: impl FnMut(SourceFault) -> bool) -> usize {
    let mut tried = 0;
    for operation in OPERATIONS {
        for code in CODES {
            for failing in [1, 2, u64::MAX] {
                for after in thinned(0.., stride) {
                    if !try_fault(SourceFault { operation, after, failing, code }) {
                        break;
                    }
                    tried += 1;
                }
            }
        }
    }
    tried
}
