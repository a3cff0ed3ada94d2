//! Each system call of each verb that writes fails, is cut short or is the last: once and from then on. Then the same
//! command runs in peace, after what was advised or at once, and the result must be that of an undisturbed run.

use fastrand::Rng;
use serde_json::json;

use crate::command::{End, output};
use crate::judge::{self, Verdicts};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};
use crate::scene::{Scene, Scenes, Turn};
use crate::tracer::syscalls::{ALL, is_of_the_process};
use crate::tracer::{Fault, Injection, Traced, no_hook};

const PART: &str = "calls";

pub struct Campaign<'a> {
    options: &'a Options,
    turn: Turn,
}

impl<'a> Campaign<'a> {
    pub fn new(options: &'a Options) -> Self {
        Self { options, turn: Turn::of(options) }
    }

    /// Makes one trial of the next scene.
    pub fn turn(&mut self, scenes: &mut Scenes<'_>, results: &mut Results) {
        let Some(scene) = scenes.next(&mut self.turn, PART, results) else { return };
        let name = scene.script.name;
        let mut random = Rng::with_seed(self.options.seed ^ (results.tried(PART, name) << 8));
        let (call, at, fault) = choose(scene.counts(self.options), &mut random);
        let follows_advice = random.bool();
        scene.reset();
        let injection = Injection { root: &scene.work, call: Some(ALL[call].name), at, fault, hook: &no_hook };
        let traced = scene.trace(self.options, &injection);
        let (advice, (verdict, detail)) = judge(scene, self.options, fault, &traced, follows_advice);
        results.record(&Trial {
            part: PART,
            scene: name.into(),
            what: json!({
                "call": ALL[call].name,
                "at": at,
                "fault": format!("{fault:?}"),
                "hit": traced.hit,
                "code": traced.code,
                "advice": advice,
            }),
            verdict,
            detail,
        });
    }
}

/// Chooses a call that occurs: each kind of call equally often, however many there are of it.
fn choose(counts: &[u64], random: &mut Rng) -> (usize, u64, Fault) {
    let present: Vec<_> = (0..ALL.len()).filter(|index| counts[*index] > 0).collect();
    let call = present[random.usize(..present.len())];
    let at = random.u64(1..=counts[call]);
    let errors = ALL[call].errors;
    let error = errors[random.usize(..errors.len())];
    let fault = match random.u8(..8) {
        0 => Fault::Kill,
        1 if ALL[call].length.is_some() => Fault::Short,
        // A call that is interrupted for ever is no fault that a system has.
        2..=4 if error != libc::EINTR => Fault::FromThenOn(error),
        _ => Fault::Once(error),
    };
    (call, at, fault)
}

/// Returns how many items the output calls refused.
fn refused(text: &str) -> u64 {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("refused"));
    lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).max().unwrap_or(u64::MAX)
}

/// Returns the advice that was followed, and what is to be said of the trial.
fn judge(
    scene: &Scene,
    options: &Options,
    fault: Fault,
    traced: &Traced,
    follows_advice: bool,
) -> (Vec<String>, (Verdict, String)) {
    let first = End { code: traced.code, text: output(&scene.work), is_hung: traced.is_hung };
    match (first.code, fault) {
        (3, Fault::Once(error) | Fault::FromThenOn(error)) if is_of_the_process(error) => {
            let detail = "single items were refused for an error of the process";
            return (Vec::new(), (Verdict::Misjudged, detail.into()));
        }
        // Where the device fails at the last items, there is no third one to tell by.
        (3, Fault::FromThenOn(libc::EIO)) if refused(&first.text) > 2 => {
            let detail = "single items were refused for a device that fails";
            return (Vec::new(), (Verdict::Misjudged, detail.into()));
        }
        _ => {}
    }
    let mut verdicts = Verdicts { scene, options, advice: Vec::new() };
    let verdict = judge::after(&mut verdicts, &first, follows_advice);
    (verdicts.advice, verdict)
}
