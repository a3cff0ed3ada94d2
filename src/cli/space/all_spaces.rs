//! `haul space migrate|plan|status --all`: one space of a data directory after the other. The same command goes on after
//! a stop.
//!
//! The JSON document has `data_dir`, `spaces` and `exit_code`. Each of `spaces` has `space` (path), `exit_code`, and
//! `result`, which is the document of that space alone, or `error` and `next`. A space that was not begun when the command
//! was stopped has the exit code 75 and neither.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::arguments::RECORDS_NOUN;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::error_output::chain;
use crate::cli::table::Table;
use crate::migration::{Error, exit};
use crate::pipeline::StopToken;
use crate::space::paths::SpacePaths;

/// From the best to the worst. A stop decides over all of them.
const BY_WORTH: [u8; 7] =
    [exit::OK, exit::REFUSED_RECORDS, exit::TEMPORARY, exit::USAGE, exit::BAD_DATA, exit::CONFLICT, exit::FAILED];

#[derive(Serialize)]
struct End {
    spaces: Vec<OneEnd>,
}

/// How one space ended.
#[derive(Serialize)]
pub struct OneEnd {
    space: String,
    exit_code: u8,
    #[serde(skip)]
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Lets `treat` have each of `spaces`, and prints how each ended. The trouble of one stops no other.
pub fn each_space(
    stop: &StopToken,
    (data_directory, spaces): (&Path, &[SpacePaths]),
    treat: impl Fn(&SpacePaths) -> OneEnd,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let mut end = End { spaces: Vec::new() };
    for paths in spaces {
        end.spaces.push(match stop.is_requested() {
            true => OneEnd::new(paths, exit::TEMPORARY, "not begun".into()),
            false => treat(paths),
        });
    }
    let stopped = stop.is_requested();
    let worth = |code: u8| BY_WORTH.iter().position(|known| *known == code).unwrap_or(BY_WORTH.len());
    let worst = end.spaces.iter().map(|one| one.exit_code).max_by_key(|code| worth(*code)).unwrap_or(exit::OK);
    let answer = Answer::new(&end).path("data_dir", data_directory).stopped(stopped).exit(worst);
    answer.print(output, |table| render(table, data_directory, &end))
}

impl OneEnd {
    /// Returns how one space ended. `describe` gives the exit code of an end, and what to say of it.
    pub fn of<E: Serialize>(
        paths: &SpacePaths,
        result: Result<E, Error>,
        describe: impl FnOnce(&E) -> (u8, String),
    ) -> Self {
        match result {
            Ok(end) => {
                let (exit_code, text) = describe(&end);
                Self { result: serde_json::to_value(&end).ok(), ..Self::new(paths, exit_code, text) }
            }
            Err(error) => {
                let (exit_code, next) = (error.exit_code(), error.next_step());
                let text = chain(&error.into());
                Self { error: Some(text.clone()), next, ..Self::new(paths, exit_code, text) }
            }
        }
    }

    fn new(paths: &SpacePaths, exit_code: u8, text: String) -> Self {
        let space = paths.root().display().to_string();
        Self { space, exit_code, text, result: None, error: None, next: None }
    }
}

fn render(table: &mut Table, data_directory: &Path, end: &End) {
    for one in &end.spaces {
        let state = match one.exit_code {
            exit::OK => "done",
            exit::REFUSED_RECORDS => "refused",
            exit::TEMPORARY => "stopped",
            _ => "failed",
        };
        table.item(state, &one.space, &one.text);
        one.next.iter().for_each(|next| table.item("", format_args!("next: {next}"), ""));
    }
    let count = |is_counted: fn(u8) -> bool| end.spaces.iter().filter(|one| is_counted(one.exit_code)).count();
    let (all, whole) = (end.spaces.len(), count(|code| code == exit::OK));
    let less = count(|code| code == exit::REFUSED_RECORDS);
    let failed = all - whole - less;
    let directory = data_directory.display();
    table.line(format_args!(
        "{directory}: {all} spaces, {whole} done, {less} with refused {RECORDS_NOUN}, {failed} failed or stopped"
    ));
}
