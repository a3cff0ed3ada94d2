//! Lines that are JSON objects, numbered as they are accepted.

use serde::Serialize;

use super::shape::Shape;
use crate::migration::{escaped_json, journal};
use crate::observe::progress_line::{LineHead, VERSION};

/// Makes objects.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) shape: Shape,
    next_seq: u64,
    run: String,
    kind: String,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(flatten)]
    head: LineHead,
    #[serde(rename = "type")]
    type_name: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(flatten)]
    text: Text<'a>,
    next: Option<&'a str>,
}

/// The same as the event of that name.
#[derive(Serialize)]
struct EventNote<'a> {
    event: &'static str,
    text: &'a str,
}

impl Objects {
    pub(super) fn set_run(&mut self, run: &str, kind: &str) {
        (self.run, self.kind) = (run.to_owned(), kind.to_owned());
    }

    /// Returns the line of an object that `make` puts together.
    pub(super) fn object<T: Serialize>(&mut self, make: impl FnOnce(LineHead) -> T) -> String {
        let (run, kind) = (self.run.clone(), self.kind.clone());
        let head = LineHead { v: VERSION, seq: self.next_seq, at: journal::now_text(), run, kind };
        self.next_seq += 1;
        line_of(&make(head))
    }

    pub(super) fn text(&mut self, type_name: &'static str, text: &str) -> String {
        self.object(|head| Text { head, type_name, text })
    }

    pub(super) fn error(&mut self, message: &str, next: Option<&str>) -> String {
        self.object(|head| Failure { text: Text { head, type_name: "error", text: message }, next })
    }

    pub(super) fn event_note(&mut self, text: &str) -> String {
        line_of(&EventNote { event: "note", text })
    }
}

/// Returns an object as a line that a terminal can show.
pub(super) fn line_of(object: &impl Serialize) -> String {
    let mut line = serde_json::to_string(object).expect("its keys are texts");
    line.push('\n');
    escaped_json(&line).into_owned()
}
