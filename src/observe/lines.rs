//! Plain lines for logs, pipes and dumb terminals: one for each phase that ended, and one for each note.

use std::sync::Arc;

use super::console::Console;
use super::scope::Scope;
use super::text::ended;
use crate::pipeline::{Event, Observer, Tally};

/// Sums up events and writes a line when a phase ends. The bar builds on it.
#[derive(Debug)]
pub struct Lines {
    console: Arc<Console>,
    scope: Scope,
    tally: Tally,
}

impl Lines {
    /// Returns an observer that writes to `console`.
    pub fn new(console: Arc<Console>, scope: Scope) -> Self {
        Self { console, scope, tally: Tally::new() }
    }
}

impl Observer for Lines {
    fn observe(&self, event: &Event) {
        match event {
            Event::PhaseEnded { phase } => {
                let now = self.tally.snapshot().phase.filter(|now| now.tally.phase == *phase);
                self.tally.observe(event);
                if let Some(now) = now {
                    self.console.line(&ended(&now.tally, &self.scope));
                }
            }
            Event::Note { text } => self.console.line(&format!("note: {text}")),
            _ => self.tally.observe(event),
        }
    }
}
