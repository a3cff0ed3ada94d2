//! The rules: name, severity, and a function that recognizes the statements.

use super::clauses::{
    adds_constraint, changes_type, drops_column, has_default, is_computed, is_not_constant, is_serial, rewrites,
    rolls_back,
};
use super::finding::{LintSeverity, Rule};
use super::statement::Words;
use crate::db::dialect::Dialect;
use crate::db::script::Direction;

/// A statement, and what the rules need to know about its section.
pub(super) struct Subject<'a> {
    pub dialect: Dialect,
    pub direction: Direction,
    pub words: &'a Words,
    /// The clauses of an `ALTER TABLE`.
    pub clauses: &'a [Words],
    /// True if the section has created the table, so that it has no rows and no readers.
    pub is_own_table: bool,
    pub is_in_batch: bool,
    pub no_transaction: bool,
    /// True if the section has no other statement.
    pub is_alone: bool,
}

/// A rule about statements, and the function that recognizes them.
pub(super) struct StatementRule {
    pub rule: Rule,
    pub finds: fn(&Subject<'_>) -> bool,
}

impl Subject<'_> {
    fn is(&self, dialect: Dialect) -> bool {
        self.dialect == dialect
    }

    fn is_up(&self) -> bool {
        self.direction == Direction::Up
    }

    /// Returns true if a clause of an `ALTER TABLE` on an older table fulfils `found`.
    fn has_clause(&self, found: impl Fn(&Words) -> bool) -> bool {
        !self.is_own_table && self.clauses.iter().any(found)
    }

    /// Returns true if a clause of an `ALTER TABLE` adds a column that fulfils `found`.
    fn adds_column(&self, found: impl Fn(&Words) -> bool) -> bool {
        self.has_clause(|clause| clause.at(0) == "ADD" && !adds_constraint(clause) && found(clause))
    }
}

const fn rule(name: &'static str, severity: LintSeverity, what: &'static str, next: &'static str) -> Rule {
    Rule { name, severity, what, next }
}

use LintSeverity::{Error, Note, Warning};

/// The migration has no Down section.
pub(super) const MISSING_DOWN: Rule = rule(
    "missing-down",
    Warning,
    "it has no Down section and cannot be rolled back",
    "write a `-- Down` section, or plan to restore a backup",
);

/// Counted versions are missing.
pub(super) const VERSION_GAP: Rule = rule(
    "version-gap",
    Note,
    "versions before it are missing",
    "check that no file is missing; a version that is added later is out of order",
);

/// Versions that are times have different lengths.
pub(super) const MIXED_TIMES: Rule = rule(
    "version-lengths",
    Warning,
    "they run in the order of the numbers, not of the times",
    "decide which runs first, and write all times with 14 digits: 20240131120000",
);

/// The file writes the transaction that haul makes.
pub(super) const OWN_TRANSACTION: Rule = rule(
    "own-transaction",
    Note,
    "BEGIN and COMMIT enclose the section; they are not run, because haul makes this transaction",
    "leave them out of new files",
);

/// A statement of a file without a version that cannot run twice.
pub(super) const REPEATABLE: Rule = rule(
    "repeatable",
    Warning,
    "it fails when the file runs again, because what it creates is there",
    "write CREATE OR REPLACE or IF NOT EXISTS, or DROP … IF EXISTS before it",
);

const BACKUP: &str = "check that nothing uses it any more; `haul db migrate --backup required` keeps a copy";
const INDEX: &str = "CREATE INDEX CONCURRENTLY, in a file of its own with `-- haul: no-transaction`";

/// The rules about statements.
pub(super) const STATEMENTS: [StatementRule; 26] = [
    StatementRule {
        rule: rule("drop-table", Warning, "drops a table and its rows", BACKUP),
        finds: |s| {
            let drops = s.words.begins(&["DROP", "TABLE"]) || s.words.begins(&["DROP", "FOREIGN", "TABLE"]);
            drops && s.is_up() && !s.is_own_table
        },
    },
    StatementRule {
        rule: rule("drop-schema", Warning, "drops a schema and everything in it", BACKUP),
        finds: |s| s.is_up() && (s.words.begins(&["DROP", "SCHEMA"]) || s.words.begins(&["DROP", "DATABASE"])),
    },
    StatementRule {
        rule: rule("drop-owned", Warning, "drops all objects of a role, with their rows", BACKUP),
        finds: |s| s.is_up() && s.words.begins(&["DROP", "OWNED"]),
    },
    StatementRule {
        rule: rule(
            "drop-cascade",
            Warning,
            "drops all that depends on an object: a column of a dropped type goes with its data",
            "leave CASCADE out, and drop what depends on it by name",
        ),
        finds: |s| {
            let others = ["TABLE", "SCHEMA", "DATABASE", "OWNED", "INDEX"];
            s.is_up()
                && s.words.at(0) == "DROP"
                && s.words.has(&["CASCADE"])
                && !others.contains(&s.words.at(1))
                && !s.words.begins(&["DROP", "FOREIGN", "TABLE"])
        },
    },
    StatementRule {
        rule: rule("drop-attribute", Warning, "drops an attribute of a type, with its values in all columns", BACKUP),
        finds: |s| s.is_up() && s.words.begins(&["ALTER", "TYPE"]) && s.words.has(&["DROP", "ATTRIBUTE"]),
    },
    StatementRule {
        rule: rule("drop-column", Warning, "drops a column and its data", BACKUP),
        finds: |s| s.is_up() && s.has_clause(drops_column),
    },
    StatementRule {
        rule: rule("truncate", Warning, "empties a table", BACKUP),
        finds: |s| s.is_up() && s.words.begins(&["TRUNCATE"]) && !s.is_own_table,
    },
    StatementRule {
        rule: rule(
            "type-change",
            Warning,
            "changes the type of a column: the table may be rewritten, and nobody can use it until that is done",
            "add a column of the new type, fill it in batches, and drop the old one in a later release",
        ),
        finds: |s| s.has_clause(changes_type),
    },
    StatementRule {
        rule: rule(
            "whole-table-write",
            Warning,
            "writes every row in one transaction",
            "write it as a batch: `-- Batch: SELECT key FROM table` and the statement restricted to haul_batch",
        ),
        finds: |s| {
            let writes = s.words.begins(&["UPDATE"]) || s.words.begins(&["DELETE", "FROM"]);
            writes && !s.words.has(&["WHERE"]) && !s.is_own_table && !s.is_in_batch
        },
    },
    StatementRule {
        rule: rule(
            "not-null-without-default",
            Error,
            "adds a column that is NOT NULL and has no default: it fails on a table with rows",
            "give it a DEFAULT; or add it without NOT NULL, fill it, and set NOT NULL then",
        ),
        finds: |s| {
            s.adds_column(|clause| {
                let is_filled = ["DEFAULT", "GENERATED"].iter().any(|word| clause.has(&[word])) || is_serial(clause);
                clause.has(&["NOT", "NULL"]) && !is_filled
            })
        },
    },
    StatementRule {
        rule: rule(
            "rename",
            Warning,
            "renames an object that running programs use by its old name",
            "release programs that know both names first, or leave a view under the old name",
        ),
        finds: |s| s.is_up() && s.has_clause(|clause| clause.at(0) == "RENAME" && clause.at(1) != "CONSTRAINT"),
    },
    StatementRule {
        rule: rule(
            "if-not-exists",
            Note,
            "does nothing if an object of that name exists, even a different one",
            "leave IF NOT EXISTS out: haul applies a migration once",
        ),
        finds: |s| {
            let creates = s.words.at(0) == "CREATE" && s.words.has(&["IF", "NOT", "EXISTS"]);
            s.is_up() && creates && !s.no_transaction
        },
    },
    StatementRule {
        rule: rule("index-locks-writes", Warning, "builds an index while nobody can write to the table", INDEX),
        finds: |s| {
            let is_plain = s.words.creates_index() && !s.words.has(&["CONCURRENTLY"]);
            s.is(Dialect::Postgres) && is_plain && !s.is_own_table
        },
    },
    StatementRule {
        rule: rule(
            "index-may-be-invalid",
            Warning,
            "a failed build leaves an invalid index of that name, and IF NOT EXISTS then skips the new build",
            "write DROP INDEX CONCURRENTLY IF EXISTS before it, and leave IF NOT EXISTS out",
        ),
        finds: |s| s.words.creates_index() && s.words.has(&["CONCURRENTLY", "IF", "NOT", "EXISTS"]),
    },
    StatementRule {
        rule: rule(
            "constraint-scans-table",
            Warning,
            "reads the whole table for a constraint while nobody can write to it",
            "add it NOT VALID, and VALIDATE CONSTRAINT in a later migration",
        ),
        finds: |s| {
            let scans = |clause: &Words| {
                let is_checked = clause.has(&["CHECK"]) || clause.has(&["FOREIGN", "KEY"]);
                adds_constraint(clause) && is_checked && !clause.has(&["NOT", "VALID"])
            };
            s.is(Dialect::Postgres) && s.has_clause(scans)
        },
    },
    StatementRule {
        rule: rule(
            "constraint-builds-index",
            Warning,
            "builds the index of a constraint while nobody can use the table",
            "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT … USING INDEX",
        ),
        finds: |s| {
            let builds = |clause: &Words| {
                let has_index = ["UNIQUE", "PRIMARY", "EXCLUDE"].iter().any(|word| clause.has(&[word]));
                clause.at(0) == "ADD" && has_index && !clause.has(&["USING", "INDEX"])
            };
            s.is(Dialect::Postgres) && s.has_clause(builds)
        },
    },
    StatementRule {
        rule: rule(
            "set-not-null-scans-table",
            Warning,
            "reads the whole table for NOT NULL while nobody can use it",
            "add CHECK (column IS NOT NULL) NOT VALID, validate it in a later migration, and SET NOT NULL then",
        ),
        finds: |s| s.is(Dialect::Postgres) && s.has_clause(|clause| clause.has(&["SET", "NOT", "NULL"])),
    },
    StatementRule {
        rule: rule(
            "column-rewrites-table",
            Warning,
            "adds a column whose value differs from row to row: the table is rewritten, and nobody can use it until that is done",
            "add it without a default, fill it in batches, and set the default then",
        ),
        finds: |s| s.is(Dialect::Postgres) && s.adds_column(|clause| is_serial(clause) || is_computed(clause)),
    },
    StatementRule {
        rule: rule(
            "rewrites-table",
            Warning,
            "rewrites whole tables while nobody can use them",
            "leave it out, or plan a maintenance window",
        ),
        finds: |s| match s.dialect {
            Dialect::Sqlite => s.words.begins(&["VACUUM"]) && !s.words.has(&["INTO"]),
            Dialect::Postgres => {
                let is_full = s.words.begins(&["VACUUM", "FULL"]) || s.words.begins(&["CLUSTER"]);
                is_full || s.has_clause(rewrites)
            }
        },
    },
    StatementRule {
        rule: rule(
            "lock-table",
            Warning,
            "locks a table for the rest of the migration",
            "leave it out: each statement takes the lock that it needs",
        ),
        finds: |s| s.words.begins(&["LOCK"]) && s.is(Dialect::Postgres),
    },
    StatementRule {
        rule: rule(
            "refresh-blocks-readers",
            Warning,
            "fills a materialized view while nobody can read it",
            "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on the view",
        ),
        finds: |s| s.words.begins(&["REFRESH", "MATERIALIZED", "VIEW"]) && s.words.at(3) != "CONCURRENTLY",
    },
    StatementRule {
        rule: rule(
            "enum-value-in-transaction",
            Warning,
            "adds a value to a type, which cannot be used before the transaction ends (55P04)",
            "move it to a migration of its own, before the one that uses it",
        ),
        finds: |s| {
            let adds = s.words.begins(&["ALTER", "TYPE"]) && s.words.has(&["ADD", "VALUE"]);
            s.is(Dialect::Postgres) && adds && !s.is_alone && !s.no_transaction
        },
    },
    StatementRule {
        rule: rule(
            "session-setting",
            Note,
            "changes a setting of the session, which haul resets after the migration",
            "write SET LOCAL if it is for this migration only, and ALTER ROLE or ALTER DATABASE if it must last",
        ),
        finds: |s| {
            let sets = s.words.at(0) == "SET" && !["LOCAL", "CONSTRAINTS", "TRANSACTION"].contains(&s.words.at(1));
            s.is(Dialect::Postgres) && sets
        },
    },
    StatementRule {
        rule: rule(
            "column-refused",
            Error,
            "adds a column in a way that SQLite refuses: UNIQUE, or PRIMARY KEY",
            "add the column alone, then create a unique index; or create a new table and copy the rows",
        ),
        finds: |s| {
            let refused = |clause: &Words| clause.has(&["UNIQUE"]) || clause.has(&["PRIMARY"]);
            s.is(Dialect::Sqlite) && s.adds_column(refused)
        },
    },
    StatementRule {
        rule: rule(
            "default-not-constant",
            Error,
            "adds a column with a default that is not constant: SQLite refuses it on a table with rows",
            "give it a constant default, and fill it with an UPDATE or in batches",
        ),
        finds: |s| s.is(Dialect::Sqlite) && s.adds_column(|clause| has_default(clause, is_not_constant)),
    },
    StatementRule {
        rule: rule(
            "or-rollback",
            Error,
            "a conflict ends the transaction of the migration: the statements before it are undone, those after it are kept",
            "write OR ABORT, or leave the conflict clause out",
        ),
        finds: |s| s.is(Dialect::Sqlite) && !s.no_transaction && rolls_back(s.words),
    },
];
