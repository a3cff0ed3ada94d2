//! Writes the metrics as text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::{Error, Result};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, LabelSetEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, prometheus_text, text as open_metrics};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::families::{FAMILIES, Family, FamilyType, Scope};
use super::run::{RunMetrics, Scraped};
use super::samples::{Sample, Value};
use crate::migration::escaped;

/// Longest value of a label, in bytes. File names are not longer, their escapes are.
const LABEL_BYTES_MAX: usize = 1024;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The text format 0.0.4 of Prometheus, which everything reads.
    #[default]
    Classic,
    /// The same for a file, without what is of the process: a collector scrapes the files of several runs as one, and
    /// the same sample twice is an error.
    File,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Returns the format that a client asks for: OpenMetrics if its `Accept` names it, else the classic text.
    pub fn accepted(accept: &str) -> Self {
        let mut ranges = accept.split(',').map(|range| range.split(';'));
        let asks = ranges.any(|mut parts| {
            let is_named =
                parts.next().is_some_and(|name| name.trim().eq_ignore_ascii_case("application/openmetrics-text"));
            is_named && !parts.any(|part| matches!(part.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        });
        if asks { Self::OpenMetrics } else { Self::Classic }
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic | Self::File => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Returns the metrics as text. Names of stores are shown as on a terminal: what cannot be seen is spelt out.
pub fn text(scraped: &Scraped, prefix: &str, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Writer::new(scraped, prefix, format)));
    let mut text = String::new();
    let written = match format {
        Format::Classic | Format::File => prometheus_text::encode(&mut text, &registry),
        Format::OpenMetrics => open_metrics::encode(&mut text, &registry),
    };
    written.expect("a string takes any text");
    text
}

/// Labels of one sample.
type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// Writes family by family, and keeps no sample: of thousands of runs they would need several times the memory of the text.
#[derive(Debug)]
struct Writer {
    runs: Vec<Arc<RunMetrics>>,
    /// The name of each run.
    names: Vec<String>,
    prefix: String,
    format: Format,
}

impl Writer {
    fn new(scraped: &Scraped, prefix: &str, format: Format) -> Self {
        let names = distinct_names(&scraped.runs);
        Self { runs: scraped.runs.clone(), names, prefix: prefix.to_owned(), format }
    }

    /// Returns the samples of a family.
    fn rows<'a>(&'a self, family: &'a Family) -> Box<dyn Iterator<Item = (Labels<'a>, Value)> + 'a> {
        if family.scope == Scope::Process {
            let row = (self.format != Format::File).then(|| (build_labels(family), Value::Info));
            return Box::new(row.into_iter());
        }
        let runs = self.runs.iter().zip(&self.names);
        let of_scope = runs.filter(|(run, _)| family.scope != Scope::Space || run.kind == "space");
        let samples = |(run, name): (&'a Arc<RunMetrics>, &'a String)| {
            (family.samples)(run).into_iter().map(|sample| row(family, run, name, sample))
        };
        Box::new(of_scope.flat_map(samples))
    }
}

fn build_labels(family: &Family) -> Labels<'static> {
    // A build from a checkout may name its commit; one from a registry cannot.
    let values = [Some(env!("CARGO_PKG_VERSION")), option_env!("HAUL_COMMIT")];
    family.labels.iter().zip(values).filter_map(|(label, value)| Some((*label, value?.into()))).collect()
}

fn row<'a>(family: &Family, run: &'a RunMetrics, name: &'a str, sample: Sample) -> (Labels<'a>, Value) {
    let kind = (family.scope != Scope::Space).then(|| shown(&run.kind));
    let own = sample.labels.iter().map(|value| Cow::Owned(shown(value).into_owned()));
    let names = family.scope.labels().iter().chain(family.labels).copied();
    (names.zip(kind.into_iter().chain([name.into()]).chain(own)).collect(), sample.value)
}

/// Returns the name of each run. Two samples with the same labels would make a scraper refuse everything, so stores of the
/// same kind and name also show their ids; after that a number, if even these are the same.
fn distinct_names(runs: &[Arc<RunMetrics>]) -> Vec<String> {
    let name = |run: &RunMetrics| (run.kind.clone(), shown(&run.migration).into_owned());
    let mut counts: HashMap<(String, String), usize> = HashMap::new();
    runs.iter().for_each(|run| *counts.entry(name(run)).or_default() += 1);
    let mut taken = HashSet::new();
    let mut distinct = |run: &RunMetrics| {
        let (kind, short) = name(run);
        let is_alone = counts[&(kind.clone(), short.clone())] == 1;
        let long = if is_alone || run.id.is_empty() { short } else { format!("{short}@{}", shown(&run.id)) };
        let numbered = (2..).map(|number| format!("{long}#{number}"));
        let free =
            std::iter::once(long.clone()).chain(numbered).find(|name| !taken.contains(&(kind.clone(), name.clone())));
        let free = free.expect("numbers do not end");
        taken.insert((kind, free.clone()));
        free
    };
    runs.iter().map(|run| distinct(run)).collect()
}

/// Returns the text as a terminal can show it, cut if it is very long.
fn shown(text: &str) -> Cow<'_, str> {
    let shown = escaped(text);
    if shown.len() <= LABEL_BYTES_MAX {
        return shown;
    }
    let end = (0..=LABEL_BYTES_MAX).rev().find(|&at| shown.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", &shown[..end]).into()
}

impl Collector for Writer {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result {
        for family in &FAMILIES {
            let mut rows = self.rows(family).peekable();
            if rows.peek().is_none() {
                continue;
            }
            let (name, family_type) = (family.base_name(&self.prefix), family.family_type);
            let mut metric = encoder.encode_descriptor(&name, family.help, None, metric_type(family_type))?;
            for (labels, value) in rows {
                let labels = LabelsOf(&labels);
                match value {
                    // The encoder of this type takes labels of its own.
                    Value::Info => metric.encode_info(&labels)?,
                    value => write_value(metric.encode_family(&labels)?, family_type, &value)?,
                }
            }
        }
        Ok(())
    }
}

fn metric_type(family_type: FamilyType) -> MetricType {
    match family_type {
        FamilyType::Counter => MetricType::Counter,
        FamilyType::Gauge => MetricType::Gauge,
        FamilyType::Histogram => MetricType::Histogram,
        FamilyType::Info => MetricType::Info,
    }
}

fn write_value(mut metric: MetricEncoder<'_>, family_type: FamilyType, value: &Value) -> Result {
    match (family_type, value) {
        (FamilyType::Counter, Value::Whole(count)) => metric.encode_counter::<NoLabelSet, _, u64>(count, None),
        (FamilyType::Counter, Value::Number(sum)) => metric.encode_counter::<NoLabelSet, _, u64>(sum, None),
        (FamilyType::Gauge, Value::Whole(count)) => metric.encode_gauge(count),
        (FamilyType::Gauge, Value::Number(number)) => metric.encode_gauge(number),
        (FamilyType::Histogram, Value::Times(times)) => {
            metric.encode_histogram::<NoLabelSet>(times.sum_seconds, times.count, &times.buckets, None)
        }
        // The table of families has no such pair, as a test shows.
        _ => Err(Error),
    }
}

/// Labels of a sample, as the encoder takes them.
struct LabelsOf<'a>(&'a Labels<'a>);

impl EncodeLabelSet for LabelsOf<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> Result {
        self.0.iter().try_for_each(|(name, value)| (*name, &**value).encode(encoder.encode_label()))
    }
}
