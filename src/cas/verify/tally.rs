//! Counts faults by kind and keeps the first ones.

use std::collections::BTreeMap;

use super::fault::{FaultKind, FaultSeverity, VerifyFault};

/// Most errors that are kept, and most warnings; further ones are only counted.
pub const FAULTS_KEPT_MAX: usize = 10_000;

/// Faults by kind. Memory is bounded, however many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Tally {
    counts: BTreeMap<FaultKind, u64>,
    errors: Vec<VerifyFault>,
    warnings: Vec<VerifyFault>,
}

impl Tally {
    /// Counts a fault and keeps it if there is room.
    pub fn add(&mut self, fault: VerifyFault) {
        *self.counts.entry(fault.kind).or_default() += 1;
        self.keep(fault);
    }

    /// Adds the faults of another part of the store.
    pub fn merge(&mut self, other: Self) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        other.errors.into_iter().chain(other.warnings).for_each(|fault| self.keep(fault));
    }

    /// Drops all faults except those of some kinds.
    pub fn retain(&mut self, is_kept: impl Fn(FaultKind) -> bool) {
        self.counts.retain(|kind, _| is_kept(*kind));
        self.errors.retain(|fault| is_kept(fault.kind));
        self.warnings.retain(|fault| is_kept(fault.kind));
    }

    /// Returns the first fault of a kind that was kept.
    pub fn first(&self, kind: FaultKind) -> Option<&VerifyFault> {
        self.errors.iter().chain(&self.warnings).find(|fault| fault.kind == kind)
    }

    /// Returns the number of errors.
    pub fn errors(&self) -> u64 {
        self.count_of(FaultSeverity::Error)
    }

    /// Returns the number of warnings.
    pub fn warnings(&self) -> u64 {
        self.count_of(FaultSeverity::Warning)
    }

    /// Returns the faults by name.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        self.counts.iter().map(|(kind, count)| (kind.name(), *count)).collect()
    }

    /// Returns the faults that were kept, [`FAULTS_KEPT_MAX`] at most: errors first, each by path.
    pub fn into_kept(self) -> Vec<VerifyFault> {
        let mut kept: Vec<_> = self.errors.into_iter().chain(self.warnings).collect();
        kept.sort_by(|a, b| (a.severity(), &a.path, a.kind).cmp(&(b.severity(), &b.path, b.kind)));
        kept.truncate(FAULTS_KEPT_MAX);
        kept
    }

    fn count_of(&self, severity: FaultSeverity) -> u64 {
        self.counts.iter().filter(|(kind, _)| kind.severity() == severity).map(|(_, count)| count).sum()
    }

    fn keep(&mut self, fault: VerifyFault) {
        let kept = if fault.is_error() { &mut self.errors } else { &mut self.warnings };
        if kept.len() < FAULTS_KEPT_MAX {
            kept.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind, path: &str) -> VerifyFault {
        VerifyFault::new(kind, path.into(), None, "")
    }

    #[test]
    fn all_are_counted_and_errors_kept_before_warnings() {
        let mut tally = Tally::default();
        for number in 0..FAULTS_KEPT_MAX + 5 {
            tally.add(fault(FaultKind::ForeignName, &format!("{number:06}")));
        }
        let mut other = Tally::default();
        other.add(fault(FaultKind::NotIndexed, "z"));
        other.add(fault(FaultKind::Misplaced, "a"));
        tally.merge(other);
        assert_eq!((tally.errors(), tally.warnings()), (2, FAULTS_KEPT_MAX as u64 + 5));
        assert_eq!(tally.by_name()[FaultKind::NotIndexed.name()], 1);
        let names: Vec<_> = tally.by_name().into_iter().collect();
        assert_eq!(names, [("foreign-name", FAULTS_KEPT_MAX as u64 + 5), ("misplaced", 1), ("not-indexed", 1)]);
        let mut layout = tally.clone();
        layout.retain(|kind| kind == FaultKind::Misplaced);
        assert_eq!((layout.errors(), layout.warnings(), layout.into_kept().len()), (1, 0, 1));
        let kept = tally.into_kept();
        assert_eq!(kept.len(), FAULTS_KEPT_MAX);
        assert_eq!([&kept[0].path, &kept[1].path, &kept[2].path], ["a", "z", "000000"]);
    }
}
