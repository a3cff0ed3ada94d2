//! What the commands share: the printed result, its exit code, and what is said after it.

use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::arguments::OutputArgs;
use super::command_line::run_again;
use super::output;
use super::table::Table;
use crate::migration::exit;
use crate::observe::Console;

/// The result of a command. [`print`](Self::print) shows it and returns the exit code.
///
/// The JSON document has the fields of `E` and those given to [`with`](Self::with). It has `exit_code` if the result
/// decides that code.
pub struct Answer<'a, E> {
    document: Document<'a, E>,
    stopped: bool,
    next: Option<String>,
}

#[derive(Serialize)]
struct Document<'a, E> {
    #[serde(flatten)]
    fields: Fields,
    #[serde(flatten)]
    end: &'a E,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
}

/// Fields in the order in which they were added.
struct Fields(Vec<(&'static str, Value)>);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a, E: Serialize> Answer<'a, E> {
    /// Makes the answer of a command that ended with `end`.
    pub fn new(end: &'a E) -> Self {
        let document = Document { fields: Fields(Vec::new()), end, exit_code: None };
        Self { document, stopped: false, next: None }
    }

    /// Adds a field to the JSON document.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.document.fields.0.push((name, value.into()));
        self
    }

    /// Adds a path to the JSON document.
    pub fn path(self, name: &'static str, path: &Path) -> Self {
        self.with(name, path.display().to_string())
    }

    /// Sets whether the run was stopped. Then it must be run again, whatever else it found.
    pub fn stopped(mut self, stopped: bool) -> Self {
        self.stopped = stopped;
        self.exit_if(stopped, exit::TEMPORARY)
    }

    /// Sets the exit code if the condition holds. The first code other than 0 wins.
    pub fn exit_if(self, condition: bool, code: u8) -> Self {
        self.exit(if condition { code } else { exit::OK })
    }

    /// Sets the exit code. The first code other than 0 wins.
    pub fn exit(mut self, code: u8) -> Self {
        let earlier = self.document.exit_code.filter(|&earlier| earlier != exit::OK);
        self.document.exit_code = earlier.or(Some(code));
        self
    }

    /// Sets what to say about the next step. It is not said of a run that was stopped.
    pub fn next(mut self, next: impl Into<Option<String>>) -> Self {
        self.next = next.into();
        self
    }

    /// Prints the JSON document, or the text that `render` writes, then says how to go on, and returns the exit code.
    pub fn print(self, output: OutputArgs, render: impl FnOnce(&mut Table)) -> anyhow::Result<u8> {
        output::print(output.json, &self.document, || Table::render(render))?;
        if self.stopped {
            say_stopped();
        } else if let Some(next) = self.next {
            output.say(format_args!("next: {next}"));
        }
        Ok(self.document.exit_code.unwrap_or(exit::OK))
    }
}

/// Says how a run that was stopped goes on, and returns its exit code.
pub fn say_stopped() -> u8 {
    let console = Console::new();
    console.line("stopped on request; what is done so far is kept");
    console.line(&format!("next: {}", run_again()));
    exit::TEMPORARY
}

/// Says in a word or two how a migration ended.
pub fn end_text(stopped: bool, nothing_to_do: bool) -> &'static str {
    match (stopped, nothing_to_do) {
        (true, _) => "stopped, to be resumed",
        (_, true) => "nothing to do",
        _ => "done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct End {
        records: u64,
    }

    fn json(answer: &Answer<'_, End>) -> String {
        serde_json::to_string(&answer.document).unwrap()
    }

    #[test]
    fn the_document_has_the_fields_in_order_and_the_first_code() {
        let end = End { records: 5 };
        let answer = Answer::new(&end).with("free", None::<u64>).path("store", Path::new("a/b"));
        assert_eq!(json(&answer), r#"{"free":null,"store":"a/b","records":5}"#);
        let answer = answer.exit_if(false, exit::FAILED).exit(exit::BAD_DATA).exit(exit::CONFLICT);
        assert_eq!(json(&answer), r#"{"free":null,"store":"a/b","records":5,"exit_code":65}"#);
    }

    #[test]
    fn a_run_that_was_stopped_is_run_again_whatever_it_found() {
        let end = End { records: 0 };
        let answer = Answer::new(&end).stopped(true).exit(exit::BAD_DATA);
        assert_eq!(answer.document.exit_code, Some(exit::TEMPORARY));
    }
}
