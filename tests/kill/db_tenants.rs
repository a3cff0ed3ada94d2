//! A run on many tenants, with batches, hooks and builds of indexes, under `kill -9` of haul and of the server of PostgreSQL:
//! whatever the moment and however often, each migration is applied once in each tenant, each row filled once, and no
//! lock stays. `HAUL_CRASH_FULL=1` kills more often, `HAUL_KILL_SEED` chooses other moments.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::killing::{Moments, crashed, killed, sampled_or_full};
use crate::support::db::Db;
use crate::support::postgres::OwnServer;

const HAUL_KILLS: (u32, u32) = (10, 60);
const SERVER_KILLS: (u32, u32) = (3, 20);
/// How long the lock of a killed run may stay.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const TENANTS: usize = 4;
const SMALL: u32 = 4;
const ROWS: u32 = 1_500;
/// Rows a second of a run that is to be killed: the backfill of a tenant takes half a second.
const RATE: u32 = 3_000;
const TABLES: &str = "-- Up\nCREATE TABLE people (id BIGINT PRIMARY KEY, seen INT NOT NULL DEFAULT 0);\n\
                      CREATE TABLE audit (id BIGINT NOT NULL);\nCREATE TABLE effects (number INT NOT NULL);\n\
                      CREATE TABLE hooked (number INT);\n";
/// Notes the newest effect, in the transaction of the migration that has it.
const HOOKS: &str = "[[db.hooks]]\nwhen = \"after_each\"\nsql = \"INSERT INTO hooked SELECT max(number) FROM effects\"\n\
                     [[db.hooks]]\nwhen = \"before_each\"\ncommand = [\"true\"]\n";
const BACKFILL: &str = "-- Up\nINSERT INTO effects VALUES (0);\n-- Batch: SELECT id FROM people\n-- haul: \
                        batch-rows=50\n\
                        UPDATE people SET seen = seen + 1 WHERE id IN (SELECT id FROM haul_batch);\n\
                        INSERT INTO audit SELECT id FROM haul_batch;\n";
/// The version of the migration without a transaction, which builds an index.
const INDEX: u32 = 920;

/// Tenants with migrations that are yet to be run: schemas of one database, or files.
struct Fleet {
    /// The database, or one for each tenant.
    dbs: Vec<Db>,
    is_postgres: bool,
}

impl Fleet {
    fn sqlite() -> Self {
        let dbs: Vec<_> = (0..TENANTS).map(|_| Db::sqlite()).collect();
        let list: String = dbs.iter().map(|db| format!("{}\n", db.file().display())).collect();
        std::fs::write(dbs[0].path().join("list"), list).expect("a file");
        let fleet = Self { dbs, is_postgres: false };
        fleet.prepare();
        fleet
    }

    fn postgres(db: Db) -> Self {
        let schemas: String = (0..TENANTS).map(|index| format!("CREATE SCHEMA tenant_{index};")).collect();
        db.execute(&schemas);
        let fleet = Self { dbs: vec![db], is_postgres: true };
        fleet.prepare();
        fleet
    }

    /// The one with the files, where haul runs.
    fn db(&self) -> &Db {
        &self.dbs[0]
    }

    fn prepare(&self) {
        let db = self.db();
        db.write("001_tables.sql", TABLES).run(&format!("migrate {}", self.arguments())).expect(0);
        let numbers = format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS})");
        (0..TENANTS)
            .for_each(|index| self.execute(index, &format!("INSERT INTO people (id) {numbers} SELECT n FROM c")));
        for number in 1..=SMALL {
            let text = format!("CREATE TABLE t{number} (a INT);\nINSERT INTO effects VALUES ({number});\n");
            db.write(&format!("{:03}_t{number}.sql", number + 1), &text);
        }
        std::fs::write(db.path().join("haul.toml"), HOOKS).expect("a file");
        db.write("900_backfill.sql", BACKFILL);
        let concurrently = if self.is_postgres { "CONCURRENTLY " } else { "" };
        let index =
            format!("-- haul: no-transaction\nCREATE INDEX {concurrently}IF NOT EXISTS by_seen ON people (seen);\n");
        db.write(&format!("{INDEX}_index.sql"), &index);
        db.write("930_last.sql", "INSERT INTO effects VALUES (5);\n");
    }

    fn arguments(&self) -> &'static str {
        if self.is_postgres { "--schemas tenant_*" } else { "--databases list" }
    }

    fn in_tenant(&self, index: usize, sql: &str) -> (&Db, String) {
        match self.is_postgres {
            true => (self.db(), format!("SET search_path = tenant_{index}; {sql}")),
            false => (&self.dbs[index], sql.to_owned()),
        }
    }

    fn execute(&self, index: usize, sql: &str) {
        let (db, sql) = self.in_tenant(index, sql);
        db.execute(&sql);
    }

    fn rows(&self, index: usize, sql: &str) -> Vec<String> {
        let (db, sql) = self.in_tenant(index, sql);
        db.rows(&sql)
    }

    fn start(&self) -> Child {
        let arguments = format!("migrate {} --jobs 2 --progress events --rate-limit {RATE}", self.arguments());
        self.db().command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("haul runs")
    }

    /// What is in a ledger took effect once, and nothing else did, except for the backfill, which is yet to get there.
    fn agrees(&self) {
        for index in 0..TENANTS {
            let effects = self.rows(index, "SELECT number FROM effects WHERE number > 0 ORDER BY number");
            let applied = "SELECT CASE version WHEN '930' THEN 5 ELSE CAST(version AS INT) - 1 END FROM \
                           haul_migrations WHERE \
                           version NOT IN ('1', '900', '920') ORDER BY position";
            assert_eq!(effects, self.rows(index, applied));
            // The migrations without a transaction of their own come when 4 is the newest effect, and may be hooked again.
            let of = |table: &str| format!("SELECT number FROM {table} WHERE number NOT IN (0, 4) ORDER BY number");
            assert_eq!(self.rows(index, &of("hooked")), self.rows(index, &of("effects")));
            let seen = self.rows(index, "SELECT count(*) FROM people WHERE seen = 1");
            let audited = self.rows(index, "SELECT count(DISTINCT id) FROM audit");
            assert_eq!((seen, self.rows(index, "SELECT count(*) FROM audit")), (audited.clone(), audited));
        }
    }

    /// Completes what the kills have left, as an operator does, and counts.
    fn complete(&self) {
        loop {
            let end = self.db().run(&format!("migrate {} --json --progress none", self.arguments()));
            if end.code == 0 {
                break;
            }
            let document = end.expect(3).json();
            let tenants = document["tenants"].as_array().expect("tenants").iter().zip(0..);
            tenants
                .filter(|(tenant, _)| tenant["outcome"] == "failed")
                .for_each(|(tenant, index)| self.settle(tenant, index));
        }
        self.agrees();
        let total = SMALL + 4;
        for index in 0..TENANTS {
            let ledger = "SELECT count(*), count(DISTINCT version), max(position) FROM haul_migrations";
            assert_eq!(self.rows(index, ledger), [format!("{total}|{total}|{total}")]);
            let applied = "SELECT count(*), count(DISTINCT version) FROM haul_migrations_log WHERE outcome = 'applied'";
            assert_eq!(self.rows(index, applied), [format!("{total}|{total}")]);
            assert_eq!(self.rows(index, "SELECT count(*), min(seen), max(seen) FROM people"), [format!("{ROWS}|1|1")]);
            let audited = self.rows(index, "SELECT count(*), count(DISTINCT id) FROM audit");
            assert_eq!(audited, [format!("{ROWS}|{ROWS}")]);
            assert_eq!(self.rows(index, "SELECT count(*) FROM haul_migrations_cursors"), ["0"]);
            assert_eq!(self.indexes(index, "true"), 1);
        }
        let again = self.db().json(&format!("migrate {}", self.arguments()), 0);
        assert_eq!(again["counts"]["nothing_to_do"], TENANTS);
    }

    /// The number of indexes with the name of the one that is built: those that are valid, or the others.
    fn indexes(&self, index: usize, is_valid: &str) -> usize {
        let sql = match self.is_postgres {
            true => format!(
                "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('tenant_{index}.by_seen') AND indisvalid = \
                 {is_valid}"
            ),
            false => format!("SELECT 1 FROM sqlite_schema WHERE name = 'by_seen' AND {is_valid}"),
        };
        self.rows(index, &sql).len()
    }

    /// Says of a build that did not end whether it took effect, after removing what is left of one that did not.
    fn settle(&self, tenant: &Value, index: usize) {
        let error = tenant["error"].as_str().expect("an error");
        let is_of_index = error.contains("920_index") || error.contains("by_seen");
        assert!(is_of_index, "only a statement without a transaction needs an operator: {tenant}");
        if self.is_postgres && self.indexes(index, "false") > 0 {
            self.db().execute(&format!("DROP INDEX tenant_{index}.by_seen"));
        }
        let unresolved = "SELECT outcome FROM haul_migrations_log WHERE version = '920' ORDER BY id DESC LIMIT 1";
        if self.rows(index, unresolved) != ["running"] {
            return;
        }
        let place = match self.is_postgres {
            true => format!("--table tenant_{index}.haul_migrations"),
            false => format!("--database sqlite:{}", self.dbs[index].file().display()),
        };
        self.db().run(&format!("resolve --version {INDEX} --not-begun --yes {place}")).expect(0);
    }

    /// Waits until the server has ended the sessions of a run that was killed, and with them its locks.
    fn wait_for_the_locks(&self) {
        if !self.is_postgres {
            return;
        }
        let deadline = Instant::now() + LOCK_TIMEOUT;
        let sql = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = \
                   'advisory' AND \
                   datname = current_database()";
        while self.db().rows(sql) != ["0"] {
            assert!(Instant::now() < deadline, "a lock of a killed run is still there after {LOCK_TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// When a run is killed: a while after the process was started, a tenant was begun, or a backfill began or ended.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Start,
    Tenant,
    Backfill,
    Index,
}

impl Moment {
    fn of(kill: u32) -> Self {
        [Self::Tenant, Self::Index, Self::Backfill, Self::Index, Self::Start, Self::Backfill][kill as usize % 6]
    }

    fn delay_ms(self) -> u64 {
        match self {
            Self::Start | Self::Tenant => 60,
            Self::Backfill => 300,
            Self::Index => 30,
        }
    }

    fn is_at(self, event: &Value) -> bool {
        let inner = &event["inner"];
        let is_of_backfill = |name: &str| inner["event"] == name && inner["phase"] == "backfill";
        match self {
            Self::Start => event.is_null(),
            Self::Tenant => event["event"] == "tenant_started",
            Self::Backfill => is_of_backfill("phase_started"),
            Self::Index => is_of_backfill("phase_ended"),
        }
    }
}

/// Kills haul on tenants of `make` until it was killed often enough while it ran.
fn kill_haul(make: impl Fn() -> Fleet) {
    let wanted = sampled_or_full(HAUL_KILLS.0, HAUL_KILLS.1);
    let (mut moments, mut kills) = (Moments::seeded(), 0);
    while kills < wanted {
        let fleet = make();
        while kills < wanted {
            let moment = Moment::of(kills);
            if !killed(fleet.start(), moments.delay_below(moment.delay_ms()), move |event| moment.is_at(event)) {
                break;
            }
            kills += 1;
            fleet.wait_for_the_locks();
            fleet.agrees();
        }
        fleet.complete();
    }
    println!("haul was killed {kills} times");
}

#[test]
fn haul_is_killed_with_tenants_on_sqlite() {
    kill_haul(Fleet::sqlite);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn haul_is_killed_with_tenants_on_postgres() {
    kill_haul(|| Fleet::postgres(Db::postgres()));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_server_of_postgres_is_killed_with_tenants() {
    let wanted = sampled_or_full(SERVER_KILLS.0, SERVER_KILLS.1);
    let server = OwnServer::start();
    let (mut moments, mut kills) = (Moments::seeded(), 0);
    while kills < wanted {
        let fleet = Fleet::postgres(Db::on(server.server()));
        while kills < wanted {
            let moment = Moment::of(kills);
            let delay = moments.delay_below(moment.delay_ms());
            let run = fleet.start();
            let (code, stderr) = crashed(run, delay, |event| moment.is_at(event), server);
            if code == 0 {
                break;
            }
            // Tenants that had begun have failed, the others are tried and cannot be reached.
            assert!(code == 3 || code == 75 || code == 1, "{code}: {stderr}");
            assert!(stderr.contains("next: "), "{stderr}");
            kills += 1;
            fleet.wait_for_the_locks();
            fleet.agrees();
        }
        fleet.complete();
    }
    println!("the server was killed {kills} times");
}
