//! `haul upgrade monitor`: phase 6.
//!
//! The JSON document is a [`MonitorEnd`] with `directory` (path), `window` and `exit_code`.

use clap::Args;

use super::arguments::HookArgs;
use super::arguments::SetArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{RealDisk, replace_file};
use crate::migration::{clock, exit};
use crate::observe::Scope;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::layout::Layout;
use crate::upgrade::monitor::{MonitorCheck, MonitorEnd, MonitorRequest, Window, monitor};
use crate::upgrade::phases::{command, finished};

/// `haul upgrade monitor`
#[derive(Args)]
pub struct MonitorCommand {
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    hooks: HookArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl MonitorCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let (directory, definition) = (self.set.directory()?, self.set.definition()?);
        let layout = Layout::of(&directory);
        let run = finished(&RealDisk, &layout)?;
        let watch = Watch::start(self.output)?;
        let hooks = self.hooks.hooks(&directory);
        let request =
            MonitorRequest { stop: watch.stop(), definition: &definition, members: &run.members, values: &run.values };
        let end = watch.run(Scope::of("rows"), |control| {
            hooks.run(HookTime::Test, "monitor", control)?;
            monitor(&request)
        })?;
        let window = Window::of(run.published_at, definition.window_days);
        let today = clock::now()?.strftime("%Y-%m-%d").to_string();
        let mut text = serde_json::to_string_pretty(&end)?;
        text.push('\n');
        replace_file(&RealDisk, &layout.artifact(&format!("monitor-{today}")), text.as_bytes())?;
        let has_trigger = end.triggers().next().is_some();
        let next = if has_trigger { command("rollback", &directory) } else { command("cleanup", &directory) };
        let answer = Answer::new(&end).path("directory", &directory).with("window", serde_json::to_value(window)?);
        let answer = answer.exit_if(has_trigger, exit::BAD_DATA).next(match has_trigger {
            true => format!("look at what is over its limit; to go back: {next}"),
            false => format!("after {}: {next}", window.ends_at),
        });
        answer.print(self.output, |table| render(table, &end, window))
    }
}

fn render(table: &mut Table, end: &MonitorEnd, window: Window) {
    table.row("watched until", window.ends_at);
    for check in &end.checks {
        let state = check.trigger.as_deref().unwrap_or("right");
        table.item(state, &check.name, format_args!("{}: {}", check.file, figure(check)));
    }
}

fn figure(check: &MonitorCheck) -> String {
    let sample = check.sample.map_or(String::new(), |sample| format!(" of {sample}"));
    match check.value {
        Some(value) => format!("{value:.3}{sample}, at most {}", check.max),
        None => "nothing yet".to_owned(),
    }
}
