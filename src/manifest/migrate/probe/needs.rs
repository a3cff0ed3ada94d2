//! What a migration of a tree takes on its disk: a new file for each manifest that is written, its backup, a line of the
//! ledger, and the state of the run. How many manifests are written shows only when they are read, so that is estimated
//! from a sample, with a margin for what a sample does not show.

use std::path::Path;

use crate::manifest::document::checksum::hex;
use crate::manifest::document::version::Version;
use crate::manifest::migrate::evaluate::BLOCK_BYTES;
use crate::manifest::migrate::ledger::{LedgerEntry, LedgerLine, WrittenFile, file_text};
use crate::manifest::migrate::space_needed::NeededSums;
use crate::manifest::tree::file_names::backup_name;
use crate::migration::Finding;

/// The state of a run besides its ledger and its findings: lock, plan, two checkpoints, journal, and the report of a long run
/// with its page.
const RUN_DIRECTORY_BYTES: u64 = 160 << 10;
/// Files and the directory of that state.
const RUN_DIRECTORY_INODES: u64 = 16;
/// A sample shows no less than the truth by this many standard errors in 49 of 50 cases.
const STANDARD_ERRORS: f64 = 2.0;
/// The number that stands in for those of ledger lines: no ledger is so long that its numbers have more digits.
const LINE_NUMBER: u64 = 9_999_999;

/// What the migration of one manifest takes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Taken {
    /// Bytes of new files, in whole blocks.
    file_bytes: f64,
    /// Bytes of backups that are second names of the old file, in whole blocks: a clean-up gives them back.
    freed_bytes: f64,
    /// Bytes of backups that are copies.
    copied_bytes: f64,
    /// Bytes of lines in the ledger and in the findings.
    line_bytes: f64,
    /// Bytes of the line that a clean-up adds.
    clean_line_bytes: f64,
    inodes: f64,
    names: f64,
    /// True if a run refuses it.
    pub(super) is_refused: bool,
}

impl Taken {
    /// Returns true if the manifest is replaced.
    pub(super) fn is_written(&self) -> bool {
        self.inodes > 0.0
    }

    /// Returns what is taken for a manifest of this length, if it needs `sums` and has these findings.
    pub(super) fn of(
        file: &Path,
        len_bytes: u64,
        sums: &NeededSums,
        (findings, is_refused): (&[Finding], bool),
        run_id: &str,
    ) -> Self {
        let finding_bytes = |finding: &Finding| serde_json::to_vec(finding).map_or(0, |line| line.len() + 1);
        let mut line_bytes = findings.iter().map(finding_bytes).sum::<usize>();
        let mut taken = Self { is_refused, ..Self::default() };
        if let Some(bytes_of_one) = sums.bytes.checked_div(sums.inodes) {
            let is_copied = sums.links == 0;
            let old_bytes = len_bytes.next_multiple_of(BLOCK_BYTES) as f64;
            taken.file_bytes = bytes_of_one as f64;
            (taken.freed_bytes, taken.copied_bytes) = if is_copied { (0.0, old_bytes) } else { (old_bytes, 0.0) };
            (taken.inodes, taken.names) = (sums.inodes as f64, sums.links as f64);
            line_bytes += line_len(run_id, LedgerEntry::Written(written(file)));
            let removed = LedgerEntry::Removed { file: file_text(file), line: LINE_NUMBER };
            taken.clean_line_bytes = line_len(run_id, removed) as f64;
        }
        taken.line_bytes = line_bytes as f64;
        taken
    }
}

fn written(file: &Path) -> WrittenFile {
    let name = file.file_name().unwrap_or_default();
    let (digest, version) = ([0; 32], Version::FIRST);
    WrittenFile {
        file: file_text(file),
        from: version.to_string(),
        to: version.to_string(),
        before: hex(&digest),
        after: hex(&digest),
        backup: file_text(Path::new(&backup_name(name, version, &digest))),
        mode: "644".to_owned(),
    }
}

fn line_len(run_id: &str, entry: LedgerEntry) -> usize {
    let line = LedgerLine { number: LINE_NUMBER, previous: hex(&[0; 32]), run: run_id.to_owned(), entry };
    serde_json::to_vec(&line).map_or(0, |line| line.len() + 1)
}

/// What the whole takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WholeNeeds {
    /// At most.
    pub(super) bytes: u64,
    /// After backups are removed.
    pub(super) bytes_after_clean: u64,
    /// Files and directories.
    pub(super) inodes: u64,
}

impl WholeNeeds {
    /// Returns what `manifests` take, of which `taken` was drawn. `names_take_inodes` where a further name of a file does.
    pub(super) fn of(manifests: u64, taken: &[Taken], names_take_inodes: bool) -> Self {
        let whole = |of: &dyn Fn(&Taken) -> f64| upper(manifests, taken.iter().map(of));
        let bytes = whole(&|taken| taken.file_bytes + taken.copied_bytes + taken.line_bytes);
        let after_clean =
            whole(&|taken| taken.file_bytes - taken.freed_bytes + taken.line_bytes + taken.clean_line_bytes);
        let names = if names_take_inodes { whole(&|taken| taken.names) } else { 0.0 };
        let in_blocks = |bytes: f64| (bytes.max(0.0) as u64).next_multiple_of(BLOCK_BYTES) + RUN_DIRECTORY_BYTES;
        Self {
            bytes: in_blocks(bytes),
            bytes_after_clean: in_blocks(after_clean),
            inodes: (whole(&|taken| taken.inodes) + names).ceil() as u64 + RUN_DIRECTORY_INODES,
        }
    }
}

/// Returns what `whole` of them come to at most, as far as a sample of their values shows.
fn upper(whole: u64, sample: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = sample.clone().count() as f64;
    if count == 0.0 {
        return 0.0;
    }
    let whole = whole as f64;
    let mean = sample.clone().sum::<f64>() / count;
    let variance = sample.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let unseen = (1.0 - count / whole).max(0.0);
    whole * (mean + STANDARD_ERRORS * (variance * unseen / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_all_is_exact_and_one_of_a_part_has_a_margin() {
        let values = [0.0, 4096.0, 4096.0, 8192.0];
        assert_eq!(upper(4, values.into_iter()), 16384.0);
        let of_part = upper(400, values.into_iter());
        assert!(of_part > 100.0 * 16384.0, "{of_part}");
        assert_eq!(upper(400, [4096.0; 4].into_iter()), 400.0 * 4096.0, "values that do not differ need no margin");
        assert_eq!(upper(0, [].into_iter()), 0.0);
    }

    #[test]
    fn backups_that_are_names_are_given_back_and_copies_take_space() {
        let file = Path::new("artifacts/job/run/manifest.json");
        let of = |sums| Taken::of(file, 3000, &sums, (&[], false), "run");
        let linked = of(NeededSums { bytes: 4096, inodes: 1, links: 1 });
        let copied = of(NeededSums { bytes: 8192, inodes: 2, links: 0 });
        assert_eq!((linked.file_bytes, linked.freed_bytes, linked.copied_bytes), (4096.0, 4096.0, 0.0));
        assert_eq!((copied.file_bytes, copied.freed_bytes, copied.copied_bytes), (4096.0, 0.0, 4096.0));
        assert_eq!(of(NeededSums::default()), Taken::default(), "a manifest that is not written takes nothing");
        let whole = |taken: Taken, names_take_inodes| WholeNeeds::of(1000, &[taken; 10], names_take_inodes);
        assert_eq!(whole(linked, false).inodes, 1000 + RUN_DIRECTORY_INODES);
        assert_eq!(whole(linked, true).inodes, 2000 + RUN_DIRECTORY_INODES);
        assert_eq!(whole(copied, true).inodes, 2000 + RUN_DIRECTORY_INODES);
        assert!(whole(linked, false).bytes_after_clean < whole(linked, false).bytes - 1000 * 3000);
    }
}
