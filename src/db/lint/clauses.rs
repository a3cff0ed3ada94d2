//! Classifies the clauses of `ALTER TABLE` and of other statements by their words.

use super::statement::Words;

/// Returns true for `ADD CONSTRAINT …` and for a constraint without a name.
pub(super) fn adds_constraint(clause: &Words) -> bool {
    const CONSTRAINTS: [&str; 6] = ["CONSTRAINT", "CHECK", "FOREIGN", "UNIQUE", "PRIMARY", "EXCLUDE"];
    clause.at(0) == "ADD" && CONSTRAINTS.contains(&clause.at(1))
}

/// Returns true for `DROP COLUMN x` and `DROP x`, unless it drops something that holds no data.
pub(super) fn drops_column(clause: &Words) -> bool {
    const WITHOUT_DATA: [&str; 5] = ["CONSTRAINT", "DEFAULT", "NOT", "EXPRESSION", "IDENTITY"];
    clause.at(0) == "DROP" && !WITHOUT_DATA.contains(&clause.at(1))
}

/// Returns true for `ALTER [COLUMN] x [SET DATA] TYPE …`. The column may be called `type`.
pub(super) fn changes_type(clause: &Words) -> bool {
    let name = if clause.at(1) == "COLUMN" { 2 } else { 1 };
    clause.at(0) == "ALTER"
        && (clause.at(name + 1) == "TYPE" || clause.at(name + 3) == "TYPE" && clause.at(name + 2) == "DATA")
}

pub(super) fn is_serial(clause: &Words) -> bool {
    ["SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL4", "SERIAL8"].iter().any(|word| clause.has(&[word]))
}

/// Returns true for a column whose value PostgreSQL computes for each row.
pub(super) fn is_computed(clause: &Words) -> bool {
    clause.has(&["GENERATED"]) || has_default(clause, |words, index| VOLATILE.contains(&words.at(index)))
}

/// Functions whose result differs from row to row.
const VOLATILE: [&str; 7] =
    ["RANDOM", "GEN_RANDOM_UUID", "UUID_GENERATE_V4", "UUIDV7", "CLOCK_TIMESTAMP", "TIMEOFDAY", "NEXTVAL"];

/// Returns true if there is a default whose first word fulfils `holds`. For a default in parentheses, that word is
/// `DEFAULT`.
pub(super) fn has_default(clause: &Words, holds: fn(&Words, usize) -> bool) -> bool {
    let default = clause.find(&["DEFAULT"]);
    default.is_some_and(|index| holds(clause, if clause.has_arguments(index) { index } else { index + 1 }))
}

pub(super) fn is_not_constant(words: &Words, index: usize) -> bool {
    words.has_arguments(index) || ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"].contains(&words.at(index))
}

pub(super) fn rewrites(clause: &Words) -> bool {
    clause.at(0) == "SET" && ["TABLESPACE", "LOGGED", "UNLOGGED", "ACCESS"].contains(&clause.at(1))
}

pub(super) fn rolls_back(words: &Words) -> bool {
    ["INSERT", "UPDATE"].iter().any(|verb| words.begins(&[verb, "OR", "ROLLBACK"]))
        || words.has(&["ON", "CONFLICT", "ROLLBACK"])
}
