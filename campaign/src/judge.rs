//! Says what a trial shows: what the disturbed command has left, what the advice and the next run make of it.

use crate::advice;
use crate::command::{self, End};
use crate::options::Options;
use crate::results::Verdict;
use crate::scene::Scene;
use crate::tree;

/// Commands that are followed at most, one after the other.
pub const ADVICE_MAX: usize = 6;

/// A trial in a scene that is being judged.
pub struct Verdicts<'a> {
    pub scene: &'a Scene,
    pub options: &'a Options,
    /// What was advised and done.
    pub advice: Vec<String>,
}

/// Judges a command that ended like this, with what is there now.
pub fn after(verdicts: &mut Verdicts<'_>, first: &End, follows_advice: bool) -> (Verdict, String) {
    let (scene, options) = (verdicts.scene, verdicts.options);
    if let Some(bad) = is_broken(first).or_else(|| is_spoilt(scene)) {
        return bad;
    }
    let found = scene.result(&options.haul);
    if first.code == 0 && found == scene.expected {
        return (Verdict::Absorbed, String::new());
    }
    if first.code == 0 && !scene.is_to_be_recovered(&found) {
        return (Verdict::Lost, format!("exit 0, but {}", tree::difference(&scene.expected, &found)));
    }
    // A command that makes another generation makes yet another one when it is repeated as advised.
    if follows_advice
        && scene.script.again.is_none()
        && let Some(bad) = verdicts.follow(first)
    {
        return bad;
    }
    verdicts.run_again(first)
}

impl Verdicts<'_> {
    /// Does what is advised until nothing is any more. Returns a failure.
    fn follow(&mut self, first: &End) -> Option<(Verdict, String)> {
        let mut last = self.scene.command();
        let mut text = first.text.clone();
        for _ in 0..ADVICE_MAX {
            let command = advice::commands(&text, &self.options.haul, &last).into_iter().next()?;
            let end = command::run(&self.options.haul, &self.scene.work, &command);
            self.advice.push(format!("{}: exit {}", command.join(" "), end.code));
            if let Some(bad) = is_broken(&end).or_else(|| is_spoilt(self.scene)) {
                return Some(bad);
            }
            (last, text) = (command, end.text);
        }
        None
    }

    /// Lets the run go on in peace and compares what comes of it.
    fn run_again(&self, first: &End) -> (Verdict, String) {
        let scene = self.scene;
        let again = scene.run_again(&self.options.haul);
        if let Some(bad) = is_broken(&again).or_else(|| is_spoilt(scene)) {
            return bad;
        }
        let found = scene.result(&self.options.haul);
        if found == scene.expected {
            (Verdict::Resumed, String::new())
        } else if scene.script.may_stay && found == scene.before {
            (Verdict::Resumed, "the state before stands".into())
        } else if first.code == 3 {
            (Verdict::Refused, tree::difference(&scene.expected, &found))
        } else if again.code == 0 {
            (Verdict::Lost, format!("the second run says 0, but {}", tree::difference(&scene.expected, &found)))
        } else {
            let last = again.text.lines().last().unwrap_or_default().to_owned();
            (Verdict::Stuck, format!("exit {}, then {}: {last}", first.code, again.code))
        }
    }
}

fn is_spoilt(scene: &Scene) -> Option<(Verdict, String)> {
    if !scene.is_source_whole() {
        return Some((Verdict::Lost, "the source was changed".into()));
    }
    scene.lost_content().map(|detail| (Verdict::Lost, detail))
}

/// Returns what no command may show, whatever happens to it.
pub fn is_broken(end: &End) -> Option<(Verdict, String)> {
    if end.is_hung {
        Some((Verdict::Hung, String::new()))
    } else if end.panicked() {
        Some((Verdict::Panicked, end.text.lines().find(|line| line.contains("panicked")).unwrap_or_default().into()))
    } else {
        None
    }
}
