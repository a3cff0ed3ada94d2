//! Arguments that the commands of all rooms share.

use std::fmt::Display;
use std::io::ErrorKind;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::confirm::confirm;
use crate::migration::forecast::History;
use crate::migration::{Error, RunOptions, Start, wait_for_lock};
use crate::observe::{Console, Shape};
use crate::pipeline::{Control, StopToken};

/// The largest budget in MiB whose bytes fit in 64 bits.
const MEMORY_BUDGET_MB_MAX: u64 = u64::MAX >> 20;

/// How to show results and progress.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print one JSON document to standard output
    #[arg(long)]
    pub json: bool,
    /// How to show progress on standard error; auto is a bar on a terminal, else a few lines
    #[arg(long, value_name = "HOW", value_enum, default_value_t, hide_possible_values = false)]
    pub progress: Progress,
    /// Time between two lines of progress, at least 100ms [default: 1s for json; 10s, 30s, then every minute for lines]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub progress_interval: Option<Duration>,
}

impl OutputArgs {
    /// Gives all that goes to standard error the wanted form.
    pub fn shape_console(self) {
        Console::new().set_shape(match self.progress {
            Progress::Json => Shape::Progress,
            Progress::Events => Shape::Events,
            Progress::Auto | Progress::Bar | Progress::None => Shape::Text,
        });
    }

    /// Says something to people, unless only events are wanted or nothing is.
    pub fn say(self, text: impl Display) {
        if matches!(self.progress, Progress::Auto | Progress::Bar) {
            Console::new().line(&text.to_string());
        }
    }
}

/// How to show progress.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    #[value(help = None::<&str>)]
    Auto,
    /// The same, because nothing is animated off a terminal.
    #[value(help = None::<&str>)]
    Bar,
    /// Progress as JSON lines.
    #[value(help = None::<&str>)]
    Json,
    /// Every event as a JSON line.
    #[value(help = None::<&str>)]
    Events,
    /// Notes only.
    #[value(help = None::<&str>)]
    None,
}

/// How much memory a command uses.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Tuning")]
pub struct MemoryArgs {
    /// Memory for everything in flight, in MiB
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=MEMORY_BUDGET_MB_MAX))]
    memory_budget_mb: u64,
}

impl MemoryArgs {
    /// Returns the budget in bytes.
    pub fn budget_bytes(self) -> u64 {
        self.memory_budget_mb << 20
    }
}

/// How much of the machine a run uses. Nothing here changes its result, but for records that do not fit into the memory.
#[derive(Args, Clone)]
#[command(next_help_heading = "Tuning")]
pub struct ResourceArgs {
    #[command(flatten)]
    memory: MemoryArgs,
    /// Share of the budget at which the reader starts to wait, above 0 and up to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = share)]
    pub backpressure_threshold: f64,
    /// Maximum number of records per second
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<NonZeroU32>,
    /// Number of threads that convert, at most 512 [default: one per processor]
    #[arg(long, value_name = "N", value_parser = worker_count)]
    parallel_workers: Option<NonZeroUsize>,
}

/// More threads than this only wait for each other, and a stop waits for all of them.
const WORKERS_MAX: usize = 512;

fn worker_count(text: &str) -> Result<NonZeroUsize, String> {
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= WORKERS_MAX);
    count.ok_or_else(|| format!("a number from 1 to {WORKERS_MAX} is needed"))
}

impl ResourceArgs {
    /// Returns the budget in bytes.
    pub fn memory_budget_bytes(&self) -> u64 {
        self.memory.budget_bytes()
    }

    /// Returns the number of threads.
    pub fn parallel_workers(&self) -> NonZeroUsize {
        let available = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.parallel_workers.unwrap_or_else(available)
    }

    /// Returns these settings with the chosen share of the machine.
    pub fn applied_to(&self, run: RunOptions) -> RunOptions {
        RunOptions {
            memory_budget_bytes: self.memory_budget_bytes(),
            backpressure_threshold: self.backpressure_threshold,
            rate_limit: self.rate_limit,
            parallel_workers: self.parallel_workers(),
            history: History::OfUser,
            ..run
        }
    }
}

/// How long to wait for a lock.
#[derive(Args, Clone, Copy, Default)]
pub struct WaitArgs {
    /// If another run holds the lock, wait for it this long
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// How long to wait for a lock, for commands that take only a moment and are often run side by side.
#[derive(Args, Clone, Copy)]
pub struct ShortWaitArgs {
    /// If another run holds the lock, wait for it this long
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
}

impl From<ShortWaitArgs> for WaitArgs {
    fn from(ShortWaitArgs { wait }: ShortWaitArgs) -> Self {
        Self { wait }
    }
}

impl WaitArgs {
    /// Repeats `attempt` while another run holds the lock, until the time is over or a stop is requested.
    pub fn repeat<T>(self, control: &Control<'_>, attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        wait_for_lock(Duration::from_secs(self.wait), control.stop, |note| control.note(note), attempt)
    }

    /// Works like [`repeat`](Self::repeat) for a command that does not watch a run: a signal ends it at once.
    pub fn until_free<T>(self, output: OutputArgs, attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        wait_for_lock(Duration::from_secs(self.wait), &StopToken::new(), |note| output.say(note), attempt)
    }
}

/// Whether to ask before something is removed or replaced.
#[derive(Args)]
pub struct ConsentArgs {
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl ConsentArgs {
    /// Says what will be done and asks for consent, unless it was given.
    pub fn confirm(&self, what: impl Display) -> Result<(), Error> {
        confirm(what, &[], self.yes)
    }

    /// Says what will be done to which items and asks for consent, unless it was given.
    pub fn confirm_all(&self, what: impl Display, items: &[String]) -> Result<(), Error> {
        confirm(what, items, self.yes)
    }
}

/// What to do about an earlier run.
#[derive(Args)]
pub struct StartArgs {
    /// Resume the earlier run, and fail if there is none; without this, resume if there is one
    #[arg(long, conflicts_with = "restart")]
    resume: bool,
    /// Discard the earlier run and start from the beginning
    #[arg(long)]
    restart: bool,
    /// Do not ask before --restart discards an earlier run
    #[arg(long)]
    yes: bool,
}

impl StartArgs {
    /// Returns what was chosen.
    pub fn start(&self) -> Start {
        match (self.resume, self.restart) {
            (true, _) => Start::Resume,
            (_, true) => Start::Restart,
            _ => Start::Auto,
        }
    }

    /// Asks before an earlier run is discarded. `consequence` says what that means.
    pub fn confirm_restart(&self, has_earlier_run: bool, consequence: impl Display) -> Result<(), Error> {
        if self.restart && has_earlier_run {
            return confirm(format_args!("--restart {consequence}"), &[], self.yes);
        }
        Ok(())
    }
}

/// Fails if nothing is at a path that a command reads. `next` says what to name instead.
pub fn check_exists(path: &Path, next: &str) -> Result<(), Error> {
    match path.symlink_metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Error::Usage { what: format!("{} does not exist", path.display()), next: next.into() })
        }
        // Every other error is that of the command which opens it.
        _ => Ok(()),
    }
}

/// Fails if nothing is at the path, or something that is no file: a pipe would block until something writes to it.
pub fn check_file(path: &Path, next: &str) -> Result<(), Error> {
    check_exists(path, next)?;
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            Err(Error::Usage { what: format!("{} is not a regular file", path.display()), next: next.into() })
        }
        _ => Ok(()),
    }
}

/// Fails if nothing is at any of the paths. One that is not there among others is left to what handles them.
pub fn check_any_exists(paths: &[PathBuf], next: &str) -> Result<(), Error> {
    let mut checks = paths.iter().map(|path| check_exists(path, next));
    let first = checks.next().unwrap_or(Ok(()));
    if first.is_err() && checks.all(|check| check.is_err()) { first } else { Ok(()) }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number above 0 and up to 1".to_owned())?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("expected a number above 0 and up to 1".to_owned()) }
}

/// The shortest time between two lines of progress.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time >= INTERVAL_MIN { Ok(time) } else { Err("at least 100ms is needed".into()) }
}

/// Parses `250ms`, `1.5s`, `10m`, `4h`, or a number of seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => Some(0.001),
        "" | "s" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    };
    let time = number.parse::<f64>().ok().zip(seconds).map(|(number, seconds)| number * seconds);
    let time = time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "a time is needed, such as 500ms, 10s, 5m or 4h".into())
}

/// Parses one of `names`, which are all the texts that `T` parses.
pub fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).map(|name| name.parse().unwrap_or_else(|_| unreachable!("{name} is one of them")))
}
