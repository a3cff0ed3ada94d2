//! Differences that are no drift: objects that a pattern names, and partitions that came or went as a whole.

use super::diff::Change;
use crate::db::pattern::matches;

/// Splits differences into those that count, and the titles of those that do not. A pattern is compared with a title
/// such as `table public.users`; `*` stands for any text.
pub fn left_out(changes: Vec<Change>, patterns: &[String]) -> (Vec<Change>, Vec<String>) {
    let partitions: Vec<_> = changes
        .iter()
        .filter(|change| change.kind != "changed")
        .filter_map(|change| change.object.strip_prefix("partition ").map(str::to_owned))
        .collect();
    let is_left_out = |change: &Change| {
        patterns.iter().any(|pattern| matches(pattern, &change.object))
            || (change.kind != "changed" && partitions.iter().any(|partition| is_part_of(change, partition)))
    };
    let (left_out, counted): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_left_out);
    (counted, left_out.into_iter().map(|change| format!("{} {}", change.kind, change.object)).collect())
}

/// Returns true if an object is the partition itself or belongs to it.
fn is_part_of(change: &Change, partition: &str) -> bool {
    let Some((kind, name)) = change.object.split_once(' ') else { return false };
    match kind {
        "table" | "partition" | "security" | "clustering" | "identity" => name == partition,
        "constraint" | "trigger" | "policy" | "rule" | "column" => {
            name.strip_prefix(partition).is_some_and(|rest| rest.starts_with('.'))
        }
        "index" => {
            let is_on =
                |line: &String| [" ON ", " ON ONLY "].iter().any(|on| line.contains(&format!("{on}{partition} ")));
            change.lines.iter().any(is_on)
        }
        "comment" => name.ends_with(&format!(" {partition}")) || name.contains(&format!(" {partition}.")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_came_as_a_whole_is_left_out() {
        let change = |object: &str, kind, line: &str| Change { object: object.into(), kind, lines: vec![line.into()] };
        let changes = vec![
            change("table p.log_2", "added", "+CREATE TABLE p.log_2"),
            change("partition p.log_2", "added", "+ALTER TABLE p.log ATTACH PARTITION p.log_2"),
            change("index p.i", "added", "+CREATE INDEX i ON p.log_2 USING btree (at);"),
            change("index p.j", "added", "+CREATE INDEX j ON p.log_20 USING btree (at);"),
            change("table p.log_20", "added", "+CREATE TABLE p.log_20"),
            change("partition p.log_1", "changed", "-FROM 1"),
            change("index p.k", "added", "+CREATE INDEX k ON ONLY p.log_2 USING btree (at);"),
            change("security p.log_2", "added", "+ENABLE ROW LEVEL SECURITY"),
            change("column p.log_2.at", "added", "+SET STATISTICS 5"),
            change("comment table column p.log_2.at", "added", "+COMMENT"),
            change("comment table p.log_20", "added", "+COMMENT"),
        ];
        let (counted, left) = left_out(changes, &[]);
        let counted: Vec<_> = counted.iter().map(|change| &*change.object).collect();
        assert_eq!(counted, ["index p.j", "table p.log_20", "partition p.log_1", "comment table p.log_20"]);
        let left: Vec<_> = left.iter().map(|line| line.trim_start_matches("added ")).collect();
        let of_partition = ["table p.log_2", "partition p.log_2", "index p.i", "index p.k", "security p.log_2"];
        assert_eq!(left[..5], of_partition);
        assert_eq!(left[5..], ["column p.log_2.at", "comment table column p.log_2.at"]);
    }
}
