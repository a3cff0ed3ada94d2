//! What the operator gave a run when it began: a run that is continued works with the same, and with the same clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable::{Disk, read_file, replace_file};
use crate::migration::{Error, RunDirectory};
use crate::upgrade::values::{AssumedZone, Values};

/// The longest file that is read.
const BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Given {
    run_clock: Timestamp,
    assume_tz: String,
    inputs: BTreeMap<String, String>,
    settings: BTreeMap<String, f64>,
}

fn path(directory: &RunDirectory) -> PathBuf {
    directory.path().join("values.json")
}

/// Keeps the values of a run, durably.
pub fn keep(disk: &dyn Disk, directory: &RunDirectory, values: &Values) -> Result<(), Error> {
    let given = Given {
        run_clock: values.run_clock,
        assume_tz: values.zone.to_string(),
        inputs: values.inputs.clone(),
        settings: values.settings.clone(),
    };
    let text = serde_json::to_string_pretty(&given).expect("plain data always serialises");
    Ok(replace_file(disk, &path(directory), text.as_bytes())?)
}

/// Returns the values of the run.
pub fn kept(disk: &dyn Disk, directory: &RunDirectory) -> Result<Values, Error> {
    let path = path(directory);
    let given: Given =
        serde_json::from_slice(&read_file(disk, &path, BYTES_MAX)?).map_err(|error| damaged(&path, Box::new(error)))?;
    let zone = AssumedZone::parse(&given.assume_tz)?;
    Ok(Values { run_clock: given.run_clock, zone, inputs: given.inputs, settings: given.settings })
}

/// Returns the error for a file of the run that cannot be read.
pub fn damaged(path: &Path, source: Box<serde_json::Error>) -> Error {
    Error::State {
        path: path.to_path_buf(),
        what: format!("it cannot be read: {source}"),
        next: "restore it from a copy, or take the upgrade back with `haul upgrade rollback`".into(),
        damaged: true,
        source: Some(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::test_disk::disk;

    #[test]
    fn a_run_works_with_what_it_began_with() {
        let (disk, directory) = (disk(), RunDirectory::new("/run"));
        let values = Values {
            run_clock: "2026-02-03T04:05:06.000007Z".parse().unwrap(),
            zone: AssumedZone::parse("-05:00").unwrap(),
            inputs: [("plugins".to_owned(), "[1]".to_owned())].into(),
            settings: [("turns".to_owned(), 50.5)].into(),
        };
        keep(&disk, &directory, &values).unwrap();
        assert_eq!(kept(&disk, &directory).unwrap(), values);
    }
}
