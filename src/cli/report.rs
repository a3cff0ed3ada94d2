//! `haul report`: shows the report of a run, or makes a page of it.
//!
//! The JSON document is the report itself, as the run wrote it.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{OutputArgs, check_exists};
use super::output;
use super::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, exit};
use crate::observe::report_page::{Outline, outline, read_report, write_page};
use crate::observe::seconds_text;

/// `haul report`
#[derive(Args)]
pub struct ReportCommand {
    /// A report.json, the directory of a run, or a store that was migrated
    #[arg(value_name = "DIR")]
    place: PathBuf,
    /// Write the report as a page for a browser to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ReportCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_exists(&self.place, "name a store that was migrated, its run directory, or a report.json")?;
        let report = self.find()?;
        if let Some(page) = &self.html {
            write_page(&RealDisk, &report, page)?;
            self.output.say(format_args!("written: {}", page.display()));
        }
        if self.output.json {
            output::stream(|out| read_report(&RealDisk, &report, out))?;
        } else if self.html.is_none() {
            let outline = outline(&RealDisk, &report)?;
            output::bytes(Table::render(|table| render(table, &outline)).as_bytes())?;
        }
        Ok(exit::OK)
    }

    /// Returns the report that is meant: the file itself, or the one of a directory or of a store.
    fn find(&self) -> Result<PathBuf, Error> {
        if self.place.is_file() {
            return Ok(self.place.clone());
        }
        let mut run_directory = self.place.clone().into_os_string();
        run_directory.push(".migration");
        let places = [self.place.clone(), self.place.join("migration"), run_directory.into()];
        let found = places.into_iter().map(|place| place.join("report.json")).find(|report| report.is_file());
        found.ok_or_else(|| Error::Usage {
            what: format!("no run has left a report in {}", self.place.display()),
            next: "name a store that was migrated, its run directory, or a report.json".into(),
        })
    }
}

fn render(table: &mut Table, outline: &Outline) {
    table.line(format_args!("{}: {}", outline.noun, outline.outcome));
    table.row("source", &outline.source);
    table.row("target", &outline.target);
    table.row("run", &outline.run_id);
    table.count("records read", outline.records_read);
    for (name, count) in &outline.counts {
        table.count(format_args!("  {}", name.replace('_', " ")), *count);
    }
    table.row("written", bytes_text(outline.target_bytes));
    let attempts = if outline.attempts > 1 { format!(", {} attempts", outline.attempts) } else { String::new() };
    table.row("time", format_args!("{}{attempts}", seconds_text(outline.seconds)));
    if outline.seconds > 0.0 {
        table.row(
            "rate",
            format_args!("{} records/s", count_text((outline.records_read as f64 / outline.seconds) as u64)),
        );
    }
    if let Some(grade) = &outline.grade {
        let (low, high) = (seconds_text(grade.predicted.p10), seconds_text(grade.predicted.p90));
        let verdict = if grade.in_range { "within" } else { "outside of" };
        table.row("forecast", format_args!("{low} to {high}: {verdict} the range"));
    }
    for (severity, count) in outline.findings.iter().filter(|finding| finding.1 > 0) {
        table.count(format_args!("findings, {severity}"), *count);
    }
}
