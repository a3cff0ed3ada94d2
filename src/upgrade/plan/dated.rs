//! The file of a plan for people.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::model::Plan;
use crate::durable::{Disk, read_file, replace_file};
use crate::migration::Error;
use crate::upgrade::layout::Layout;

/// How the name of such a file begins.
const PREFIX: &str = "migration-plan-";
/// The longest plan that is read.
const PLAN_BYTES_MAX: u64 = 256 << 20;
/// The length of `YYYY-MM-DD`, with which an instant begins.
const DATE_LEN: usize = 10;

/// Writes the plan to `migration-plan-DATE.json`. A plan of the same day is replaced.
pub fn write_dated_plan(disk: &dyn Disk, layout: &Layout, plan: &Plan) -> Result<PathBuf, Error> {
    layout.run().create(disk)?;
    let path = layout.dated_plan(plan.made_at.get(..DATE_LEN).unwrap_or(&plan.made_at));
    let mut text = serde_json::to_string_pretty(plan).expect("a plan is text");
    text.push('\n');
    replace_file(disk, &path, text.as_bytes())?;
    Ok(path)
}

/// Reads the last plan that was written; `None` if there is none that this version reads.
pub fn latest_plan(disk: &dyn Disk, layout: &Layout) -> Result<Option<Plan>, Error> {
    let names = match disk.list(layout.run().path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?.into_iter().map(|entry| entry.name),
    };
    let is_plan = |name: &String| name.starts_with(PREFIX) && name.ends_with(".json");
    let names = names.filter_map(|name| name.into_string().ok()).filter(is_plan);
    let Some(last) = names.max() else { return Ok(None) };
    let bytes = read_file(disk, &layout.run().path().join(last), PLAN_BYTES_MAX)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::test_plan::plan;
    use super::*;
    use crate::durable::SimulatedDisk;

    #[test]
    fn a_plan_has_the_date_in_its_name_and_replaces_the_one_of_the_day() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/set")]);
        let layout = Layout::of(Path::new("/set"));
        assert_eq!(latest_plan(&disk, &layout).unwrap(), None);
        for upgrade in ["first", "second"] {
            let plan = Plan { upgrade: upgrade.into(), ..plan() };
            let path = write_dated_plan(&disk, &layout, &plan).unwrap();
            assert_eq!(path, Path::new("/set/migration/migration-plan-2026-01-31.json"));
            let text = read_file(&disk, &path, 1 << 20).unwrap();
            assert_eq!(serde_json::from_slice::<Plan>(&text).unwrap(), plan);
            assert_eq!(latest_plan(&disk, &layout).unwrap(), Some(plan));
        }
        assert_eq!(disk.list(Path::new("/set/migration")).unwrap().len(), 1);
    }
}
