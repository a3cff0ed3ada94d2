//! Plain lines: one for each phase that ended and one for each note. For logs, pipes and dumb terminals.

use std::sync::Arc;

use super::text::ended;
use super::{Console, Figures, Scope};
use crate::pipeline::{Event, Observer};

/// Adds events up and writes a line when a phase ends. The bar is built on it.
#[derive(Debug)]
pub struct Lines {
    console: Arc<Console>,
    scope: Scope,
    figures: Figures,
}

impl Lines {
    /// Lines on `console`.
    pub fn new(console: Arc<Console>, scope: Scope) -> Self {
        Self { console, scope, figures: Figures::new() }
    }

    /// The numbers behind the lines.
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
