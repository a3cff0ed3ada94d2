//! Values of one family.

use crate::observe::live::{BUCKET_SECONDS, StageSummary};

/// One value, with what its own labels say.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Values of [`Family::labels`](super::Family::labels), in their order.
    pub labels: Vec<String>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// Any number.
    Number(f64),
    /// The labels say it all.
    Info,
    /// Times of a stage.
    Times(Times),
}

/// A histogram of times.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Times {
    /// All times together, in seconds.
    pub sum_seconds: f64,
    /// How many there are.
    pub count: u64,
    /// Upper bounds, with how many times lie between one and the bound before it.
    pub buckets: Vec<(f64, u64)>,
}

impl Times {
    /// Returns the times of a stage. What another process has written may be of any length and in any order, so nothing
    /// is taken for granted: no bucket holds fewer times than the one before it, and none more than there are.
    pub fn of(stage: &StageSummary) -> Self {
        let (mut buckets, mut before) = (Vec::with_capacity(BUCKET_SECONDS.len() + 1), 0);
        for (at, bound) in BUCKET_SECONDS.into_iter().enumerate() {
            let up_to = stage.buckets.get(at).copied().unwrap_or(before).clamp(before, stage.count.max(before));
            buckets.push((bound, up_to - before));
            before = up_to;
        }
        buckets.push((f64::INFINITY, stage.count.saturating_sub(before)));
        Self { sum_seconds: stage.sum_seconds, count: stage.count, buckets }
    }
}

/// Samples of one family and one run.
pub type Samples = Vec<Sample>;

/// Returns the sample of a number that is known and finite.
pub fn number(value: Option<f64>) -> Samples {
    value
        .filter(|value| value.is_finite())
        .map(|value| Sample { labels: vec![], value: Value::Number(value) })
        .into_iter()
        .collect()
}

/// Returns the sample of a whole number that is known.
pub fn whole(value: Option<u64>) -> Samples {
    value.map(|value| Sample { labels: vec![], value: Value::Whole(value) }).into_iter().collect()
}

/// Returns a sample for each label and whole number.
pub fn wholes<'a>(values: impl IntoIterator<Item = (&'a str, u64)>) -> Samples {
    let sample = |(label, value): (&str, u64)| Sample { labels: vec![label.to_owned()], value: Value::Whole(value) };
    values.into_iter().map(sample).collect()
}

/// Returns a sample for each label and finite number.
pub fn numbers<'a>(values: impl IntoIterator<Item = (&'a str, f64)>) -> Samples {
    let finite = values.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(label, value)| Sample { labels: vec![label.to_owned()], value: Value::Number(value) }).collect()
}

/// Returns the sample of a stage.
pub fn times(labels: Vec<String>, stage: &StageSummary) -> Sample {
    Sample { labels, value: Value::Times(Times::of(stage)) }
}
