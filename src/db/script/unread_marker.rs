//! Recognizes comments that are meant as section markers and that haul does not read: those of other tools, and near
//! misses of its own. Run as text, such a file would apply its Down part together with its Up part.
//!
//! A comment counts if it is alone on its line and
//!
//! * has nothing but a few words of markers, whatever is around them: `-- Down:`, `==== DOWN ====`, `//@UNDO`, `!Downs`;
//! * begins with such words, then `:`, ` - `, a comma or the like, or a remark in parentheses: `-- Down: drop it`;
//! * is `tool:down` or `+tool Down`, a mistyped `down`, or the name of a file such as `001_x.down.sql`;
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
const UNDO: [&str; 9] =
    ["undo", "rollback", "revert", "downgrade", "unapply", "uninstall", "backout", "backward", "backwards"];
/// Words that may be around them in a marker. Numbers may be too.
const AROUND: [&str; 50] = [
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
    "ddl",
    "file",
    "step",
    "phase",
    "region",
    "direction",
    "name",
    "query",
    "queries",
    "commands",
    "instructions",
    "table",
    "database",
    "schema",
    "goes",
    "go",
    "starts",
    "begins",
    "here",
    "is",
    "the",
    "this",
    "your",
    "write",
    "add",
    "below",
    "to",
];
/// The maximum number of words of a marker.
const WORDS_MAX: usize = 6;
/// What `down` becomes by a slip of the fingers.
const SLIPS: [&str; 12] =
    ["dwon", "donw", "dwn", "doown", "dowwn", "downn", "ddown", "dowm", "dowb", "dpwn", "diwn", "doen"];
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
    of_words(&words)
        .map(|marker| firmly(marker, text))
        .or_else(|| of_tool(text, &words))
        .or_else(|| of_slip(&words))
        .or_else(|| of_file(text))
        .or_else(|| before_remark(text))
}

/// Returns what a comment over several lines would mark: it must have nothing but the words of a marker, because it may hold
/// statements that were taken out.
pub fn unread_marker_of_lines(text: &str) -> Option<UnreadMarker> {
    let is_comment = |line: &str| line.trim().strip_prefix("--").is_some_and(|rest| !rest.trim_matches('-').is_empty());
    if text.lines().any(is_comment) { None } else { of_words(&words(text)) }
}

/// Returns true for a comment with a statement in it, or one that says that there is no way back.
pub fn is_statement(comment: &str) -> bool {
    const VERBS: [&str; 9] = ["drop", "alter", "create", "delete", "update", "insert", "truncate", "revoke", "grant"];
    let words = words(comment);
    let begins_with = |list: &[&str]| words.first().is_some_and(|first| list.contains(&first.as_str()));
    comment.trim_end().ends_with(';') || begins_with(&VERBS) || begins_with(&NO_WAY_BACK)
}

/// Returns true for the first word of a statement that takes something away, as those of a way back do.
pub fn undoes(word: &str) -> bool {
    ["drop", "delete", "truncate", "revoke"].iter().any(|verb| word.eq_ignore_ascii_case(verb))
}

/// What has `@` before it, as in `//@UNDO`, is no heading.
fn firmly(marker: UnreadMarker, text: &str) -> UnreadMarker {
    match marker {
        UnreadMarker::Section { direction, .. } if text.contains('@') => {
            UnreadMarker::Section { direction, is_firm: true }
        }
        marker => marker,
    }
}

/// Recognizes a mistyped `down`, and `D o w n`.
fn of_slip(words: &[String]) -> Option<UnreadMarker> {
    let is_spaced = words.len() > 1 && words.iter().all(|word| word.chars().count() == 1) && words.concat() == "down";
    let is_slip = matches!(words, [word] if SLIPS.contains(&word.as_str()));
    (is_spaced || is_slip).then_some(UnreadMarker::Section { direction: Some(Direction::Down), is_firm: true })
}

/// Recognizes the name of a file with the way back, as a list of joined files has it.
fn of_file(text: &str) -> Option<UnreadMarker> {
    const FILE_WORDS_MAX: usize = 2;
    let lower = text.to_lowercase();
    let is_file =
        [".down.sql", ".undo.sql", ".rollback.sql", ".down"].iter().any(|end| lower.trim_end().ends_with(end));
    let is_alone = lower.split_whitespace().count() <= FILE_WORDS_MAX && !lower.trim_start().starts_with("see");
    (is_file && is_alone).then_some(UnreadMarker::Section { direction: Some(Direction::Down), is_firm: true })
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
    let is_number = |word: &String| word.trim_start_matches('v').bytes().all(|byte| byte.is_ascii_digit());
    let is_known =
        |word: &String| is(&UP, word) || is(&DOWN, word) || is(&UNDO, word) || is(&AROUND, word) || is_number(word);
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

/// Recognizes `tool:down`, `name: down` and `+tool Down`.
fn of_tool(text: &str, words: &[String]) -> Option<UnreadMarker> {
    const TOOL_WORDS_MAX: usize = 2;
    let (section, tool) = words.split_last()?;
    let trimmed = text.trim();
    let is_pair = || matches!(tool, [tool] if trimmed.to_lowercase() == format!("{tool}:{section}"));
    let is_marked = (trimmed.starts_with('+') && tool.len() <= TOOL_WORDS_MAX) || is_pair();
    of_words(std::slice::from_ref(section)).filter(|_| is_marked)
}

/// Recognizes a marker with a remark behind it.
fn before_remark(text: &str) -> Option<UnreadMarker> {
    let text = text.trim();
    let (head, remark) = [":", " - ", " – ", " — ", "=", "|", ",", ". ", "->"]
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
            " direction: down",
            " name: down",
            " :name down :!",
            " 2. Down",
            " Step 2: Down",
            " v1 down",
            " unapply",
            " backwards",
            " To roll back:",
            " ROLLBACK INSTRUCTIONS",
            " Down migrations go here",
            " Write your down migration here",
            " Dwon",
            " D o w n",
            " #region Down",
            " Schema down",
            " Down = reverse",
            " Down | drop it",
            " Down, drop it",
            " Down. Drops it",
            " Down -> drop",
            " +pg-migrate Down",
            " 001_a.down.sql",
            " file: 001_a.down.sql",
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
    fn a_heading_is_no_marker() {
        let is_firm = |text| matches!(unread_marker(text), Some(UnreadMarker::Section { is_firm: true, .. }));
        assert!(["//@UNDO", " @undo", " Down:", " Dwon"].into_iter().all(is_firm));
        assert!(![" Rollback:", " Undo", " To roll back:"].into_iter().any(is_firm));
    }

    #[test]
    fn several_lines_mark_a_section_if_they_have_no_other_words() {
        for text in ["\n Down\n", "*\n * DOWN\n ", "\n=====\n Down section\n=====\n"] {
            assert!(unread_marker_of_lines(text).is_some(), "{text}");
        }
        for text in [" Down\nDROP TABLE t;\n", "\n-- Down:\n-- DROP TABLE t;\n", "\n Down: by hand\n"] {
            assert_eq!(unread_marker_of_lines(text), None, "{text}");
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
            " see 001_a.down.sql",
            " 001_a.up.sql",
            " reverse",
            " own",
            " Town",
            " dawn",
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
