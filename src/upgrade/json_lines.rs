//! Small files of JSON lines, to which a line is added in one durable step.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable::{Disk, read_file, replace_file};
use crate::migration::Error;

const BYTES_MAX: u64 = 16 << 20;

/// Reads the lines, oldest first. What is no such line is left out; a file that is not there has none.
pub fn read<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> Result<Vec<T>, Error> {
    Ok(text(disk, path)?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Adds a line; it is durable on return.
pub fn append(disk: &dyn Disk, path: &Path, line: &impl Serialize) -> Result<(), Error> {
    let mut lines = text(disk, path)?;
    lines.push_str(&serde_json::to_string(line).expect("plain data always serialises"));
    lines.push('\n');
    Ok(replace_file(disk, path, lines.as_bytes())?)
}

fn text(disk: &dyn Disk, path: &Path) -> Result<String, Error> {
    match read_file(disk, path, BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        bytes => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::RealDisk;

    #[test]
    fn lines_come_back_in_order_and_what_is_none_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.jsonl");
        assert_eq!(read::<u64>(&RealDisk, &path).unwrap(), [0; 0]);
        [1_u64, 2].iter().for_each(|line| append(&RealDisk, &path, line).unwrap());
        append(&RealDisk, &path, &"text").unwrap();
        assert_eq!(read::<u64>(&RealDisk, &path).unwrap(), [1, 2]);
    }
}
