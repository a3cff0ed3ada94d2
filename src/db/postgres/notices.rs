//! Notices and warnings of the server, kept until the run shows them.

use std::sync::Arc;

use parking_lot::Mutex;
use postgres::error::DbError;

use crate::migration::redacted;

/// The maximum number of notices that are kept; a loop in a function can send any number.
const COUNT_MAX: usize = 50;
const TEXT_CHARS_MAX: usize = 500;

/// What the server has sent while statements of migrations ran.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// False while haul's own statements run, whose notices are of no use to anybody.
    is_listening: bool,
    texts: Vec<String>,
    more: u64,
}

impl Notices {
    /// Keeps a notice.
    pub fn add(&self, notice: &DbError) {
        let mut text = format!("{}: {}", notice.severity(), notice.message());
        for (name, more) in [("detail", notice.detail()), ("hint", notice.hint())] {
            text.extend(more.map(|more| format!("; {name}: {more}")));
        }
        self.add_text(&text);
    }

    fn add_text(&self, text: &str) {
        let mut heard = self.0.lock();
        if !heard.is_listening {
            return;
        }
        if heard.texts.len() < COUNT_MAX {
            heard.texts.push(redacted(text).chars().take(TEXT_CHARS_MAX).collect());
        } else {
            heard.more += 1;
        }
    }

    /// Runs a statement whose notices are kept.
    pub fn while_listening<T>(&self, run: impl FnOnce() -> T) -> T {
        self.0.lock().is_listening = true;
        let result = run();
        self.0.lock().is_listening = false;
        result
    }

    /// Returns what was kept, and forgets it.
    pub fn take(&self) -> Vec<String> {
        let mut heard = self.0.lock();
        let mut texts = std::mem::take(&mut heard.texts);
        if heard.more > 0 {
            texts.push(format!("and {} more notices of the server", heard.more));
        }
        heard.more = 0;
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_limited_and_those_of_own_statements_are_left_out() {
        let notices = Notices::default();
        notices.add_text("own");
        notices.while_listening(|| (0..COUNT_MAX + 2).for_each(|_| notices.add_text(&"x".repeat(9999))));
        let texts = notices.take();
        assert_eq!((texts.len(), texts[0].len()), (COUNT_MAX + 1, TEXT_CHARS_MAX));
        assert_eq!(texts.last().unwrap(), "and 2 more notices of the server");
        assert_eq!(notices.take(), [""; 0]);
    }
}
