//! Arguments that every noun shares.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::migration::RunOptions;

/// A budget in MiB that fits 64 bits in bytes.
const MEMORY_BUDGET_MB_MAX: u64 = u64::MAX >> 20;

/// How results and progress are shown.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print one JSON document to standard output
    #[arg(long)]
    pub json: bool,
    /// How progress is shown on standard error; auto is a bar on a terminal and a few lines elsewhere
    #[arg(long, value_name = "HOW", value_enum, default_value_t, hide_possible_values = false)]
    pub progress: Progress,
}

/// How progress is shown.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    #[value(help = None::<&str>)]
    Auto,
    /// The same: nothing is animated off a terminal.
    #[value(help = None::<&str>)]
    Bar,
    /// Events as JSON lines.
    #[value(help = None::<&str>)]
    Json,
    /// Notes only.
    #[value(help = None::<&str>)]
    None,
}

impl Progress {
    /// True if lines for people are wanted beside the view itself.
    pub fn is_spoken(self) -> bool {
        matches!(self, Self::Auto | Self::Bar)
    }
}

/// How much of the machine a run takes. Nothing in here changes its result.
#[derive(Args, Clone)]
#[command(next_help_heading = "Course")]
pub struct ResourceArgs {
    /// Memory for everything in flight, in MiB
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=MEMORY_BUDGET_MB_MAX))]
    memory_budget_mb: u64,
    /// Share of the budget at which the reader begins to wait, above 0 and up to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.8, value_parser = share)]
    pub backpressure_threshold: f64,
    /// Records a second, at most
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<NonZeroU32>,
    /// Threads that convert [default: one for each processor]
    #[arg(long, value_name = "N")]
    parallel_workers: Option<NonZeroUsize>,
}

impl ResourceArgs {
    /// The budget in bytes.
    pub fn memory_budget_bytes(&self) -> u64 {
        self.memory_budget_mb << 20
    }

    /// The number of threads.
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
            ..run
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "expected a number above 0 and up to 1".to_owned())?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("expected a number above 0 and up to 1".to_owned()) }
}

/// Parses one of `names`, which are all that `T` parses from.
pub fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).map(|name| name.parse().unwrap_or_else(|_| unreachable!("{name} is one of them")))
}
