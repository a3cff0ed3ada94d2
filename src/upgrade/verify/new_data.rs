//! New tables and columns hold what was predicted and what the definition expects.

use rusqlite::OptionalExtension;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::Error;
use crate::upgrade::backfill::SetFacts;
use crate::upgrade::definition::Expectation;
use crate::upgrade::schema::tracking;

/// Checks predictions and expectations. These find in `haul_files` what the databases are like `now`.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>], now: &SetFacts) -> Result<CheckResult, Error> {
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
    let mut asked = 0;
    for expectation in &subject.definition.expectations {
        let is_asked = |file: &&Opened<'_>| file.plan.member.is_primary && file.plan.member.tier == expectation.tier;
        for file in files.iter().filter(is_asked) {
            asked += 1;
            file.give(now)?;
            ask(file, expectation, &mut findings)?;
        }
    }
    Ok(findings.with_figure(format!("{rows} rows written as predicted, {asked} expectations met")))
}

fn ask(file: &Opened<'_>, expectation: &Expectation, findings: &mut Findings) -> Result<(), Error> {
    let Expectation { name, sql, min, max, .. } = expectation;
    let value = file.connection.query_row(sql, [], |row| row.get::<_, Option<f64>>(0)).optional();
    let value = value.map_err(|error| file.error(&format!("expectation `{name}`"), error))?.flatten();
    let Some(value) = value else {
        findings.fault(file.file(), format!("{name}: no value"));
        return Ok(());
    };
    match (min, max) {
        (Some(min), _) if value < *min as f64 => {
            findings.fault(file.file(), format!("{name}: {value}, at least {min} expected"))
        }
        (_, Some(max)) if value > *max as f64 => {
            findings.fault(file.file(), format!("{name}: {value}, at most {max} expected"))
        }
        _ => findings.note(format!("{}: {name}: {value}", file.file())),
    }
    Ok(())
}
