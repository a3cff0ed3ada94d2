//! Groups the lines of the ledger by file, in bounded memory. A tree that was migrated and rolled back several times
//! has several lines for each file, far from each other, so an external sort brings them together.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::migration::{Error, SortSpace};
use crate::pipeline::{Merged, SortedRuns};

/// The memory of each of the two sorts.
const SORT_BYTES: u64 = 4 << 20;
/// The length of the digest that stands for a path.
// Records of fixed, short length sort fastest. 16 bytes of a BLAKE3 digest do not collide in practice.
const DIGEST_BYTES: usize = 16;
const NOTED_BYTES: usize = DIGEST_BYTES + 8 + 1 + 8;
const CHOSEN_BYTES: usize = 8 + 1;

/// What is noted about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedLine {
    /// The number of the line.
    pub line: u64,
    /// A mark for the function that chooses lines.
    pub mark: u8,
    /// The earlier line that it refers to, or 0.
    pub about: u64,
}

/// The first pass: notes the lines of the ledger.
pub struct LedgerByFile<'a> {
    sorts: &'a SortSpace,
    noted: SortedRuns<NOTED_BYTES>,
}

impl<'a> LedgerByFile<'a> {
    /// Starts without lines. What does not fit in memory is written to `sorts`.
    pub fn new(sorts: &'a SortSpace) -> Result<Self, Error> {
        Ok(Self { sorts, noted: sorts.runs("noted", SORT_BYTES)? })
    }

    /// Notes a line about `file`.
    pub fn note(&mut self, file: &Path, noted: NotedLine) -> Result<(), Error> {
        let mut record = [0; NOTED_BYTES];
        let (digest, rest) = record.split_at_mut(DIGEST_BYTES);
        digest.copy_from_slice(&blake3::hash(file.as_os_str().as_bytes()).as_bytes()[..DIGEST_BYTES]);
        rest[..8].copy_from_slice(&noted.line.to_be_bytes());
        rest[8] = noted.mark;
        rest[9..].copy_from_slice(&noted.about.to_be_bytes());
        Ok(self.noted.push(record)?)
    }

    /// Passes the lines of each file to `choose`, in their order. It chooses lines by number and gives each a mark.
    pub fn choose(self, mut choose: impl FnMut(&[NotedLine], &mut Vec<(u64, u8)>)) -> Result<ChosenLines, Error> {
        let mut chosen = self.sorts.runs::<CHOSEN_BYTES>("chosen", SORT_BYTES)?;
        let mut noted = self.noted.finish()?;
        let (mut of_file, mut picked) = (Vec::new(), Vec::new());
        let mut digest = [0; DIGEST_BYTES];
        loop {
            let next = noted.next()?;
            if next.is_none_or(|record| record[..DIGEST_BYTES] != digest) {
                if !of_file.is_empty() {
                    choose(&of_file, &mut picked);
                    of_file.clear();
                }
                for (line, mark) in picked.drain(..) {
                    chosen.push(chosen_record(line, mark))?;
                }
            }
            let Some(record) = next else { break };
            digest.copy_from_slice(&record[..DIGEST_BYTES]);
            of_file.push(NotedLine { line: number(&record[16..]), mark: record[24], about: number(&record[25..]) });
        }
        Ok(ChosenLines { merged: chosen.finish()?, next: None })
    }
}

fn chosen_record(line: u64, mark: u8) -> [u8; CHOSEN_BYTES] {
    let mut record = [mark; CHOSEN_BYTES];
    record[..8].copy_from_slice(&line.to_be_bytes());
    record
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("records are fixed in width"))
}

/// The second pass: the lines that were chosen.
pub struct ChosenLines {
    merged: Merged<CHOSEN_BYTES>,
    next: Option<[u8; CHOSEN_BYTES]>,
}

impl ChosenLines {
    /// Returns the mark of a line, or `None` if it was not chosen. Lines must be asked for in ascending order.
    pub fn mark(&mut self, line: u64) -> Result<Option<u8>, Error> {
        loop {
            let Some(record) = self.next.take().map_or_else(|| self.merged.next(), |record| Ok(Some(record)))? else {
                return Ok(None);
            };
            let chosen = number(&record);
            if chosen == line {
                return Ok(Some(record[8]));
            }
            if chosen > line {
                self.next = Some(record);
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::durable::{Disk, SimulatedDisk};

    #[test]
    fn lines_are_grouped_by_file_and_chosen_lines_come_in_order() {
        let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::with_directories(&[Path::new("/")]));
        let sorts = SortSpace::create(&disk, "/sort".into()).unwrap();
        let mut by_file = LedgerByFile::new(&sorts).unwrap();
        // More than the memory of a sort holds.
        let lines = SORT_BYTES / NOTED_BYTES as u64 * 2;
        let files = 1000;
        for line in 1..=lines {
            let file = format!("f{}", line % files);
            by_file.note(Path::new(&file), NotedLine { line, mark: (line % 7) as u8, about: line / 2 }).unwrap();
        }
        let mut groups = 0;
        let choose = |of_file: &[NotedLine], picked: &mut Vec<(u64, u8)>| {
            groups += 1;
            assert!(of_file.windows(2).all(|pair| pair[0].line + files == pair[1].line));
            assert!(of_file.iter().all(|noted| noted.about == noted.line / 2));
            picked.extend(of_file.iter().skip(1).map(|noted| (noted.line, noted.mark)));
        };
        let mut chosen = by_file.choose(choose).unwrap();
        assert_eq!(groups, files);
        for line in (1..=lines + 1).filter(|line| line % 3 > 0) {
            let expected = (line > files && line <= lines).then_some((line % 7) as u8);
            assert_eq!(chosen.mark(line).unwrap(), expected, "line {line}");
        }
    }
}
