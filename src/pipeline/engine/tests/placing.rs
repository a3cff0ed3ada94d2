//! The stage that places several batches at once.

use super::*;

/// Places like [`Toy`], after `before` has run on the set, and remembers how large the sets are.
struct HookedPlacing<'a, F> {
    toy: &'a Toy,
    before: F,
    sets: Mutex<Vec<usize>>,
}

impl<F: Fn(&[Vec<u64>]) + Sync> Placing for HookedPlacing<'_, F> {
    type Input = Vec<u64>;
    type Output = Vec<u64>;
    type Error = Site;

    fn place(&self, batches: Vec<Vec<u64>>) -> Result<Vec<Vec<u64>>, Site> {
        (self.before)(&batches);
        self.sets.lock().push(batches.len());
        self.toy.place(batches)
    }
}

fn run_hooked(
    toy: &Toy,
    before_convert: impl Fn(&[u64]) -> Result<(), Site> + Sync,
    before_place: impl Fn(&[Vec<u64>]) + Sync,
    observer: &dyn Observer,
) -> (Result<Ended, Site>, Vec<u64>, Vec<usize>) {
    let mut store = Store::default();
    let mut writer = ToyWriter { toy, store: &mut store };
    let (reader, converter) = (ToyReader { toy, next: 0 }, Hooked { toy, before: before_convert });
    let placing = HookedPlacing { toy, before: before_place, sets: Mutex::default() };
    let control = Control { stop: &toy.stop, observer };
    let result = run_placing(reader, &converter, &placing, &mut writer, &toy.options(), &control);
    (result, store.written, placing.sets.into_inner())
}

#[test]
fn what_comes_while_a_set_is_placed_is_placed_together() {
    let toy = Toy::default();
    let waits_for_the_reader = |batches: &[Vec<u64>]| {
        // The reader waits for memory only after the next set has taken what it may.
        spin_until(|| batches[0][0] > 1 || toy.budget.waits().count > 0);
    };
    let (result, written, sets) = run_hooked(&toy, |_| Ok(()), waits_for_the_reader, &Silent);
    assert_eq!((result, written), (Ok(Ended::Complete), toy.output()));
    assert_eq!(sets.iter().sum::<usize>(), 100);
    assert!(sets[1] > 1, "{sets:?}");
    assert!(toy.budget.peak_bytes() <= 2000);
}

/// Remembers that a batch was written.
#[derive(Default)]
struct Written(AtomicU64);

impl Observer for Written {
    fn observe(&self, event: &Event) {
        if let Event::BatchWritten { .. } = event {
            self.0.fetch_add(1, Ordering::Release);
        }
    }
}

#[test]
fn a_batch_that_no_other_follows_is_placed_before_the_end() {
    let (toy, written) = (Toy { workers: 1, ..Toy::default() }, Written::default());
    let waits = |batch: &[u64]| {
        spin_until(|| batch[0] == 0 || written.0.load(Ordering::Acquire) > 0);
        Ok(())
    };
    let (result, output, _) = run_hooked(&toy, waits, |_| {}, &written);
    assert_eq!((result, output), (Ok(Ended::Complete), toy.output()));
}

#[test]
fn a_set_that_fails_wins_over_a_later_batch_that_failed_before() {
    let fault = Some(Fault { site: Site::Place(5), panics: false });
    let (toy, later_failures) = (Toy { fault, ..Toy::default() }, AtomicU64::new(0));
    let fails_later = |batch: &[u64]| {
        if batch[0] == 20 {
            later_failures.store(1, Ordering::Release);
            return Err(Site::Convert(20));
        }
        Ok(())
    };
    let waits = |_: &[Vec<u64>]| spin_until(|| later_failures.load(Ordering::Acquire) > 0);
    let (result, written, _) = run_hooked(&toy, fails_later, waits, &Silent);
    assert_eq!((result, written), (Err(Site::Place(5)), Vec::new()));
}
