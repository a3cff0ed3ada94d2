//! History records in a document: writing one, and checking the checksum of the last (docs/source-sigilzero.md,
//! "History records" and "Canonical text and checksums").

use super::checksum::Checksum;
use super::error_codes::ErrorCode;
use super::fields::HISTORY;
use super::json::{Document, Kind, NodeId, Value, push_string};
use super::options::Mode;
use super::verdict::{Notice, Refusal};
use super::version::Version;
use crate::migration::Error;

/// The content of a history record.
#[derive(Debug)]
pub(in crate::manifest) struct HistoryRecord<'r> {
    pub applied_at: &'r str,
    pub changes: &'r [Vec<String>],
    pub checksum_before: Checksum,
    pub checksum_after: Checksum,
    pub from: Version,
    pub to: Version,
}

impl HistoryRecord<'_> {
    /// Appends the record as JSON with sorted members.
    pub fn push_json(&self, out: &mut Vec<u8>) {
        let list = |out: &mut Vec<u8>, part: &mut dyn FnMut(&mut Vec<u8>)| {
            out.push(b'[');
            part(out);
            out.push(b']');
        };
        out.extend_from_slice(b"{\"applied_at\":");
        push_string(out, self.applied_at);
        out.extend_from_slice(b",\"changes\":");
        list(out, &mut |out| {
            push_separated(out, self.changes, |out, texts| {
                list(out, &mut |out| push_separated(out, texts, |out, text| push_string(out, text)));
            });
        });
        out.extend_from_slice(b",\"checksum_after\":\"");
        self.checksum_after.push_text(out);
        out.extend_from_slice(b"\",\"checksum_before\":\"");
        self.checksum_before.push_text(out);
        let end = format!("\",\"from_version\":\"{}\",\"to_version\":\"{}\"}}", self.from, self.to);
        out.extend_from_slice(end.as_bytes());
    }
}

fn push_separated<T>(out: &mut Vec<u8>, parts: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, part);
    }
}

/// Adds the record `json` to the history of `root` and returns the new root.
pub(in crate::manifest) fn append_record(
    document: &mut Document<'_>,
    root: NodeId,
    json: &str,
) -> Result<NodeId, Refusal> {
    let record = document.parse_fragment(json)?;
    let history = match document.value(root).get(HISTORY).map(Value::id) {
        Some(history) => history,
        None => document.parse_fragment("[]")?,
    };
    let longer = document.with_item(history, record);
    let root = document.with(root, &[HISTORY.to_owned()], longer)?;
    root.ok_or_else(|| Refusal::new(ErrorCode::Root, "the document is not an object".into()))
}

/// Returns the text of an instant in a record: UTC with six digits of fraction.
///
/// In compat mode a fraction of zero is left out, as the original does.
pub(in crate::manifest) fn timestamp_text(now: jiff::Timestamp, mode: Mode) -> Result<String, Error> {
    let micros = now.as_microsecond();
    // The form has four digits for the year.
    let is_written = jiff::Timestamp::from_microsecond(micros).is_ok() && now.as_second() >= -62_135_596_800;
    if !is_written {
        return Err(Error::Usage {
            what: format!("{now} is before the year 1"),
            next: "give --now an instant in the year 1 or later".into(),
        });
    }
    let has_fraction = mode == Mode::Strict || micros % 1_000_000 != 0;
    Ok(now.strftime(if has_fraction { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" }).to_string())
}

/// The form of a document that the `checksum_after` of its last record belongs to.
///
/// An empty history and no history are different texts, but the record does not tell which one the document had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumForm {
    /// The document with the history before that record.
    WithHistory,
    /// The document without the member `migration_history`: the record was the first.
    WithoutHistory,
}

/// The result of comparing a document with its last history record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryCheck {
    /// The document has no history record.
    NoRecord,
    /// The last record has no `checksum_after`.
    NoChecksum,
    /// The document is unchanged since the last record.
    Matches(ChecksumForm),
    /// The document has changed since.
    Differs,
}

/// Computes the `checksum_after` of the last record again and compares it.
pub fn check_last_record(document: &mut Document<'_>) -> Result<HistoryCheck, Refusal> {
    let root = document.root();
    let Some(history) = root.get(HISTORY).filter(|history| history.kind() == Kind::Array) else {
        return Ok(HistoryCheck::NoRecord);
    };
    let (history_id, root_id, records) = (history.id(), root.id(), history.items().len());
    let Some(last) = history.items().next_back() else { return Ok(HistoryCheck::NoRecord) };
    let recorded = last.get("checksum_after").and_then(Value::as_str).map(|text| text.into_owned());
    let Some(recorded) = recorded else { return Ok(HistoryCheck::NoChecksum) };
    let path = [HISTORY.to_owned()];
    let mut buffer = Vec::new();
    let mut matches = |value: Value<'_>| Checksum::of_value(value, &mut buffer).to_string() == recorded;
    if records == 1 {
        let without = document.without(root_id, &path)?;
        if matches(document.value(without)) {
            return Ok(HistoryCheck::Matches(ChecksumForm::WithoutHistory));
        }
    }
    let shorter = document.without_last_item(history_id);
    let before = document.with(root_id, &path, shorter)?.unwrap_or(root_id);
    let is_match = matches(document.value(before));
    Ok(if is_match { HistoryCheck::Matches(ChecksumForm::WithHistory) } else { HistoryCheck::Differs })
}

/// Returns the warning `W_HISTORY` if the last record does not lead to the version of the document.
pub(in crate::manifest) fn history_notice(root: Value<'_>, version: Version) -> Option<Notice> {
    let last = root.get(HISTORY)?.items().next_back()?;
    let reached = last.get("to_version").and_then(Value::as_str);
    let text = match &reached {
        Some(reached) if **reached == *version.to_string() => return None,
        Some(reached) => format!("the last record of migration_history leads to {reached}, the document is {version}"),
        None => "the last record of migration_history names no to_version".to_owned(),
    };
    Some(Notice { code: "W_HISTORY", text })
}
