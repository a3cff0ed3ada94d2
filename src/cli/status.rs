//! `haul status`: every migration below a directory, read from disk.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::arguments::OutputArgs;
use super::output;
use super::table::Table;
use crate::migration::units::count_text;
use crate::migration::{Error, escaped};
use crate::observe::MigrationState;
use crate::observe::found::{Found, Walked, read, walk};
use crate::observe::{Console, duration_text};

const HEADINGS: [&str; 7] = ["name", "kind", "state", "records", "rate", "time left", "last published"];

/// The arguments of the command.
#[derive(Args)]
pub struct Status {
    /// Where to look: three levels deep
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl Status {
    /// Runs the command and returns its exit code.
    pub fn run(self) -> anyhow::Result<u8> {
        if !self.directory.is_dir() {
            return Err(Error::Usage {
                what: format!("{} is not a directory", self.directory.display()),
                next: "give the directory of a store, or one above it".into(),
            }
            .into());
        }
        let walked = walk(std::slice::from_ref(&self.directory));
        let found: Vec<_> = walked.run_directories.iter().map(|path| read(path)).collect();
        output::print(self.output.json, &found, || Table::render(|table| self.write(table, &found)))?;
        say_what_is_missing(&walked);
        Ok(0)
    }

    fn write(&self, table: &mut Table, found: &[Found]) {
        if found.is_empty() {
            return table.line(format_args!("no migration at or below {}", self.directory.display()));
        }
        for line in aligned(found.iter().map(row).collect()) {
            table.line(line);
        }
        for found in found {
            write_remarks(table, found);
        }
    }
}

/// Says on standard error what the table cannot show.
fn say_what_is_missing(walked: &Walked) {
    let console = Console::new();
    walked.problems.iter().for_each(|problem| console.line(&format!("note: {problem}")));
    let more = walked.unreadable.saturating_sub(walked.problems.len());
    if more > 0 {
        console.line(&format!("note: {} more directories cannot be listed", count_text(more as u64)));
    }
    if walked.is_cut {
        console.line("note: there are too many directories; give one that is nearer to the stores");
    }
}

fn row(found: &Found) -> [String; 7] {
    let line = found.line();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let records = found.records_done().map(|records| match line.and_then(|line| line.ratio) {
        Some(ratio) => format!("{} ({:.1}%)", count_text(records), ratio * 100.0),
        None => count_text(records),
    });
    let rate = line.map(|line| format!("{}/s", count_text(line.rate.records_per_second.round().max(0.0) as u64)));
    let eta = line
        .and_then(|line| line.eta.as_ref())
        .and_then(|eta| Duration::try_from_secs_f64(eta.p50).ok())
        .map(duration_text);
    [
        escaped(&found.name).into_owned(),
        escaped(&found.kind).into_owned(),
        state_text(found),
        or_dash(records),
        or_dash(rate),
        or_dash(eta),
        or_dash(found.last_success_at.as_deref().map(|at| escaped(at).into_owned())),
    ]
}

fn state_text(found: &Found) -> String {
    let phase = found.line().and_then(|line| line.phase).map(|phase| phase.to_string());
    let detail = match found.state {
        MigrationState::Running => phase,
        MigrationState::Killed | MigrationState::Stopped | MigrationState::Failed | MigrationState::Finished => {
            found.stage.map(|stage| stage.to_string())
        }
        _ => None,
    };
    match detail {
        Some(detail) => format!("{} ({detail})", found.state.text()),
        None => found.state.text().to_owned(),
    }
}

/// Writes what is to be known of a migration besides its row.
fn write_remarks(table: &mut Table, found: &Found) {
    if let Some(since) = &found.no_news_since {
        table.line(format_args!("{}: no news since {since}", found.name));
    }
    if found.state == MigrationState::Running
        && let Some(holder) = &found.lock_holder
    {
        table.line(format_args!("{}: run by {holder}", found.name));
    }
    if let Some(problem) = &found.problem {
        table.line(format_args!("{}: {problem}", found.name));
    }
}

/// Returns lines in which the cells stand below their headings.
fn aligned(mut rows: Vec<[String; 7]>) -> Vec<String> {
    rows.insert(0, HEADINGS.map(str::to_owned));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADINGS.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_their_headings() {
        let cells = ["main", "space", "running (run)", "1,000 (33.3%)", "500/s", "4 s", "-"].map(str::to_owned);
        insta::assert_snapshot!(aligned(vec![cells]).join("\n"), @r"
        name  kind   state          records        rate   time left  last published
        main  space  running (run)  1,000 (33.3%)  500/s  4 s        -
        ");
    }
}
