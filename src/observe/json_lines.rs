//! Events as JSON lines, for programs that watch a run.

use std::io::Write;

use parking_lot::Mutex;

use crate::migration::escaped_json;
use crate::pipeline::{Event, Observer};

/// Writes each event as one line, an object whose `event` field names it: `phase_started`, `batch_written`,
/// `backpressure_waited`, `checkpoint_written`, `phase_ended`, `note`, `tenant_started`, `of_tenant`, `tenant_ended`.
/// Fields are those of [`Event`].
#[derive(Debug)]
pub struct JsonLines<W> {
    out: Mutex<W>,
}

impl<W: Write + Send> JsonLines<W> {
    /// Returns an observer that writes to `out` and flushes each line.
    pub fn new(out: W) -> Self {
        Self { out: Mutex::new(out) }
    }
}

impl<W: Write + Send> Observer for JsonLines<W> {
    fn observe(&self, event: &Event) {
        let mut line = serde_json::to_string(event).expect("an event has string keys only");
        line.push('\n');
        let mut out = self.out.lock();
        // A run goes on after its reader is gone.
        let _ = out.write_all(escaped_json(&line).as_bytes()).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Phase;

    #[test]
    fn each_event_is_a_line() {
        let lines = JsonLines::new(Vec::new());
        lines.observe(&Event::PhaseEnded { phase: Phase::Run });
        lines.observe(&Event::Note { text: "two\nlines\u{9b}".into() });
        let text = String::from_utf8(lines.out.into_inner()).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"event":"phase_ended","phase":"run"}
        {"event":"note","text":"two\nlines\u009b"}
        "#);
    }
}
