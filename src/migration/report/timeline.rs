//! What an attempt was doing over time, in a bounded number of points.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::parts::TimelinePoint;
use crate::durable::system::rss_bytes;
use crate::pipeline::{Event, Observer};

/// Points of a timeline. When it is full, every second one goes.
const POINTS_MAX: usize = 600;
/// The first time between two points.
const INTERVAL: Duration = Duration::from_millis(100);

/// Takes a point from time to time, when an event comes.
#[derive(Debug)]
pub struct Timeline {
    began: Instant,
    records: AtomicU64,
    bytes: AtomicU64,
    budget: AtomicU64,
    due_ms: AtomicU64,
    points: Mutex<Points>,
}

#[derive(Debug)]
struct Points {
    taken: Vec<TimelinePoint>,
    interval: Duration,
}

impl Points {
    /// Adds a point, and returns how long to wait for the next one.
    fn add(&mut self, point: TimelinePoint) -> Duration {
        if self.taken.len() >= POINTS_MAX {
            let mut is_kept = false;
            self.taken.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.interval *= 2;
        }
        self.taken.push(point);
        self.interval
    }
}

impl Timeline {
    /// Returns the timeline of an attempt that begins now.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            budget: AtomicU64::new(0),
            due_ms: AtomicU64::new(0),
            points: Mutex::new(Points { taken: Vec::new(), interval: INTERVAL }),
        }
    }

    /// Returns the points, the last of them as of now.
    pub fn points(&self) -> Vec<TimelinePoint> {
        let mut points = self.points.lock();
        points.add(self.point(self.began.elapsed()));
        points.taken.clone()
    }

    fn point(&self, since: Duration) -> TimelinePoint {
        TimelinePoint {
            t: (since.as_secs_f64() * 1000.0).round() / 1000.0,
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            rss: rss_bytes().unwrap_or(0),
            budget: self.budget.load(Relaxed),
        }
    }

    fn take_if_due(&self) {
        let since = self.began.elapsed();
        let (now_ms, due_ms) = (since.as_millis() as u64, self.due_ms.load(Relaxed));
        // Of several threads that find a point due, one takes it.
        if now_ms < due_ms || self.due_ms.compare_exchange(due_ms, u64::MAX, Relaxed, Relaxed).is_err() {
            return;
        }
        let interval = self.points.lock().add(self.point(since));
        self.due_ms.store(now_ms + interval.as_millis() as u64, Relaxed);
    }
}

impl Observer for Timeline {
    fn observe(&self, event: &Event) {
        if let Event::BatchWritten { records, source_bytes, budget_in_use_bytes }
        | Event::Progressed { records, source_bytes, budget_in_use_bytes } = event
        {
            self.records.fetch_add(*records, Relaxed);
            self.bytes.fetch_add(*source_bytes, Relaxed);
            self.budget.store(*budget_in_use_bytes, Relaxed);
            self.take_if_due();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_has_more_points_than_it_may_and_covers_the_whole_time() {
        let mut points = Points { taken: Vec::new(), interval: INTERVAL };
        for number in 0..5_000_u64 {
            points.add(TimelinePoint { records: number, ..TimelinePoint::default() });
            assert!(points.taken.len() <= POINTS_MAX);
        }
        let records: Vec<_> = points.taken.iter().map(|point| point.records).collect();
        assert!(records.is_sorted() && records[0] == 0 && records.last() == Some(&4_999));
        assert!(points.taken.len() > POINTS_MAX / 2 && points.interval > INTERVAL);
    }

    #[test]
    fn its_end_is_what_was_gone_through() {
        let timeline = Timeline::start();
        for _ in 0..3 {
            timeline.observe(&Event::BatchWritten { records: 2, source_bytes: 20, budget_in_use_bytes: 9 });
        }
        timeline.observe(&Event::Progressed { records: 4, source_bytes: 0, budget_in_use_bytes: 5 });
        let points = timeline.points();
        let last = points.last().unwrap();
        assert_eq!((last.records, last.bytes, last.budget), (10, 60, 5));
        assert!(points.len() >= 2 && points[0].records == 2, "the first batch is a point: {points:?}");
        assert!(points.windows(2).all(|pair| pair[0].t <= pair[1].t));
    }
}
