//! What a terminal shows below all lines: a frame of a few rows, drawn over the last one.
//!
//! The cursor rests at the start of the first row. So each frame is complete in itself, one that is never drawn is not
//! missed, and after a change of the terminal's width nothing above is overwritten.

/// Draws frames and the lines above them.
#[derive(Debug, Default)]
pub(super) struct Screen {
    rows: Vec<String>,
}

/// Removes everything from the cursor on.
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_REST_OF_ROW: &str = "\x1b[K";

impl Screen {
    /// Returns what writes these lines, and `frame` below them if there is a new one.
    pub(super) fn update(&mut self, lines: &str, frame: Option<Vec<String>>) -> String {
        let mut out = String::with_capacity(lines.len() + 256);
        let is_same = lines.is_empty() && frame.as_ref() == Some(&self.rows);
        if is_same || lines.is_empty() && frame.is_none() {
            return out;
        }
        let had_rows = !self.rows.is_empty();
        if had_rows && !lines.is_empty() {
            out.push('\r');
            out.push_str(CLEAR_BELOW);
        }
        out.push_str(lines);
        if let Some(rows) = frame {
            self.rows = rows;
        }
        if self.rows.is_empty() {
            if had_rows && lines.is_empty() {
                out.push('\r');
                out.push_str(CLEAR_BELOW);
            }
            return out;
        }
        self.draw(&mut out);
        out
    }

    fn draw(&self, out: &mut String) {
        out.push('\r');
        out.push_str(&self.rows.join(&format!("{CLEAR_REST_OF_ROW}\r\n")));
        out.push_str(CLEAR_BELOW);
        out.push('\r');
        let up = self.rows.len() - 1;
        if up > 0 {
            out.push_str(&format!("\x1b[{up}A"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn frames_are_drawn_over_each_other_and_lines_above_them() {
        let mut screen = Screen::default();
        assert_eq!(screen.update("a\n", None), "a\n");
        assert_eq!(screen.update("", rows(&["one", "two"])), "\rone\x1b[K\r\ntwo\x1b[J\r\x1b[1A");
        assert_eq!(screen.update("", rows(&["one", "two"])), "");
        assert_eq!(screen.update("b\n", None), "\r\x1b[Jb\n\rone\x1b[K\r\ntwo\x1b[J\r\x1b[1A");
        assert_eq!(screen.update("", rows(&["three"])), "\rthree\x1b[J\r");
        assert_eq!(screen.update("c\n", rows(&[])), "\r\x1b[Jc\n");
        assert_eq!(screen.update("", rows(&[])), "");
        assert_eq!(screen.update("", rows(&["x"])), "\rx\x1b[J\r");
        assert_eq!(screen.update("", rows(&[])), "\r\x1b[J");
    }
}
