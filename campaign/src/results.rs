//! The results of trials: JSON lines in a file, and a table that adds them up.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde_json::{Value, json};

/// How a trial ended. The first three are as they should be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Nothing was to be seen of the fault: the result is the undisturbed one.
    Absorbed,
    /// The command failed, and the same command again gave the undisturbed result.
    Resumed,
    /// Single items were refused by name (exit 3), and everything else is as it should be.
    Refused,
    /// Something is missing or changed although the command said that all is well, or a source was changed.
    Lost,
    /// The command cannot be brought to an end any more.
    Stuck,
    /// The exit code or the message is not what the fault calls for.
    Misjudged,
    Panicked,
    Hung,
}

impl Verdict {
    pub const ALL: [Self; 8] = [
        Self::Absorbed,
        Self::Resumed,
        Self::Refused,
        Self::Lost,
        Self::Stuck,
        Self::Misjudged,
        Self::Panicked,
        Self::Hung,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Absorbed => "absorbed",
            Self::Resumed => "resumed",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Stuck => "stuck",
            Self::Misjudged => "misjudged",
            Self::Panicked => "panicked",
            Self::Hung => "hung",
        }
    }

    pub fn is_failure(self) -> bool {
        self >= Self::Lost
    }
}

/// What one trial was and how it ended.
pub struct Trial {
    pub part: &'static str,
    pub scene: String,
    /// What was done, so that it can be done again.
    pub what: Value,
    pub verdict: Verdict,
    /// Why, if it failed.
    pub detail: String,
}

pub struct Results {
    file: File,
    /// Trials by part and scene, then by verdict; those of earlier campaigns included.
    counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Results {
    /// Opens the results at `path`, and adds up what is there.
    pub fn open(path: &Path) -> Self {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).expect("the directory of the results");
        }
        let file = OpenOptions::new().create(true).append(true).read(true).open(path).expect("the file of the results");
        let mut results = Self { file, counts: BTreeMap::new() };
        let lines = BufReader::new(File::open(path).expect("the file of the results")).lines();
        for line in lines.map_while(Result::ok) {
            // The last line of a campaign that was killed may be cut.
            let Ok(trial) = serde_json::from_str::<Value>(&line) else { continue };
            let text = |name: &str| trial[name].as_str().unwrap_or("?").to_owned();
            results.add(&format!("{} {}", text("part"), text("scene")), &text("verdict"));
        }
        results
    }

    fn add(&mut self, row: &str, verdict: &str) {
        *self.counts.entry(row.to_owned()).or_default().entry(verdict.to_owned()).or_default() += 1;
    }

    /// Returns how many trials of this scene there are, so that a later campaign does not repeat them.
    pub fn tried(&self, part: &str, scene: &str) -> u64 {
        self.counts.get(&format!("{part} {scene}")).map_or(0, |row| row.values().sum())
    }

    pub fn record(&mut self, trial: &Trial) {
        self.add(&format!("{} {}", trial.part, trial.scene), trial.verdict.name());
        let line = json!({
            "part": trial.part,
            "scene": trial.scene,
            "what": trial.what,
            "verdict": trial.verdict.name(),
            "detail": trial.detail,
        });
        writeln!(self.file, "{line}").expect("a line of results");
        if trial.verdict.is_failure() {
            eprintln!("{}: {} {}: {} {}", trial.verdict.name(), trial.part, trial.scene, trial.what, trial.detail);
        }
    }

    pub fn has_failures(&self) -> bool {
        let failures: Vec<_> = Verdict::ALL.into_iter().filter(|it| it.is_failure()).map(Verdict::name).collect();
        self.counts.values().flat_map(|row| row.keys()).any(|verdict| failures.contains(&verdict.as_str()))
    }

    pub fn print_table(&self) {
        print!("{:<34}{:>8}", "part and scene", "tried");
        for verdict in Verdict::ALL {
            print!("{:>11}", verdict.name());
        }
        println!();
        for (row, verdicts) in &self.counts {
            print!("{row:<34}{:>8}", verdicts.values().sum::<u64>());
            for verdict in Verdict::ALL {
                print!("{:>11}", verdicts.get(verdict.name()).copied().unwrap_or(0));
            }
            println!();
        }
        self.print_summary();
    }

    /// Prints the sums by part and noun.
    fn print_summary(&self) {
        let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        for (row, verdicts) in &self.counts {
            let (part, scene) = row.split_once(' ').unwrap_or((row, ""));
            let noun = scene.split('-').next().unwrap_or_default();
            let lost = Verdict::ALL.into_iter().filter(|verdict| verdict.is_failure());
            let lost: u64 = lost.filter_map(|verdict| verdicts.get(verdict.name())).sum();
            let sum = sums.entry((part, noun)).or_default();
            sum.0 += verdicts.values().sum::<u64>();
            sum.1 += lost;
        }
        println!("\n{:<12}{:<12}{:>10}{:>10}{:>10}", "part", "noun", "tried", "survived", "lost");
        for ((part, noun), (tried, lost)) in sums {
            println!("{part:<12}{noun:<12}{tried:>10}{:>10}{lost:>10}", tried - lost);
        }
    }
}
