//! Recognizes comments that are meant as section markers and that haul does not read: those of other tools, and near
//! misses of its own. Run as text, such a file would apply its Down part together with its Up part.
//!
//! A comment counts if it is alone on its line and
//!
//! * has nothing but a few words of markers, whatever is around them: `-- Down:`, `==== DOWN ====`, `//@UNDO`, `!Downs`;
//! * begins with such words and `:`, ` - ` or a remark in parentheses: `-- Down: drop it`, `-- DOWN (rollback)`;
//! * is `tool:down` or `+tool Down`;
//! * is one of the lines with which tools mark what haul has no match for.
//!
//! A remark about the way back is not one: `-- no down migration`, or a statement behind `Rollback:`.

use super::direction::Direction;

/// A comment that another tool, or its author, takes for a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadMarker {
    /// It starts a section.
    Section {
        /// The section, if the words tell.
        direction: Option<Direction>,
        /// True for the words Up and Down. `Rollback:` can also be the heading of comments about the way back.
        is_firm: bool,
    },
    /// It belongs to the format of Liquibase.
    Liquibase,
}

/// Words that start a section by themselves.
const UP: [&str; 2] = ["up", "ups"];
const DOWN: [&str; 2] = ["down", "downs"];
const UNDO: [&str; 4] = ["undo", "rollback", "revert", "downgrade"];
/// Words that may be around them in a marker.
const AROUND: [&str; 23] = [
    "migration",
    "migrations",
    "migrate",
    "section",
    "script",
    "part",
    "sql",
    "begin",
    "start",
    "end",
    "of",
    "change",
    "changes",
    "code",
    "statement",
    "statements",
    "goose",
    "micrate",
    "rambler",
    "dbmate",
    "shmig",
    "haul",
    "notransaction",
];
/// The maximum number of words of a marker.
const WORDS_MAX: usize = 5;
/// The maximum number of words of a remark behind a marker.
const REMARK_WORDS_MAX: usize = 8;
/// Words that begin a remark which says that there is no way back.
const NO_WAY_BACK: [&str; 8] = ["no", "none", "not", "nothing", "n", "irreversible", "impossible", "never"];
/// The engines that a script of sqitch names at the end of its first line.
const SQITCH_ENGINES: [&str; 3] = ["pg", "sqlite", "cockroach"];

/// Returns what a comment, or another line that starts like one, would mark. `text` is without the two dashes or the
/// slashes and stars around it.
pub fn unread_marker(text: &str) -> Option<UnreadMarker> {
    let words = words(text);
    let begins =
        |start: &[&str]| words.iter().map(String::as_str).zip(start).filter(|(a, b)| a == *b).count() == start.len();
    if begins(&["liquibase", "formatted"]) || is_changeset(text) {
        return Some(UnreadMarker::Liquibase);
    }
    let lower = text.to_lowercase();
    let is_tern = lower.contains("create above") && lower.contains("drop below");
    let is_sqitch = begins(&["revert"])
        && words.iter().any(|word| word == "from")
        && words.last().is_some_and(|last| SQITCH_ENGINES.contains(&last.as_str()));
    if is_tern || is_sqitch {
        return Some(UnreadMarker::Section { direction: Some(Direction::Down), is_firm: true });
    }
    of_words(&words).or_else(|| of_tool(text, &words)).or_else(|| before_remark(text))
}

/// Returns the words in lower case. Everything that is neither letter nor digit separates them.
fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace("roll back", "rollback");
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Recognizes a line of marker words only.
fn of_words(words: &[String]) -> Option<UnreadMarker> {
    let is = |list: &[&str], word: &String| list.contains(&word.as_str());
    let is_known = |word: &String| is(&UP, word) || is(&DOWN, word) || is(&UNDO, word) || is(&AROUND, word);
    if words.len() > WORDS_MAX || !words.iter().all(is_known) {
        return None;
    }
    let has = |list: &[&str]| words.iter().any(|word| is(list, word));
    let direction = match (has(&UP), has(&DOWN) || has(&UNDO)) {
        (false, false) => return None,
        (true, false) => Some(Direction::Up),
        (false, true) => Some(Direction::Down),
        (true, true) => None,
    };
    Some(UnreadMarker::Section { direction, is_firm: has(&UP) || has(&DOWN) })
}

/// Recognizes `tool:down` and `+tool Down`.
fn of_tool(text: &str, words: &[String]) -> Option<UnreadMarker> {
    let [tool, section] = words else { return None };
    let trimmed = text.trim();
    let is_marked = trimmed.starts_with('+') || trimmed.to_lowercase() == format!("{tool}:{section}");
    of_words(std::slice::from_ref(section)).filter(|_| is_marked)
}

/// Recognizes a marker with a remark behind it.
fn before_remark(text: &str) -> Option<UnreadMarker> {
    let text = text.trim();
    let (head, remark) = [":", " - ", " – ", " — "]
        .into_iter()
        .filter_map(|separator| text.split_once(separator))
        .min_by_key(|(head, _)| head.len())
        .or_else(|| text.strip_suffix(')').and_then(|text| text.split_once(" (")))?;
    let remark_words = words(remark);
    let says_none = remark_words.first().is_some_and(|first| NO_WAY_BACK.contains(&first.as_str()));
    // A statement in a comment is advice for a person.
    if says_none || remark.trim_end().ends_with(';') || remark_words.len() > REMARK_WORDS_MAX {
        return None;
    }
    let found = of_words(&words(head))?;
    let is_firm = matches!(found, UnreadMarker::Section { is_firm: true, .. });
    (is_firm || text.ends_with(')')).then_some(found)
}

/// Recognizes `changeset author:id`.
fn is_changeset(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.next().is_some_and(|word| word.eq_ignore_ascii_case("changeset"))
        && words.next().is_some_and(|id| id.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction_of(text: &str) -> Option<Direction> {
        match unread_marker(text) {
            Some(UnreadMarker::Section { direction, .. }) => direction,
            _ => None,
        }
    }

    #[test]
    fn markers_of_other_tools_and_near_misses_are_recognized() {
        for text in [
            " Down:",
            "- Down",
            " DOWN --",
            " [Down]",
            " Down.",
            " down section",
            "== DOWN ==",
            " ==== DOWN ====",
            " //@UNDO",
            "//@UNDO",
            " @UNDO",
            " @down",
            " !Downs",
            "- !Downs",
            " rambler down",
            " Migrate:Down",
            " migrate down",
            " +foo Down",
            " bun:down",
            " pgmigrate:rollback",
            " Rollback",
            " ROLLBACK SCRIPT",
            " roll back",
            " Begin Down",
            " Down migration:",
            " Down: drop the table",
            " DOWN (rollback)",
            " Down - undo it all",
            " Rollback (by hand)",
            "-- create above / drop below ----",
            " Revert flipr:users from pg",
            " >>> Down <<<",
            " Downs",
            " Start of rollback script",
            " downgrade",
            " Undo changes",
            "",
        ] {
            let expected = (!text.is_empty()).then_some(Direction::Down);
            assert_eq!(direction_of(text), expected, "{text}");
        }
        for text in [" Up:", "- Up", " ==== UP ====", " !Ups", " @up", " rambler up", " Up (first part)", " +x up"] {
            assert_eq!(direction_of(text), Some(Direction::Up), "{text}");
        }
        for text in
            ["liquibase formatted sql", " Liquibase formatted SQL", "changeset me:1", " changeset me:2 dbms:oracle"]
        {
            assert_eq!(unread_marker(text), Some(UnreadMarker::Liquibase), "{text}");
        }
    }

    #[test]
    fn prose_is_not_a_marker() {
        for text in [
            " Up and away",
            " scale down",
            " up to date rows",
            " no down migration",
            " No rollback",
            " tear down the house",
            " Rollback: DROP TABLE users;",
            " Down: DROP TABLE users;",
            " Down: none",
            " down: not possible",
            " Down-sample the readings",
            " roll the counters back by one",
            " migration of users",
            " undo what 004 did",
            " revert the default of a column",
            " Deploy flipr:users to pg",
            " slow down: this takes hours",
            " backup",
            " Up-to-date values only",
            " 001_scale_up",
            " the rollback segment",
            " Begin",
            " end of the script",
            " To roll back:",
            " drill-down",
            " // create users",
            " Changeset of May",
            " up/down votes",
            " countdown",
        ] {
            assert_eq!(unread_marker(text), None, "{text}");
        }
    }
}
