//! A report as everything that shows one needs it: of any version, with what is missing left out, and in bounded memory
//! however many findings it has.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::migration::report::parts::{
    Attempt, Environment, Grade, HaulVersion, Next, Peaks, PhaseReport, Settings, StageReport, TimelinePoint,
};

/// Findings that are shown one by one.
pub(crate) const FINDINGS_SHOWN_MAX: usize = 200;
/// Reasons that are counted by themselves.
const REASONS_MAX: usize = 100;
/// Points of a timeline that are drawn, and attempts that are listed.
const POINTS_MAX: usize = 2_000;
/// Stands for the reasons that are not counted by themselves.
pub(crate) const OTHER_REASONS: &str = "other reasons";

/// The part of a report that is read for its head. Findings begin before it.
const HEAD_BYTES_MAX: u64 = 1 << 20;
/// Where the findings begin. Nothing in a report has a line end but between its fields.
const FINDINGS: &[u8] = b"\n  \"findings\": [";

/// What a report says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub report_version: u32,
    pub run_id: String,
    pub noun: String,
    pub outcome: String,
    pub source: String,
    pub target: String,
    pub records_read: u64,
    pub counts: Pairs,
    pub source_bytes: Pairs,
    pub target_bytes: u64,
    pub duration_ms: u64,
    pub findings_count: Pairs,
    #[serde(deserialize_with = "if_known")]
    pub haul: Option<HaulVersion>,
    #[serde(deserialize_with = "known_items")]
    pub attempts: Vec<Attempt>,
    #[serde(deserialize_with = "if_known")]
    pub settings: Option<Settings>,
    #[serde(deserialize_with = "if_known")]
    pub environment: Option<Environment>,
    #[serde(deserialize_with = "known_items")]
    pub phases: Vec<PhaseReport>,
    #[serde(deserialize_with = "if_known")]
    pub stages: Option<BTreeMap<String, StageReport>>,
    #[serde(deserialize_with = "if_known")]
    pub peaks: Option<Peaks>,
    #[serde(deserialize_with = "known_items")]
    pub timeline: Vec<TimelinePoint>,
    pub written: Pairs,
    #[serde(deserialize_with = "if_known")]
    pub grade: Option<Grade>,
    #[serde(deserialize_with = "if_known")]
    pub next: Option<Next>,
    pub findings: Findings,
}

impl Document {
    /// Reads a report.
    pub(crate) fn read(report: impl Read) -> Result<Self, serde_json::Error> {
        let document: Self = serde_json::from_reader(report)?;
        // A list would pass for an object without fields.
        if document.run_id.is_empty() {
            return Err(serde::de::Error::missing_field("run_id"));
        }
        Ok(document)
    }

    /// Reads a report up to its findings, which may be many.
    pub(crate) fn read_head(report: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        report.take(HEAD_BYTES_MAX).read_to_end(&mut bytes)?;
        if let Some(at) = memchr::memmem::find(&bytes, FINDINGS) {
            bytes.truncate(at + FINDINGS.len());
            bytes.extend_from_slice(b"]}");
        }
        Ok(Self::read(&*bytes)?)
    }

    /// Returns the seconds that all attempts took.
    pub(crate) fn seconds(&self) -> f64 {
        if self.attempts.is_empty() {
            return self.duration_ms as f64 / 1000.0;
        }
        self.attempts.iter().map(|attempt| attempt.seconds).sum()
    }
}

/// Returns a part of a report, or `None` if this version does not know its shape: the rest is worth showing.
fn if_known<'de, D: Deserializer<'de>, T: DeserializeOwned>(part: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(part)?).ok())
}

/// Returns the items of a list that this version knows the shape of.
fn known_items<'de, D: Deserializer<'de>, T: DeserializeOwned>(list: D) -> Result<Vec<T>, D::Error> {
    struct Items<T>(std::marker::PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element::<Value>()? {
                if items.len() < POINTS_MAX
                    && let Ok(item) = serde_json::from_value(item)
                {
                    items.push(item);
                }
            }
            Ok(items)
        }
    }
    list.deserialize_any(Items(std::marker::PhantomData))
}

/// Names with numbers, in the order of the file. Whatever is no number is left out.
#[derive(Debug, Default)]
pub(crate) struct Pairs(pub Vec<(String, u64)>);

impl Pairs {
    /// Returns the number of a name.
    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|pair| pair.0 == name).map(|pair| pair.1)
    }

    /// Returns them in the order of their names.
    pub(crate) fn by_name(&self) -> BTreeMap<String, u64> {
        self.0.iter().cloned().collect()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(pairs: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names with numbers")
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    pairs.extend(value.as_u64().map(|value| (name, value)));
                    pairs.truncate(REASONS_MAX);
                }
                Ok(Pairs(pairs))
            }
        }
        pairs.deserialize_any(InOrder)
    }
}

/// The findings: some of them, and the number of the others by reason.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub shown: Vec<ShownFinding>,
    pub rest_by_reason: BTreeMap<String, u64>,
}

/// A finding.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ShownFinding {
    pub severity: String,
    pub file: String,
    pub offset: u64,
    pub reason: String,
    pub id: Option<Value>,
}

impl<'de> Deserialize<'de> for Findings {
    fn deserialize<D: Deserializer<'de>>(findings: D) -> Result<Self, D::Error> {
        struct Some200;

        impl<'de> Visitor<'de> for Some200 {
            type Value = Findings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of findings")
            }

            fn visit_unit<E>(self) -> Result<Findings, E> {
                Ok(Findings::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Findings, A::Error> {
                let mut findings = Findings::default();
                while findings.shown.len() < FINDINGS_SHOWN_MAX {
                    match list.next_element()? {
                        Some(finding) => findings.shown.push(finding),
                        None => return Ok(findings),
                    }
                }
                while let Some(finding) = list.next_element::<ShownFinding>()? {
                    findings.count(finding.reason);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(findings)
            }
        }
        findings.deserialize_any(Some200)
    }
}

impl Findings {
    fn count(&mut self, reason: String) {
        let known = self.rest_by_reason.len() < REASONS_MAX || self.rest_by_reason.contains_key(&reason);
        let reason = if known { reason } else { OTHER_REASONS.to_owned() };
        *self.rest_by_reason.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        Document::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn findings_beyond_the_first_are_counted_by_reason() {
        let finding =
            |at: u64, reason: &str| format!(r#"{{"severity":"refused","file":"f","offset":{at},"reason":"{reason}"}}"#);
        let all: Vec<_> = (0..500).map(|at| finding(at, if at % 2 == 0 { "even" } else { "odd" })).collect();
        let document = read(&format!(r#"{{"run_id":"r","findings":[{}]}}"#, all.join(",")));
        assert_eq!(document.findings.shown.len(), FINDINGS_SHOWN_MAX);
        assert_eq!(document.findings.shown[199].offset, 199);
        assert_eq!(document.findings.rest_by_reason, BTreeMap::from([("even".into(), 150), ("odd".into(), 150)]));
    }

    #[test]
    fn reasons_that_all_differ_take_no_more_memory() {
        let finding = |at: u64| format!(r#"{{"reason":"reason {at}"}}"#);
        let all: Vec<_> = (0..5_000).map(finding).collect();
        let document = read(&format!(r#"{{"run_id":"r","findings":[{}]}}"#, all.join(",")));
        assert_eq!(document.findings.rest_by_reason.len(), REASONS_MAX + 1);
        assert_eq!(document.findings.rest_by_reason.values().sum::<u64>(), 4_800);
    }

    #[test]
    fn the_head_of_a_report_ends_at_its_findings_however_many_there_are() {
        let head = "{\n  \"run_id\": \"r1\",\n  \"counts\": {\n    \"migrated\": 5\n  },\n  \"findings\": [\n    ";
        let finding = r#"{"severity":"refused","file":"a","offset":0,"length":1,"reason":"x"}"#;
        let many = format!("{head}{}\n  ]\n}}\n", vec![finding; 40_000].join(",\n    "));
        assert!(many.len() as u64 > HEAD_BYTES_MAX);
        let document = Document::read_head(many.as_bytes()).unwrap();
        assert_eq!(document.counts.0, [("migrated".to_owned(), 5)]);
        assert!(document.findings.shown.is_empty());
    }

    #[test]
    fn what_is_missing_or_unknown_is_left_out() {
        let document = read(
            r#"{"run_id":"r","timeline":[{"t":1,"records":2,"bytes":3,"rss":4,"budget":5},{"x":1}],
            "grade":"new","counts":{"migrated":3,"by":{}},"attempts":null,"later":[1]}"#,
        );
        assert_eq!((document.timeline.len(), document.grade.is_none(), document.attempts.len()), (1, true, 0));
        assert_eq!(document.counts.0, [("migrated".to_owned(), 3)]);
        assert!(Document::read(&b"{\"run_id\":"[..]).is_err() && Document::read(&b"[]"[..]).is_err());
    }

    #[test]
    fn the_time_is_that_of_all_attempts() {
        assert_eq!(read(r#"{"run_id":"r","duration_ms":1500}"#).seconds(), 1.5);
        let attempts = r#"{"run_id":"r","duration_ms":1500,"attempts":[{"started_at":"a","ended_at":null,"outcome":"stopped","exit_code":75,
            "records":1,"seconds":2.5,"cpu_seconds":0.1,"rss_peak_bytes":1},{"started_at":"b","ended_at":null,
            "outcome":"published","exit_code":0,"records":1,"seconds":1.5,"cpu_seconds":0.1,"rss_peak_bytes":1}]}"#;
        assert_eq!(read(attempts).seconds(), 4.0);
    }
}
