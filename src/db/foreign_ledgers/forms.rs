//! The ledgers that haul knows: how each is recognised, and how its rows are read.

/// A kind of ledger.
pub(super) struct Form {
    /// The program that writes it.
    pub runner: &'static str,
    /// The name of the table; empty if the columns alone say enough.
    pub name: &'static str,
    /// Columns that the table has, in any order.
    pub columns: &'static [&'static str],
    /// True if it has no other columns.
    pub is_complete: bool,
    /// How its rows are read.
    pub rows: Rows,
}

/// How the rows of a ledger name migrations.
pub(super) enum Rows {
    /// They cannot be compared with versions.
    Foreign,
    /// A query for version, name, checksum and state, oldest row first. `{t}` is the table. The states are `applied`,
    /// `undone`, `failed`, and `up_to` for a row that stands for all versions up to its own.
    Query(&'static str, Sum),
}

/// The kind of checksum in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// None that haul can compute.
    None,
    /// CRC-32 of the lines without their ends, as a signed number.
    FlywayCrc32,
    /// SHA-256 of the file, in hex digits.
    Sha256,
    /// SHA-384 of the file, in hex digits.
    Sha384,
    /// haul's own.
    Haul,
}

/// The name of haul among the runners: a ledger with another name.
pub(super) const HAUL: &str = "haul";

/// All forms. Of two that fit a table, the first one counts.
pub(super) const FORMS: [Form; 59] = [
    Form {
        runner: HAUL,
        name: "",
        columns: &[
            "position",
            "version",
            "name",
            "checksum",
            "applied_at",
            "duration_ms",
            "applied_by",
            "haul_version",
        ],
        is_complete: true,
        rows: Rows::Query(
            "SELECT CAST(version AS text), CAST(name AS text), CAST(checksum AS text), 'applied' FROM {t} ORDER BY position",
            Sum::Haul,
        ),
    },
    Form {
        runner: "Flyway",
        name: "",
        columns: &["installed_rank", "version", "description", "type", "script", "checksum", "success"],
        is_complete: false,
        rows: Rows::Query(
            "SELECT CAST(version AS text), CAST(script AS text), CAST(checksum AS text), CASE WHEN CAST(success AS text) NOT IN \
             ('1', 't', 'true') THEN 'failed' WHEN type LIKE 'UNDO%' OR type = 'DELETE' THEN 'undone' WHEN type LIKE \
             '%BASELINE' THEN 'up_to' ELSE 'applied' END FROM {t} WHERE version IS NOT NULL OR CAST(success AS text) NOT IN \
             ('1', 't', 'true') ORDER BY installed_rank",
            Sum::FlywayCrc32,
        ),
    },
    Form {
        runner: "Liquibase",
        name: "",
        columns: &["id", "author", "filename", "dateexecuted", "orderexecuted", "exectype", "md5sum"],
        is_complete: false,
        rows: Rows::Foreign,
    },
    Form {
        runner: "sqlx",
        name: "",
        columns: &["version", "description", "installed_on", "success", "checksum", "execution_time"],
        is_complete: true,
        rows: Rows::Query(
            "SELECT CAST(version AS text), CAST(description AS text), {hex(checksum)}, CASE WHEN CAST(success AS text) IN ('1', \
             't', 'true') THEN 'applied' ELSE 'failed' END FROM {t} ORDER BY version",
            Sum::Sha384,
        ),
    },
    Form {
        runner: "Prisma",
        name: "",
        columns: &["migration_name", "checksum", "finished_at", "rolled_back_at", "started_at"],
        is_complete: false,
        rows: Rows::Query(
            "SELECT CAST(migration_name AS text), CAST(migration_name AS text), CAST(checksum AS text), CASE WHEN rolled_back_at \
             IS NOT NULL THEN 'undone' WHEN finished_at IS NULL THEN 'failed' ELSE 'applied' END FROM {t} ORDER BY started_at",
            Sum::Sha256,
        ),
    },
    Form {
        runner: "Atlas",
        name: "",
        columns: &["version", "description", "applied", "total", "executed_at", "error", "hash"],
        is_complete: false,
        rows: Rows::Query(
            "SELECT CAST(version AS text), CAST(description AS text), NULL, CASE WHEN applied < total THEN 'failed' ELSE \
             'applied' END FROM {t} WHERE version NOT LIKE '.%' ORDER BY executed_at",
            Sum::None,
        ),
    },
    Form {
        runner: "goose",
        name: "",
        columns: &["id", "version_id", "is_applied", "tstamp"],
        is_complete: true,
        // goose begins its table with version 0, which stands for no file.
        rows: Rows::Query(
            "SELECT CAST(version_id AS text), '', NULL, CASE WHEN CAST(is_applied AS text) IN ('1', 't', 'true') THEN 'applied' \
             ELSE 'undone' END FROM {t} WHERE version_id > 0 ORDER BY id",
            Sum::None,
        ),
    },
    Form {
        runner: "golang-migrate",
        name: "",
        columns: &["version", "dirty"],
        is_complete: true,
        rows: Rows::Query(
            "SELECT CAST(version AS text), '', NULL, CASE WHEN CAST(dirty AS text) IN ('1', 't', 'true') THEN 'failed' ELSE \
             'up_to' END FROM {t} WHERE version >= 0",
            Sum::None,
        ),
    },
    Form {
        runner: "refinery",
        name: "",
        columns: &["version", "name", "applied_on", "checksum"],
        is_complete: true,
        rows: Rows::Query(
            "SELECT CAST(version AS text), CAST(name AS text), NULL, 'applied' FROM {t} ORDER BY version",
            Sum::None,
        ),
    },
    Form {
        runner: "Diesel",
        name: "__diesel_schema_migrations",
        columns: &["version", "run_on"],
        is_complete: true,
        rows: PLAIN,
    },
    Form {
        runner: "dbmate or Rails",
        name: "schema_migrations",
        columns: &["version"],
        is_complete: true,
        rows: PLAIN,
    },
    Form {
        runner: "Ecto",
        name: "schema_migrations",
        columns: &["version", "inserted_at"],
        is_complete: true,
        rows: PLAIN,
    },
    Form {
        runner: "node-pg-migrate",
        name: "",
        columns: &["id", "name", "run_on"],
        is_complete: true,
        rows: Rows::Query(
            "SELECT CAST(name AS text), CAST(name AS text), NULL, 'applied' FROM {t} ORDER BY id",
            Sum::None,
        ),
    },
    Form {
        runner: "sql-migrate",
        name: "gorp_migrations",
        columns: &["id", "applied_at"],
        is_complete: true,
        rows: Rows::Query("SELECT CAST(id AS text), CAST(id AS text), NULL, 'applied' FROM {t} ORDER BY id", Sum::None),
    },
    Form {
        runner: "Knex",
        name: "",
        columns: &["id", "name", "batch", "migration_time"],
        is_complete: true,
        rows: Rows::Query(
            "SELECT CAST(name AS text), CAST(name AS text), NULL, 'applied' FROM {t} ORDER BY id",
            Sum::None,
        ),
    },
    Form { runner: "Alembic", name: "", columns: &["version_num"], is_complete: true, rows: SINGLE_NUM },
    Form {
        runner: "Django",
        name: "",
        columns: &["id", "app", "name", "applied"],
        is_complete: true,
        rows: Rows::Foreign,
    },
    Form {
        runner: "the documented runner",
        name: "__migrations",
        columns: &["name"],
        is_complete: false,
        rows: Rows::Query("SELECT CAST(name AS text), CAST(name AS text), NULL, 'applied' FROM {t}", Sum::None),
    },
    Form {
        runner: "the documented runner",
        name: "__migrations",
        columns: &["version"],
        is_complete: false,
        rows: PLAIN,
    },
    Form { runner: "tern", name: "schema_version", columns: &["version"], is_complete: false, rows: SINGLE },
    whole("SeaORM", "seaql_migrations", &["version", "applied_at"], Rows::Foreign),
    whole("Laravel", "migrations", &["id", "migration", "batch"], Rows::Foreign),
    part("Entity Framework", "__EFMigrationsHistory", &["migrationid", "productversion"], Rows::Foreign),
    part("Entity Framework", "__EFMigrationsHistory", &["migration_id", "product_version"], Rows::Foreign),
    part("FluentMigrator", "VersionInfo", &["version", "appliedon", "description"], Rows::Foreign),
    part("Doctrine", "doctrine_migration_versions", &["version", "executed_at"], Rows::Foreign),
    whole("Yii", "migration", &["version", "apply_time"], Rows::Foreign),
    whole("MikroORM", "mikro_orm_migrations", &["id", "name", "executed_at"], Rows::Foreign),
    part("Drizzle", "__drizzle_migrations", &["id", "hash", "created_at"], Rows::Foreign),
    part("sqitch", "changes", &["change_id", "change", "project", "planned_at", "committed_at"], Rows::Foreign),
    part("pgroll", "migrations", &["schema", "name", "migration", "done", "parent"], Rows::Foreign),
    whole("GRDB", "grdb_migrations", &["identifier"], Rows::Foreign),
    part("Payload", "payload_migrations", &["id", "name", "batch"], Rows::Foreign),
    whole("TypeORM", "migrations", &["id", "timestamp", "name"], TIMESTAMP),
    whole("Sequelize", "SequelizeMeta", &["name"], NAME),
    whole("Kysely", "kysely_migration", &["name", "timestamp"], NAME),
    whole("Cloudflare D1", "d1_migrations", &["id", "name", "applied_at"], NAME),
    whole("bun", "bun_migrations", &["id", "name", "group_id", "migrated_at"], NAME),
    whole("ley", "migrations", &["id", "name", "created_at"], NAME),
    whole("Slonik", "migration", &["name", "hash", "date"], NAME),
    whole(
        "rambler",
        "migrations",
        &["migration"],
        Rows::Query(
            "SELECT CAST(migration AS text), CAST(migration AS text), NULL, 'applied' FROM {t} ORDER BY 1",
            Sum::None,
        ),
    ),
    whole("graphile-migrate", "migrations", &["hash", "previous_hash", "filename", "date"], FILENAME),
    whole("Sequel", "schema_migrations", &["filename"], FILENAME),
    whole("postgresql-simple-migration", "schema_migrations", &["filename", "checksum", "executed_at"], FILENAME),
    part(
        "yoyo",
        "_yoyo_migration",
        &["migration_hash", "migration_id"],
        Rows::Query(
            "SELECT CAST(migration_id AS text), CAST(migration_id AS text), NULL, 'applied' FROM {t} ORDER BY 1",
            Sum::None,
        ),
    ),
    part(
        "DbUp",
        "schemaversions",
        &["scriptname", "applied"],
        Rows::Query(
            "SELECT CAST(scriptname AS text), CAST(scriptname AS text), NULL, 'applied' FROM {t} ORDER BY 1",
            Sum::None,
        ),
    ),
    part("Phinx", "phinxlog", &["version", "migration_name", "start_time", "end_time"], PLAIN),
    part("Supabase", "schema_migrations", &["version", "statements", "name"], PLAIN),
    whole("shmig", "shmig_version", &["version", "migrated_at"], PLAIN),
    part("pop", "schema_migration", &["version"], PLAIN),
    whole(
        "postgrator",
        "schemaversion",
        &["version", "name", "md5", "run_at"],
        Rows::Query(
            "SELECT CAST(version AS text), CAST(name AS text), NULL, 'applied' FROM {t} WHERE version > 0 ORDER BY version",
            Sum::None,
        ),
    ),
    part(
        "Evolve",
        "changelog",
        &["id", "type", "version", "description", "installed_by", "installed_on", "success"],
        Rows::Query(
            "SELECT CAST(version AS text), CAST(name AS text), NULL, CASE WHEN CAST(success AS text) IN ('1', 't', 'true') THEN 'applied' ELSE 'failed' END FROM {t} WHERE version IS NOT NULL ORDER BY id",
            Sum::None,
        ),
    ),
    whole("MyBatis", "changelog", &["id", "applied_at", "description"], ID),
    whole("migratus", "schema_migrations", &["id", "applied", "description"], ID),
    whole("postgres-migrations", "migrations", &["id", "name", "hash", "executed_at"], ID),
    whole("node-sqlite", "migrations", &["id", "name", "up", "down"], ID),
    whole("gormigrate", "migrations", &["id"], ID),
    part(
        "Play",
        "play_evolutions",
        &["id", "hash", "apply_script", "revert_script", "state"],
        Rows::Query(
            "SELECT CAST(id AS text), '', NULL, CASE WHEN state = 'applied' THEN 'applied' ELSE 'failed' END FROM {t} ORDER BY id",
            Sum::None,
        ),
    ),
    whole(
        "go-pg",
        "gopg_migrations",
        &["id", "version", "created_at"],
        Rows::Query(
            "SELECT CAST(version AS text), '', NULL, 'up_to' FROM {t} WHERE version > 0 ORDER BY id DESC LIMIT 1",
            Sum::None,
        ),
    ),
];

/// A table with these columns and no others.
const fn whole(runner: &'static str, name: &'static str, columns: &'static [&'static str], rows: Rows) -> Form {
    Form { runner, name, columns, is_complete: true, rows }
}

/// A table with these columns, and perhaps others.
const fn part(runner: &'static str, name: &'static str, columns: &'static [&'static str], rows: Rows) -> Form {
    Form { runner, name, columns, is_complete: false, rows }
}

/// Rows that begin with a version, in one column or another.
const NAME: Rows =
    Rows::Query("SELECT CAST(name AS text), CAST(name AS text), NULL, 'applied' FROM {t} ORDER BY name", Sum::None);
const FILENAME: Rows = Rows::Query(
    "SELECT CAST(filename AS text), CAST(filename AS text), NULL, 'applied' FROM {t} ORDER BY filename",
    Sum::None,
);
const ID: Rows = Rows::Query("SELECT CAST(id AS text), '', NULL, 'applied' FROM {t} ORDER BY id", Sum::None);
const TIMESTAMP: Rows = Rows::Query(
    "SELECT CAST(\"timestamp\" AS text), CAST(name AS text), NULL, 'applied' FROM {t} ORDER BY id",
    Sum::None,
);

/// One row for each applied version.
const PLAIN: Rows = Rows::Query("SELECT CAST(version AS text), '', NULL, 'applied' FROM {t} ORDER BY 1", Sum::None);
/// One row, whose version stands for all up to it; several rows stand for themselves.
const SINGLE: Rows = Rows::Query(
    "SELECT CAST(version AS text), '', NULL, CASE WHEN (SELECT count(*) FROM {t}) = 1 THEN 'up_to' ELSE 'applied' END FROM {t} \
     WHERE CAST(version AS text) <> '0'",
    Sum::None,
);
const SINGLE_NUM: Rows = Rows::Query(
    "SELECT CAST(version_num AS text), '', NULL, CASE WHEN (SELECT count(*) FROM {t}) = 1 THEN 'up_to' ELSE 'applied' END FROM \
     {t}",
    Sum::None,
);

impl Form {
    /// Returns true if a table of this name and with these columns is such a ledger. Case does not matter, because some
    /// programs write their names in capitals.
    pub fn fits(&self, name: &str, columns: &[String]) -> bool {
        let has = |wanted: &&str| columns.iter().any(|column| column.eq_ignore_ascii_case(wanted));
        (self.name.is_empty() || self.name.eq_ignore_ascii_case(name))
            && self.columns.iter().all(has)
            && (!self.is_complete || columns.len() == self.columns.len())
    }
}
