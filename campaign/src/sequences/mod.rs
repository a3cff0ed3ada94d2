//! Random commands follow each other over one store: runs, kills, edits, restarts, rollbacks, the advice that is printed.
//! After each, what must be true of the store is compared with a model.

mod cas;
mod db;
mod manifest;
mod space;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::advice;
use crate::command::{self, End, words};
use crate::judge::{ADVICE_MAX, is_broken};
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
    /// Returns what there is, wherever it is, that cannot be made again.
    fn copies(&self, _run: &Runner<'_>) -> BTreeSet<String> {
        BTreeSet::new()
    }
    /// Looks at the store. Returns what is not as it must be.
    fn check(&mut self, run: &mut Runner<'_>) -> Result<(), String>;
    /// Returns the command that must succeed in the end, once its advice is followed.
    fn last(&self, run: &Runner<'_>) -> &'static str;
}

/// Runs commands for a model, some of them killed.
pub struct Runner<'a> {
    options: &'a Options,
    pub work: PathBuf,
    pub random: Rng,
    /// What the last `next:` line names.
    advice: Vec<Vec<String>>,
    /// The exit code of the last command that ran to its end.
    code: i32,
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
        self.code = 0;
        let status = child.wait().expect("an end");
        status.code().is_none()
    }

    /// Runs what the last command advised, if it was a command of haul's. Returns it.
    pub fn follow_advice(&mut self) -> Option<String> {
        let mut advice = std::mem::take(&mut self.advice);
        if advice.is_empty() {
            return None;
        }
        let arguments = advice.swap_remove(self.random.usize(..advice.len()));
        let end = self.run_words(&arguments);
        Some(format!("advice: {}: exit {}", arguments.join(" "), end.code))
    }

    /// Says that something is lost that no look at the store alone tells.
    pub fn lose(&mut self, what: String) {
        self.broken.get_or_insert((Verdict::Lost, what));
    }

    /// Runs the command, and after a failure what is advised, until it succeeds.
    pub fn run_through(&mut self, line: &str) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..ADVICE_MAX {
            let end = self.run(line);
            if end.code == 0 {
                return Ok(());
            }
            last = end.text.trim().to_owned();
            while self.code != 0 && self.follow_advice().is_some() {}
        }
        Err(format!("{line} does not succeed: {last}"))
    }

    /// Copies with `cp`, as an operator does.
    pub fn shell(&self, script: &str) {
        let status = Command::new("sh").args(["-c", script]).current_dir(&self.work).status().expect("a shell");
        assert!(status.success(), "{script}");
    }

    fn note(&mut self, end: &End, arguments: &[String]) {
        if let Some((verdict, _)) = is_broken(end) {
            self.broken = Some((verdict, format!("{}: {}", arguments.join(" "), end.text)));
        }
        self.code = end.code;
        self.advice = advice::commands(&end.text, &self.options.haul, arguments);
    }
}

pub struct Campaign<'a> {
    options: &'a Options,
    models: Vec<&'static str>,
    next: usize,
}

impl<'a> Campaign<'a> {
    pub fn new(options: &'a Options) -> Self {
        let models = ["space", "cas", "manifest", "db"].into_iter().filter(|noun| options.takes_noun(noun)).collect();
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
        let mut runner = Runner {
            options: self.options,
            work,
            random: Rng::with_seed(seed),
            advice: Vec::new(),
            code: 0,
            broken: None,
        };
        let mut model: Box<dyn Model> = match noun {
            "space" => Box::new(space::Space::default()),
            "cas" => Box::new(cas::Cas::default()),
            "db" => Box::new(db::Database::default()),
            _ => Box::new(manifest::Manifest::default()),
        };
        model.begin(&mut runner);
        let mut sequence = Sequence { noun, seed, done: Vec::new() };
        for number in 0..OPERATIONS {
            let is_last = number + 1 == OPERATIONS;
            let act = if is_last { finish } else { |model: &mut dyn Model, run: &mut Runner<'_>| model.act(run) };
            if !sequence.step(&mut *model, &mut runner, results, act) {
                return;
            }
            // Half of the failures are followed by what was advised, the others by whatever comes next.
            let advised = if !is_last && runner.code != 0 && runner.random.bool() { ADVICE_MAX } else { 0 };
            for _ in 0..advised {
                let advice = |_: &mut dyn Model, run: &mut Runner<'_>| run.follow_advice().unwrap_or_default();
                if runner.advice.is_empty() {
                    break;
                }
                if !sequence.step(&mut *model, &mut runner, results, advice) {
                    return;
                }
            }
        }
    }
}

/// Operations on one store.
struct Sequence {
    noun: &'static str,
    seed: u64,
    done: Vec<String>,
}

impl Sequence {
    /// Does something, judges and records it. Returns false if something is wrong.
    fn step(
        &mut self,
        model: &mut dyn Model,
        runner: &mut Runner<'_>,
        results: &mut Results,
        act: impl FnOnce(&mut dyn Model, &mut Runner<'_>) -> String,
    ) -> bool {
        let before = model.copies(runner);
        let did = act(model, runner);
        if did.starts_with("advice: ")
            && let Some(lost) = before.difference(&model.copies(runner)).next()
        {
            runner.lose(format!("the last copy of {lost} is gone as advised"));
        }
        self.done.push(did);
        let (verdict, detail) = judge(model, runner);
        // What led to a state is of interest only if that is wrong, and long.
        let shown = if verdict.is_failure() { 0 } else { self.done.len() - 1 };
        let what = json!({"seed": self.seed, "operations": self.done[shown..]});
        results.record(&Trial { part: "sequences", scene: self.noun.into(), what, verdict, detail });
        !verdict.is_failure()
    }
}

/// Brings the store to an end.
fn finish(model: &mut dyn Model, runner: &mut Runner<'_>) -> String {
    let line = model.last(runner);
    if let Err(problem) = runner.run_through(line) {
        runner.broken.get_or_insert((Verdict::Stuck, problem));
    }
    format!("in the end: {line}")
}

fn judge(model: &mut dyn Model, runner: &mut Runner<'_>) -> (Verdict, String) {
    match (runner.broken.take(), model.check(runner)) {
        (Some(broken), _) => broken,
        (None, Err(difference)) => (Verdict::Lost, difference),
        (None, Ok(())) => (Verdict::Absorbed, String::new()),
    }
}
