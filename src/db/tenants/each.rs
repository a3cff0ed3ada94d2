//! Work on each tenant, several at a time.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::tenant::Tenant;
use crate::pipeline::{Control, Event, Observer, start_thread};

/// The most sessions that haul opens unless it is asked for more: servers have few.
const JOBS_BY_DEFAULT_MAX: usize = 16;

/// How the work on tenants is shared out.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// How many are worked on at a time, each in a session.
    pub jobs: NonZeroUsize,
    /// How many may fail before no other is begun; `None` is no limit.
    pub failures_max: Option<NonZeroU64>,
}

/// Returns how many tenants are worked on at a time unless the user says so.
pub fn jobs_by_default() -> NonZeroUsize {
    let available = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(JOBS_BY_DEFAULT_MAX).map_or(available, |most| available.min(most))
}

/// Tells the observer of a run with tenants what the run of one tells.
struct OfTenant<'a> {
    name: &'a str,
    observer: &'a dyn Observer,
}

impl Observer for OfTenant<'_> {
    fn observe(&self, event: &Event) {
        let (tenant, name) = (self.name.to_owned(), self.name);
        self.observer.observe(&match event {
            Event::Note { text } => Event::Note { text: format!("{name}: {text}") },
            event => Event::OfTenant { tenant, inner: Box::new(event.clone()) },
        });
    }
}

/// Does `work` for each tenant, in their order as far as that is possible. Returns the results and how long each took,
/// in the order of the tenants; nothing for those that were not begun, because a stop was requested or too many had
/// failed.
pub(super) fn each<T: Send>(
    tenants: &[Tenant],
    share: Share,
    control: &Control<'_>,
    work: impl Fn(usize, &Tenant, &Control<'_>) -> T + Sync,
    has_failed: impl Fn(&T) -> bool + Sync,
) -> Vec<Option<(T, Duration)>> {
    let (next, failures) = (AtomicUsize::new(0), AtomicU64::new(0));
    let results = Mutex::new(tenants.iter().map(|_| None).collect::<Vec<_>>());
    let work_on_all = || {
        let is_over = || {
            control.stop.is_requested()
                || share.failures_max.is_some_and(|most| failures.load(Ordering::Relaxed) >= most.get())
        };
        while !is_over() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(tenant) = tenants.get(index) else { return };
            let observer = OfTenant { name: &tenant.name, observer: control.observer };
            let began = Instant::now();
            let result = work(index, tenant, &Control { stop: control.stop, observer: &observer });
            failures.fetch_add(has_failed(&result).into(), Ordering::Relaxed);
            results.lock()[index] = Some((result, began.elapsed()));
            control.progress(1, 0);
        }
    };
    thread::scope(|scope| {
        // Fewer threads than asked for do the same work: this one does its part.
        let others = share.jobs.get().min(tenants.len()).saturating_sub(1);
        let _started: Vec<_> =
            (0..others).map_while(|_| start_thread(scope, "haul-tenants", work_on_all).ok()).collect();
        work_on_all();
    });
    results.into_inner()
}
