//! New tables and columns hold what was predicted and what the definition expects.

use rusqlite::OptionalExtension;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::Error;
use crate::upgrade::backfill::SetFacts;
use crate::upgrade::definition::Expectation;
use crate::upgrade::schema::tracking;

/// Checks predictions and expectations. These find in `haul_files` what the databases are like `now`.
/// The second result has each expectation by itself.
pub fn check(
    subject: &Subject<'_>,
    files: &[Opened<'_>],
    now: &SetFacts,
) -> Result<(CheckResult, Vec<CheckResult>), Error> {
    let mut findings = Findings::new("new data");
    let mut rows = 0;
    for file in files {
        for prediction in &file.plan.predictions {
            let written = tracking::cursor(&file.connection, &prediction.step);
            let written = written.map_err(|error| file.error(&prediction.step, error))?.rows.cast_unsigned();
            rows += written;
            if written != prediction.rows {
                let what =
                    format!("{}: {} rows were predicted, {written} were written", prediction.step, prediction.rows);
                findings.fault(file.file(), what);
            }
        }
    }
    let mut asked = Vec::new();
    for expectation in &subject.definition.expectations {
        let is_asked = |file: &&Opened<'_>| file.plan.member.is_primary && file.plan.member.tier == expectation.tier;
        for file in files.iter().filter(is_asked) {
            file.give(now)?;
            asked.push(ask(file, expectation, &mut findings)?);
        }
    }
    let figure = format!("{rows} rows written as predicted, {} expectations met", asked.len());
    Ok((findings.with_figure(figure), asked))
}

fn ask(file: &Opened<'_>, expectation: &Expectation, findings: &mut Findings) -> Result<CheckResult, Error> {
    let Expectation { name, sql, min, max, .. } = expectation;
    let value = file.connection.query_row(sql, [], |row| row.get::<_, Option<f64>>(0)).optional();
    let value = value.map_err(|error| file.error(&format!("expectation `{name}`"), error))?.flatten();
    let fault = match (value, min, max) {
        (None, ..) => Some("no value".to_owned()),
        (Some(value), Some(min), _) if value < *min as f64 => Some(format!("{value}, at least {min} expected")),
        (Some(value), _, Some(max)) if value > *max as f64 => Some(format!("{value}, at most {max} expected")),
        _ => None,
    };
    let figure = value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
    match &fault {
        Some(what) if expectation.advisory => findings.note(format!("{}: {name}: {what}", file.file())),
        Some(what) => findings.fault(file.file(), format!("{name}: {what}")),
        None => findings.note(format!("{}: {name}: {figure}", file.file())),
    }
    let (name, passed) = (name.clone(), fault.is_none());
    Ok(CheckResult { name, passed, figure, detail: fault.into_iter().collect() })
}
