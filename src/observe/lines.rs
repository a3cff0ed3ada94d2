//! Plain lines for logs, pipes and dumb terminals: one for each phase that ended, and one for each note.

use std::sync::Arc;

use super::console::Console;
use super::figures::Figures;
use super::scope::Scope;
use super::text::ended;
use crate::pipeline::{Event, Observer};

/// Sums up events and writes a line when a phase ends. The bar builds on it.
#[derive(Debug)]
pub struct Lines {
    console: Arc<Console>,
    scope: Scope,
    figures: Figures,
}

impl Lines {
    /// Returns an observer that writes to `console`.
    pub fn new(console: Arc<Console>, scope: Scope) -> Self {
        Self { console, scope, figures: Figures::new() }
    }

    /// Returns the sums.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

impl Observer for Lines {
    fn observe(&self, event: &Event) {
        match event {
            Event::PhaseEnded { phase } => {
                let snapshot = self.figures.snapshot();
                self.figures.observe(event);
                if let Some(line) = ended(&snapshot, &self.scope).filter(|_| snapshot.phase == Some(*phase)) {
                    self.console.line(&line);
                }
            }
            Event::Note { text } => self.console.line(&format!("note: {text}")),
            _ => self.figures.observe(event),
        }
    }
}
