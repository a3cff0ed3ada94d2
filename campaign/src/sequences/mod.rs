//! Random commands follow each other over one store: runs, kills, edits, restarts, rollbacks, the advice that is printed.
//! After each, what must be true of the store is compared with a model.

mod cas;
mod manifest;
mod space;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::command::{self, End, words};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};

/// How many operations one sequence has.
const OPERATIONS: usize = 12;

/// What differs between the nouns.
trait Model {
    /// Makes the store in an empty directory.
    fn begin(&mut self, run: &mut Runner<'_>);
    /// Does something random. Returns what, for the results.
    fn act(&mut self, run: &mut Runner<'_>) -> String;
    /// Looks at the store. Returns what is not as it must be.
    fn check(&mut self, run: &mut Runner<'_>) -> Result<(), String>;
}

/// Runs commands for a model, some of them killed.
pub struct Runner<'a> {
    options: &'a Options,
    pub work: PathBuf,
    pub random: Rng,
    /// The last `next:` line that was printed, as arguments.
    advice: Option<Vec<String>>,
    /// A panic or a hang of any command.
    broken: Option<(Verdict, String)>,
}

impl Runner<'_> {
    /// Runs to the end.
    pub fn run(&mut self, line: &str) -> End {
        self.run_words(&words(line))
    }

    fn run_words(&mut self, arguments: &[String]) -> End {
        let end = command::run(&self.options.haul, &self.work, arguments);
        self.note(&end, arguments);
        end
    }

    /// Runs and kills it after a random moment, unless it has ended by then. Returns whether it was killed.
    pub fn run_killed(&mut self, line: &str) -> bool {
        let arguments = words(line);
        let mut child = command::haul(&self.options.haul, &self.work, &arguments).spawn().expect("haul starts");
        std::thread::sleep(Duration::from_micros(self.random.u64(0..60_000)));
        let _ = child.kill();
        let status = child.wait().expect("an end");
        status.code().is_none()
    }

    /// Runs what the last command advised, if it was a command of haul's. Returns it.
    pub fn follow_advice(&mut self) -> Option<String> {
        let arguments = self.advice.take()?;
        self.run_words(&arguments);
        Some(arguments.join(" "))
    }

    /// Copies with `cp`, as an operator does.
    pub fn shell(&self, script: &str) {
        let status = Command::new("sh").args(["-c", script]).current_dir(&self.work).status().expect("a shell");
        assert!(status.success(), "{script}");
    }

    fn note(&mut self, end: &End, arguments: &[String]) {
        if end.panicked() {
            self.broken = Some((Verdict::Panicked, format!("{}: {}", arguments.join(" "), end.text)));
        }
        let advice = end.text.lines().rev().find_map(|line| line.trim().strip_prefix("next:"));
        self.advice = advice.and_then(command_in);
    }
}

/// Returns the arguments of the `haul` command that a line of advice names in backticks. One that asks first is answered.
fn command_in(advice: &str) -> Option<Vec<String>> {
    let quoted = advice.split('`').nth(1)?.strip_prefix("haul ")?;
    // A placeholder is for the reader to fill in.
    if quoted.contains(['<', '…', '\'', '"']) || quoted.chars().any(|c| c.is_ascii_uppercase()) {
        return None;
    }
    let mut arguments = words(quoted);
    let asks = arguments.iter().any(|it| ["rollback", "clean", "--restart"].contains(&it.as_str()));
    if asks && !arguments.iter().any(|it| it == "--yes") {
        arguments.push("--yes".into());
    }
    Some(arguments)
}

pub struct Campaign<'a> {
    options: &'a Options,
    models: Vec<&'static str>,
    next: usize,
}

impl<'a> Campaign<'a> {
    pub fn new(options: &'a Options) -> Self {
        let models = ["space", "cas", "manifest"].into_iter().filter(|noun| options.takes_noun(noun)).collect();
        Self { options, models, next: 0 }
    }

    /// Makes one sequence of the next noun. Each operation counts as a trial.
    pub fn turn(&mut self, results: &mut Results) {
        if self.models.is_empty() {
            return;
        }
        let noun = self.models[self.next % self.models.len()];
        self.next += 1;
        let seed = self.options.seed ^ (results.tried("sequences", noun) << 8);
        let work = self.options.directory.join(format!("sequence-{noun}"));
        command::remove(&work);
        std::fs::create_dir_all(&work).expect("a directory");
        let mut runner =
            Runner { options: self.options, work, random: Rng::with_seed(seed), advice: None, broken: None };
        let mut model: Box<dyn Model> = match noun {
            "space" => Box::new(space::Space::default()),
            "cas" => Box::new(cas::Cas::default()),
            _ => Box::new(manifest::Manifest::default()),
        };
        model.begin(&mut runner);
        let mut done = Vec::new();
        for _ in 0..OPERATIONS {
            done.push(model.act(&mut runner));
            let (verdict, detail) = match (runner.broken.take(), model.check(&mut runner)) {
                (Some(broken), _) => broken,
                (None, Err(difference)) => (Verdict::Lost, difference),
                (None, Ok(())) => (Verdict::Absorbed, String::new()),
            };
            let what = json!({"seed": seed, "operations": done});
            results.record(&Trial { part: "sequences", scene: noun.into(), what, verdict, detail });
            if verdict.is_failure() {
                return;
            }
        }
    }
}
