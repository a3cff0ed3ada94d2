//! What every request answers from: the migrations at one moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use parking_lot::Mutex;
use serde::Serialize;

use crate::migration::{escaped_json, now_text};
use crate::observe::MigrationState;
use crate::observe::found::{Found, Walked, Watcher};
use crate::observe::metrics::{Format, MetricsPrefix, Scraped, text};

/// All migrations at one moment. Texts that every client gets are made once.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Grows by one with each snapshot.
    pub number: u64,
    /// When it was made, as RFC 3339 in UTC.
    pub at: String,
    /// The migrations, in the order of their paths.
    pub rows: Vec<Row>,
    /// What could not be looked at, for people.
    pub remarks: Vec<String>,
    /// Migrations in the snapshot before.
    rows_before: usize,
    list: OnceLock<Bytes>,
    news: OnceLock<Bytes>,
    /// Of thousands of migrations it is long, so the text of one format is kept.
    metrics: Mutex<Option<(Format, Bytes)>>,
}

/// A migration in a snapshot.
#[derive(Debug, Clone)]
pub struct Row {
    /// The migration.
    pub found: Arc<Found>,
    /// The snapshot with which it last changed.
    pub changed: u64,
}

impl Snapshot {
    /// Looks again, and returns the snapshot that comes after this one.
    pub fn next(&self, watcher: &mut Watcher) -> Self {
        let number = self.number + 1;
        let earlier: BTreeMap<_, _> = self.rows.iter().map(|row| (&row.found.path, row)).collect();
        let row = |found: Arc<Found>| {
            let same = earlier.get(&found.path).filter(|row| Arc::ptr_eq(&row.found, &found));
            Row { changed: same.map_or(number, |row| row.changed), found }
        };
        let rows = watcher.look().into_iter().map(row).collect();
        let (remarks, rows_before) = (remarks(watcher.walked()), self.rows.len());
        Self { number, at: now_text(), rows, remarks, rows_before, ..Self::default() }
    }

    /// Returns the migration of this id.
    pub fn find(&self, id: &str) -> Option<&Found> {
        self.rows.iter().map(|row| &*row.found).find(|found| found.id == id)
    }

    /// Returns how many there are in each state.
    pub fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states: BTreeMap<_, _> = MigrationState::ALL.map(|state| (state.name(), 0)).into();
        self.rows.iter().for_each(|row| *states.entry(row.found.state.name()).or_default() += 1);
        states
    }

    /// Returns all of them as a JSON array.
    pub fn list(&self) -> Bytes {
        let rows = || self.rows.iter().map(|row| &*row.found).collect::<Vec<_>>();
        self.list.get_or_init(|| json(&rows())).clone()
    }

    /// Returns true if something has changed since the snapshot of a number, or is under way.
    pub fn has_news_since(&self, number: u64) -> bool {
        self.rows.len() != self.rows_before
            || self.rows.iter().any(|row| row.changed > number || row.found.state == MigrationState::Running)
    }

    /// Returns what has changed since the snapshot of a number, as events of a stream.
    pub fn news_since(&self, number: u64) -> Bytes {
        if number + 1 == self.number {
            return self.news.get_or_init(|| self.events(number)).clone();
        }
        self.events(number)
    }

    fn events(&self, since: u64) -> Bytes {
        #[derive(Serialize)]
        struct Summary<'a> {
            at: &'a str,
            migrations: usize,
            states: BTreeMap<&'static str, usize>,
        }
        let summary = Summary { at: &self.at, migrations: self.rows.len(), states: self.states() };
        let mut text = event("summary", self.number, &summary);
        for row in self.rows.iter().filter(|row| row.changed > since || row.found.state == MigrationState::Running) {
            text += &event("progress", self.number, &*row.found);
        }
        text.into()
    }

    /// Returns the metrics of all of them.
    pub fn metrics(&self, prefix: &MetricsPrefix, format: Format) -> Bytes {
        let scraped = || Scraped { runs: self.rows.iter().map(|row| row.found.metrics.clone()).collect() };
        let mut kept = self.metrics.lock();
        if let Some((_, text)) = kept.as_ref().filter(|(of, _)| *of == format) {
            return text.clone();
        }
        // The other one goes before this one is made.
        *kept = None;
        let made = Bytes::from(text(&scraped(), prefix.as_str(), format));
        *kept = Some((format, made.clone()));
        made
    }
}

/// Returns an event of a stream. A document of one line has no line end, so nothing in it ends the event.
fn event(name: &str, number: u64, document: &impl Serialize) -> String {
    let text = serde_json::to_string(document).expect("plain data always serialises");
    format!("event: {name}\nid: {number}\ndata: {}\n\n", escaped_json(&text))
}

/// Returns a document as text.
pub fn json(document: &impl Serialize) -> Bytes {
    let text = serde_json::to_string(document).expect("plain data always serialises");
    match escaped_json(&text) {
        Cow::Borrowed(_) => text.into(),
        Cow::Owned(escaped) => escaped.into(),
    }
}

fn remarks(walked: &Walked) -> Vec<String> {
    let mut remarks = walked.problems.clone();
    let more = walked.unreadable.saturating_sub(remarks.len());
    if more > 0 {
        remarks.push(format!("{more} more directories cannot be listed"));
    }
    if walked.is_cut {
        remarks.push("there are too many directories; not all of them were looked at".into());
    }
    remarks
}
