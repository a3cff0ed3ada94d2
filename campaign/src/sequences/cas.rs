//! A content-addressed store: sources never change, and the target never lacks an object that it has to have.

use std::collections::BTreeSet;
use std::fs;

use super::{Model, Runner};
use crate::tree::{Tree, tree};

#[derive(Default)]
pub struct Cas {
    sources: Tree,
    /// Objects of each source by their new keys.
    of: [BTreeSet<String>; 2],
    /// Objects that were put at some time. A rollback of a replacement may bring back any of them.
    put: BTreeSet<String>,
    number: u64,
}

const SOURCES: [&str; 2] = ["old", "other"];

fn is_source(path: &str) -> bool {
    SOURCES.iter().any(|source| path.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Returns the keys that the index lists, each of which has its blob; else what is wrong.
fn keys(run: &Runner<'_>, store: &str) -> Result<BTreeSet<String>, String> {
    let root = run.work.join(store);
    let Ok(index) = fs::read_to_string(root.join("index.ndjson")) else { return Ok(BTreeSet::new()) };
    let mut found = BTreeSet::new();
    for line in index.lines() {
        let line: serde_json::Value = serde_json::from_str(line).map_err(|_| "a line of the index is damaged")?;
        let key =
            line["key"].as_str().or(line["digest"].as_str()).or(line["hash"].as_str()).ok_or("a line has no key")?;
        if !root.join(format!("objects/{}/{}/{key}", &key[..2], &key[2..4])).is_file() {
            return Err(format!("the index lists {key}, which is not there"));
        }
        found.insert(key.to_owned());
    }
    Ok(found)
}

/// Returns the first key in a text.
fn key_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit());
    words.filter(|word| word.len() == 64).map(str::to_owned).next()
}

impl Model for Cas {
    fn begin(&mut self, run: &mut Runner<'_>) {
        run.run("cas generate old --objects 30 --generation v0.5 --seed 1");
        run.run("cas generate other --objects 12 --generation v0.2 --seed 2");
        self.sources = tree(&run.work, &is_source);
        for (index, source) in SOURCES.iter().enumerate() {
            let end = run.run(&format!("cas migrate --source {source} --target twin{index}"));
            assert_eq!(end.code, 0, "{}", end.text);
            self.of[index] = keys(run, &format!("twin{index}")).expect("a whole store");
            assert!(!self.of[index].is_empty());
        }
    }

    fn act(&mut self, run: &mut Runner<'_>) -> String {
        let source = SOURCES[run.random.usize(..2)];
        let how = ["", " --merge", " --replace", " --merge --restart --yes", " --no-publish"][run.random.usize(..5)];
        let migrate =
            format!("cas migrate --source {source} --target new{how} --batch-size 5 --checkpoint-interval 10");
        let line = match run.random.u8(..12) {
            0..=2 => migrate,
            3..=5 => {
                run.run_killed(&migrate);
                return format!("killed: {migrate}");
            }
            6 => "cas rollback new --yes".into(),
            7 => "cas clean new --yes".into(),
            8 => "cas verify new".into(),
            9 => {
                self.number += 1;
                fs::write(run.work.join("content"), format!("content {}", self.number)).expect("a file");
                let end = run.run("cas put new content --created-at 7");
                if end.code == 0 {
                    self.put.extend(key_in(&end.text));
                }
                return format!("cas put: exit {}", end.code);
            }
            10 => {
                run.run_killed("cas rollback new --yes");
                return "killed: cas rollback new --yes".into();
            }
            _ => return run.follow_advice().unwrap_or("no advice".into()),
        };
        let end = run.run(&line);
        if end.code == 0 && line.starts_with("cas migrate") && !line.contains("--no-publish") {
            let index = usize::from(source == SOURCES[1]);
            if let Ok(found) = keys(run, "new")
                && !self.of[index].is_subset(&found)
            {
                run.lose(format!("{line}: exit 0, without objects of {source}"));
            }
        }
        format!("{line}: exit {}", end.code)
    }

    fn last(&self, run: &Runner<'_>) -> &'static str {
        match run.work.join("new/index.ndjson").exists() {
            true => "cas migrate --source old --target new --merge --restart --yes",
            false => "cas migrate --source old --target new --restart --yes",
        }
    }

    fn copies(&self, run: &Runner<'_>) -> BTreeSet<String> {
        // Only what was put has no other place.
        let everything = tree(&run.work, &|path| path.starts_with("new"));
        let names = everything.keys().filter_map(|path| path.rsplit('/').next());
        names.filter(|name| self.put.contains(*name)).map(str::to_owned).collect()
    }

    fn check(&mut self, run: &mut Runner<'_>) -> Result<(), String> {
        if tree(&run.work, &is_source) != self.sources {
            return Err("a source was changed".into());
        }
        let found = keys(run, "new")?;
        let known: BTreeSet<_> = self.of.iter().flatten().chain(&self.put).cloned().collect();
        if let Some(key) = found.difference(&known).next() {
            return Err(format!("{key} came from nowhere"));
        }
        // A published store is the whole of what it was made of: all of a source, or nothing of it but what both have.
        let is_whole = self.of.iter().any(|source| source.is_subset(&found)) || found.is_subset(&self.put);
        if is_whole { Ok(()) } else { Err(format!("the store has {} objects, and no source is whole", found.len())) }
    }
}
