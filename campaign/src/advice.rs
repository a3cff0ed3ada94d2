//! Reads the `next:` lines that haul prints as an operator does.

use std::path::Path;

use crate::command::words;

/// Verbs that ask before they act.
const ASKING: [&str; 6] = ["rollback", "clean", "--restart", "--repair", "rewrite-refs", "accept"];

/// Returns the commands that the last `next:` line names, as arguments: in backticks, with the path of the program, or as
/// "the same command". `last` is the command that printed it.
pub fn commands(text: &str, program: &Path, last: &[String]) -> Vec<Vec<String>> {
    let Some(line) = text.lines().rev().find_map(|line| line.trim().strip_prefix("next:")) else { return Vec::new() };
    let mut found: Vec<_> =
        named(line, "`haul ", '`').chain(named(line, &format!("{} ", program.display()), ';')).collect();
    found = found.into_iter().filter_map(|command| completed(command, last)).collect();
    if found.is_empty() && (line.contains("same command") || line.contains("--restart")) {
        let mut same = last.to_vec();
        if line.contains("--restart") && !same.iter().any(|it| it == "--restart") {
            same.push("--restart".into());
        }
        found.push(same);
    }
    found.iter_mut().for_each(answer);
    found
}

/// Returns what stands between each `start` and the next `end`.
fn named<'a>(line: &'a str, start: &str, end: char) -> impl Iterator<Item = Vec<String>> + use<'a> {
    let pieces: Vec<_> = line.split(start).skip(1).collect();
    pieces.into_iter().map(move |piece| words(piece.split([end, '`']).next().unwrap_or_default()))
}

/// Adds the paths that a command in a sentence leaves out. One with a placeholder is for the reader to fill in.
fn completed(command: Vec<String>, last: &[String]) -> Option<Vec<String>> {
    let is_placeholder = |word: &String| word.contains(['<', '…', '\'', '"', '{']) || is_upper(word);
    let [noun, verb, rest @ ..] = &command[..] else { return None };
    if command.iter().any(is_placeholder) || rest.iter().any(|word| word == "--source" || word == "--run") {
        return None;
    }
    if rest.iter().any(|word| !word.starts_with("--")) {
        return Some(command);
    }
    let is_last = last.first() == Some(noun) && last.get(1) == Some(verb);
    let paths: &[&str] = match (&**noun, &**verb) {
        _ if is_last => &[],
        ("space", _) => &["./s"],
        ("cas", "migrate") => &["--source", "old", "--target", "new"],
        ("cas", _) => &["new"],
        ("manifest", _) => &["app"],
        ("db", _) => &["--database", "sqlite:a.db", "--dir", "m"],
        _ => return None,
    };
    let mut full = if is_last { last.to_vec() } else { vec![noun.clone(), verb.clone()] };
    full.extend(paths.iter().map(|path| (*path).to_owned()));
    full.extend(rest.iter().filter(|flag| !last.contains(flag)).cloned());
    Some(full)
}

fn is_upper(word: &str) -> bool {
    word.chars().any(|c| c.is_ascii_uppercase()) && !word.contains('/')
}

/// Answers the question that the command would ask.
fn answer(command: &mut Vec<String>) {
    let writes =
        command.first().is_some_and(|noun| noun == "db") && command.get(1).is_some_and(|verb| verb == "migrate");
    let asks = writes || command.iter().any(|it| ASKING.contains(&it.as_str()));
    if asks && !command.iter().any(|it| it == "--yes") {
        command.push("--yes".into());
    }
}
