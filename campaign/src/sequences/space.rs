//! A memory space: its log never changes by haul, and a live store is always the whole of some log that was there.

use std::collections::BTreeMap;
use std::fs;

use super::{Model, Runner};
use crate::tree::{Tree, tree};

#[derive(Default)]
pub struct Space {
    log: Tree,
    /// The store of each log that the space has had. The same log always gives the same bytes.
    stores: BTreeMap<String, Tree>,
    files: u64,
}

const MIGRATE: &str = "space migrate ./s --batch-size 10 --checkpoint-interval 20";

impl Space {
    /// Remembers the log as it is now, and what an undisturbed migration in another place makes of it.
    fn learn(&mut self, run: &mut Runner<'_>) {
        self.log = tree(&run.work, &|path| path == "s" || path.starts_with("s/wal"));
        run.shell("rm -rf twin && mkdir -p twin && cp -a s/wal twin/wal");
        let end = run.run("space migrate ./twin");
        assert_eq!(end.code, 0, "{}", end.text);
        self.stores.insert(format!("{:?}", self.log), store(run, "twin/dual-000001"));
    }
}

/// Returns the files of a store. The manifest is left out: it names the generation.
fn store(run: &Runner<'_>, path: &str) -> Tree {
    tree(&run.work.join(path), &|name| name != "MANIFEST")
}

impl Model for Space {
    fn begin(&mut self, run: &mut Runner<'_>) {
        let end = run.run("space generate ./s --nodes 60 --seed 7 --files 3");
        assert_eq!(end.code, 0, "{}", end.text);
        self.learn(run);
    }

    fn act(&mut self, run: &mut Runner<'_>) -> String {
        let line = match run.random.u8(..14) {
            0 | 1 => MIGRATE.to_owned(),
            2 => format!("{MIGRATE} --no-publish"),
            3 => format!("{MIGRATE} --verify full"),
            4 => format!("{MIGRATE} --restart --yes"),
            5 => "space publish ./s".into(),
            6 => "space rollback ./s --yes".into(),
            7 => "space clean ./s --yes".into(),
            8 => "space verify ./s --full".into(),
            9 | 10 => {
                let killed = ["", " --no-publish", " --restart --yes"][run.random.usize(..3)];
                let line = format!("{MIGRATE}{killed}");
                run.run_killed(&line);
                return format!("killed: {line}");
            }
            11 => {
                // The application goes on: another file of the log.
                self.files += 1;
                let (seed, number) = (100 + self.files, self.files);
                run.run(&format!("space generate ./more{number} --nodes 7 --seed {seed}"));
                run.shell(&format!("cp more{number}/wal/*.log s/wal/wal-00000000ffff{number:04}.log"));
                self.learn(run);
                return "the log grows".into();
            }
            12 => {
                run.shell("touch s/wal/*");
                return "the log is touched".into();
            }
            _ => return run.follow_advice().unwrap_or("no advice".into()),
        };
        let end = run.run(&line);
        format!("{line}: exit {}", end.code)
    }

    fn last(&self, _run: &Runner<'_>) -> &'static str {
        "space migrate ./s --restart --yes"
    }

    fn check(&mut self, run: &mut Runner<'_>) -> Result<(), String> {
        let log = tree(&run.work, &|path| path == "s" || path.starts_with("s/wal"));
        if log != self.log {
            return Err("the log was changed".into());
        }
        let Ok(live) = fs::read_to_string(run.work.join("s/CURRENT")) else { return Ok(()) };
        let live = live.trim();
        if live == "wal" {
            return Ok(());
        }
        let found = store(run, &format!("s/{live}"));
        if !self.stores.values().any(|store| *store == found) {
            return Err(format!("{live} is live and the store of no log that there was"));
        }
        Ok(())
    }
}
