//! Each system call of each verb that writes fails, is cut short or is the last: once and from then on. Then the same
//! command runs in peace, and the result must be that of an undisturbed run.

mod syscalls;
mod tracer;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use crate::command::{End, haul, output};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};
use crate::scene::{Scene, Scenes, Script};
use crate::{scenes, tree};
use syscalls::{ALL, is_of_the_process};
use tracer::{Fault, Injection, Traced};

/// No command of a scene takes longer than a second undisturbed.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Campaign<'a> {
    options: &'a Options,
    scenes: Scenes<'a>,
    scripts: Vec<&'static Script>,
    next: usize,
    /// How often each call occurs in an undisturbed run, by scene.
    counts: BTreeMap<&'static str, Vec<u64>>,
}

impl<'a> Campaign<'a> {
    pub fn new(options: &'a Options) -> Self {
        let scripts = scenes::ALL.iter().filter(|script| options.takes_noun(script.noun)).collect();
        Self { options, scenes: Scenes::new(options), scripts, next: 0, counts: BTreeMap::new() }
    }

    /// Makes one trial of the next scene.
    pub fn turn(&mut self, results: &mut Results) {
        if self.scripts.is_empty() {
            return;
        }
        let script = self.scripts[self.next % self.scripts.len()];
        self.next += 1;
        let options = self.options;
        let scene = match self.scenes.get(script) {
            Ok(scene) => scene,
            Err(detail) => {
                let what = json!("undisturbed");
                let verdict = Verdict::Stuck;
                results.record(&Trial { part: "calls", scene: script.name.into(), what, verdict, detail });
                self.scripts.retain(|it| it.name != script.name);
                return;
            }
        };
        let counts = self.counts.entry(script.name).or_insert_with(|| {
            scene.reset();
            trace(scene, options, &Injection { root: &scene.work, call: None, at: 0, fault: Fault::None }).counts
        });
        let mut random = Rng::with_seed(options.seed ^ results.tried("calls", script.name) << 8);
        let (call, at, fault) = choose(counts, &mut random);
        scene.reset();
        let injection = Injection { root: &scene.work, call: Some(ALL[call].name), at, fault };
        let traced = trace(scene, options, &injection);
        let (verdict, detail) = judge(scene, options, fault, &traced);
        results.record(&Trial {
            part: "calls",
            scene: script.name.into(),
            what: json!({
                "call": ALL[call].name,
                "at": at,
                "fault": format!("{fault:?}"),
                "hit": traced.hit,
                "code": traced.code,
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

fn trace(scene: &Scene, options: &Options, injection: &Injection<'_>) -> Traced {
    let command = haul(&options.haul, &scene.work, &scene.command());
    tracer::run(command, injection, LIMIT)
}

fn judge(scene: &Scene, options: &Options, fault: Fault, traced: &Traced) -> (Verdict, String) {
    let first = End { code: traced.code, text: output(&scene.work), is_hung: traced.is_hung };
    if let Some(bad) = is_broken(&first) {
        return bad;
    }
    if !scene.is_source_whole() {
        return (Verdict::Lost, "the source was changed".into());
    }
    let found = scene.result(&options.haul);
    let is_whole = found == scene.expected;
    match (first.code, fault) {
        (0, _) if is_whole => return (Verdict::Absorbed, String::new()),
        (0, _) => return (Verdict::Lost, format!("exit 0, but {}", tree::difference(&scene.expected, &found))),
        (3, Fault::Once(error) | Fault::FromThenOn(error)) if is_of_the_process(error) => {
            return (Verdict::Misjudged, "single items were refused for an error of the process".into());
        }
        (3, Fault::FromThenOn(libc::EIO)) => {
            return (Verdict::Misjudged, "single items were refused for a device that fails".into());
        }
        _ => {}
    }
    let again = scene.run_again(&options.haul);
    if let Some(bad) = is_broken(&again) {
        return bad;
    }
    let found = scene.result(&options.haul);
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

fn is_broken(end: &End) -> Option<(Verdict, String)> {
    if end.is_hung {
        Some((Verdict::Hung, String::new()))
    } else if end.panicked() {
        Some((Verdict::Panicked, end.text.lines().find(|line| line.contains("panicked")).unwrap_or_default().into()))
    } else {
        None
    }
}
