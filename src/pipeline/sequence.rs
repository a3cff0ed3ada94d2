//! Puts what arrives in any order back into the order of its numbers.

use std::collections::BTreeMap;

/// Holds what came too early. Its size is bounded by whatever bounds the numbers in flight.
#[derive(Debug)]
pub(super) struct Sequence<T> {
    next: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Sequence<T> {
    /// Waits for number 0.
    pub(super) fn new() -> Self {
        Self { next: 0, early: BTreeMap::new() }
    }

    /// Takes the item with `number`, each number once.
    pub(super) fn push(&mut self, number: u64, item: T) {
        let former = self.early.insert(number, item);
        debug_assert!(number >= self.next && former.is_none(), "number {number} came twice");
    }

    /// The next item in order, if it has come.
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.early.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }

    /// How many items have been popped.
    pub(super) fn popped(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_order() {
        let mut sequence = Sequence::new();
        for number in [2, 0, 3] {
            sequence.push(number, number);
        }
        assert_eq!((sequence.pop(), sequence.pop()), (Some(0), None));
        sequence.push(1, 1);
        assert_eq!(std::iter::from_fn(|| sequence.pop()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(sequence.popped(), 4);
    }
}
