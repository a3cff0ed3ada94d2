//! A tree of manifests: each is at any moment a whole document, with every field that its application wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::{Model, Runner};

#[derive(Default)]
pub struct Manifest {
    /// The fields of each manifest as its application wrote them last.
    written: BTreeMap<PathBuf, Map<String, Value>>,
    edits: u64,
}

/// Fields that a migration sets.
const OF_STEPS: [&str; 2] = ["schema_version", "migration_history"];
const MIGRATE: &str = "manifest migrate app --batch-size 5 --now 2026-01-02T03:04:05Z";

fn manifests(run: &Runner<'_>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![run.work.join("app/artifacts")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a listing").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.file_name().is_some_and(|name| name == "manifest.json") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &PathBuf) -> Option<Map<String, Value>> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn last_run(run: &Runner<'_>) -> Option<String> {
    let report = fs::read(run.work.join("app/migration/report.json")).ok()?;
    serde_json::from_slice::<Value>(&report).ok()?["run_id"].as_str().map(str::to_owned)
}

impl Model for Manifest {
    fn begin(&mut self, run: &mut Runner<'_>) {
        run.run("manifest generate app --manifests 25 --seed 7");
        for path in manifests(run) {
            // The generator also makes manifests that are refused; haul must leave those as they are.
            if let Some(fields) = read(&path) {
                self.written.insert(path, fields);
            }
        }
        assert!(self.written.len() > 10);
    }

    fn act(&mut self, run: &mut Runner<'_>) -> String {
        let line = match run.random.u8(..13) {
            0..=2 => MIGRATE.to_owned(),
            3 => format!("{MIGRATE} --restart --yes"),
            4..=6 => {
                let line = format!("{MIGRATE}{}", ["", " --restart --yes"][run.random.usize(..2)]);
                run.run_killed(&line);
                return format!("killed: {line}");
            }
            7 | 8 => match last_run(run) {
                Some(id) => format!("manifest rollback app --run {id} --yes"),
                None => "manifest status app".into(),
            },
            9 => match last_run(run) {
                Some(id) => {
                    let line = format!("manifest rollback app --run {id} --yes");
                    run.run_killed(&line);
                    return format!("killed: {line}");
                }
                None => "manifest verify app".into(),
            },
            10 => "manifest verify app".into(),
            11 => {
                let paths: Vec<_> = self.written.keys().cloned().collect();
                let path = &paths[run.random.usize(..paths.len())];
                let Some(mut fields) = read(path) else { return "no edit".into() };
                self.edits += 1;
                fields.insert("note".into(), self.edits.into());
                // As applications write: a file beside, then a rename.
                let text = serde_json::to_vec_pretty(&fields).expect("JSON");
                fs::write(path.with_extension("new"), text).expect("a file");
                fs::rename(path.with_extension("new"), path).expect("a rename");
                self.written.insert(path.clone(), fields);
                return "an edit".into();
            }
            _ => return run.follow_advice().unwrap_or("no advice".into()),
        };
        let end = run.run(&line);
        format!("{line}: exit {}", end.code)
    }

    fn last(&self, _run: &Runner<'_>) -> &'static str {
        "manifest migrate app"
    }

    fn check(&mut self, _run: &mut Runner<'_>) -> Result<(), String> {
        for (path, written) in &self.written {
            let shown = path.display();
            let found = read(path).ok_or(format!("{shown} is no whole document"))?;
            for (name, value) in written.iter().filter(|(name, _)| !OF_STEPS.contains(&name.as_str())) {
                if found.get(name) != Some(value) {
                    return Err(format!("{shown}: the field {name} is not what its application wrote"));
                }
            }
        }
        Ok(())
    }
}
