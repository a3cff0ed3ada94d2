//! The bar on a terminal: phase, bar, counts, rate and time left; below it memory and the last checkpoint.

use std::fmt::Write;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use parking_lot::{Condvar, Mutex};

use super::console::Console;
use super::lines::Lines;
use super::scope::Scope;
use super::speed::Speed;
use super::text::{Done, figures, status};
use crate::pipeline::{Event, Observer, Phase};

/// Often enough to look smooth, and seldom enough to cost nothing.
const DRAW_HZ: u8 = 8;
const TICK: Duration = Duration::from_millis(1000 / DRAW_HZ as u64);
/// The bar counts to this, because a phase may count further than the bar can.
const STEPS: u64 = 1000;

/// Draws the progress of a run until it is dropped.
pub struct Bar {
    lines: Arc<Lines>,
    console: Arc<Console>,
    ending: Arc<Ending>,
    ticker: Option<JoinHandle<()>>,
}

/// Tells the thread that draws to end.
#[derive(Default)]
struct Ending {
    is_due: Mutex<bool>,
    changed: Condvar,
}

impl Bar {
    /// Starts to draw on `console`.
    pub fn start(console: Arc<Console>, scope: Scope) -> Self {
        let lines = Arc::new(Lines::new(console.clone(), scope));
        let ending = Arc::new(Ending::default());
        let canvas = Canvas::new(scope);
        console.attach(Some(canvas.bar.clone()));
        let (seen, end) = (lines.clone(), ending.clone());
        // If no thread can be started, the run goes on without a bar.
        let ticker = Builder::new().name("haul-bar".into()).spawn(move || tick(&seen, &end, canvas)).ok();
        Self { lines, console, ending, ticker }
    }
}

impl Observer for Bar {
    fn observe(&self, event: &Event) {
        self.lines.observe(event);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        *self.ending.is_due.lock() = true;
        self.ending.changed.notify_all();
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
        self.console.attach(None);
    }
}

fn tick(lines: &Lines, ending: &Ending, mut canvas: Canvas) {
    let mut is_due = ending.is_due.lock();
    while !*is_due {
        canvas.draw(lines);
        ending.changed.wait_for(&mut is_due, TICK);
    }
    canvas.bar.finish_and_clear();
}

/// The bar, and the speeds that it shows.
struct Canvas {
    bar: ProgressBar,
    scope: Scope,
    texts: Arc<Mutex<Texts>>,
    phase: Option<Phase>,
    records: Speed,
    work: Speed,
}

#[derive(Default)]
struct Texts {
    phase: String,
    figures: String,
    status: String,
}

impl Canvas {
    fn new(scope: Scope) -> Self {
        let texts = Arc::new(Mutex::new(Texts::default()));
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr_with_hz(DRAW_HZ));
        let key = |part: fn(&Texts) -> &str| {
            let texts = texts.clone();
            move |_: &ProgressState, out: &mut dyn Write| {
                // The worst case is a line that is cut short, which is no reason to stop drawing.
                let _ = out.write_str(part(&texts.lock()));
            }
        };
        let style = ProgressStyle::with_template("{phase} [{bar:20}] {figures}\n         {status}")
            .expect("the template is right")
            .progress_chars("=> ")
            .with_key("phase", key(|texts| &texts.phase))
            .with_key("figures", key(|texts| &texts.figures))
            .with_key("status", key(|texts| &texts.status));
        bar.set_style(style);
        Self { bar, scope, texts, phase: None, records: Speed::default(), work: Speed::default() }
    }

    fn draw(&mut self, lines: &Lines) {
        let snapshot = lines.figures().snapshot();
        let Some(phase) = snapshot.phase else { return };
        if self.phase != Some(phase) {
            (self.phase, self.records, self.work) = (Some(phase), Speed::default(), Speed::default());
        }
        let done = Done::of(&snapshot, &self.scope);
        self.records.sample(snapshot.elapsed, snapshot.records);
        self.work.sample(snapshot.elapsed, done.map_or(0, |done| done.now));
        *self.texts.lock() = Texts {
            phase: format!("{phase:<8}"),
            figures: figures(&snapshot, &self.scope, &self.records, &self.work),
            status: status(&snapshot, &self.scope),
        };
        let steps = done.map_or(0, |done| {
            let steps = u128::from(done.before + done.now) * u128::from(STEPS) / u128::from(done.total.max(1));
            u64::try_from(steps).unwrap_or(STEPS)
        });
        if self.bar.position() == steps {
            self.bar.tick();
        } else {
            // `set_position` draws as well, so a tick would draw twice.
            self.bar.set_position(steps);
        }
    }
}
