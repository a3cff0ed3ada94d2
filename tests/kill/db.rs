//! The real binary, and the server of PostgreSQL, under `kill -9` in the middle of migrations and of a backfill:
//! whatever the moment and however often, the rerun completes, each migration is applied once and each row filled once.
//! `HAUL_KILL_SEED` chooses other moments.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::killing::{Moments, begins, crashed, killed};
use crate::support::db::Db;
use crate::support::postgres::OwnServer;
use serde_json::Value;

const HAUL_KILLS: u32 = 30;
const SERVER_KILLS: u32 = 10;
/// How long the lock of a killed run may stay.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);
const MIGRATIONS: u32 = 20;
const ROWS: u32 = 200_000;
/// Rows a second of a run that is to be killed: the backfill takes three seconds.
const RATE: u32 = 65_000;
/// The table that the backfill changes, the one that it writes to, and the one that says which migrations took effect.
const TABLES: &str = "-- Up\nCREATE TABLE people (id BIGINT PRIMARY KEY, seen INT NOT NULL DEFAULT 0);\n\
                      CREATE TABLE audit (id BIGINT NOT NULL);\nCREATE TABLE effects (number INT NOT NULL);\n";
const BACKFILL: &str = "-- Up\nINSERT INTO effects VALUES (0);\n-- Batch: SELECT id FROM people\n-- haul: batch-rows=999\n\
                        UPDATE people SET seen = seen + 1 WHERE id IN (SELECT id FROM haul_batch);\n\
                        INSERT INTO audit SELECT id FROM haul_batch;\n";

/// When a run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// A while after the process was started.
    Start,
    /// A while after the first migration began.
    Migrations,
    /// A while after the backfill began, or went on.
    Backfill,
}

impl Moment {
    /// Two of five among the migrations, which take shorter; the last ones in the backfill.
    fn of(kill: u32) -> Self {
        match kill % 5 {
            0 if kill < HAUL_KILLS / 2 => Self::Start,
            1 | 3 if kill < HAUL_KILLS / 2 => Self::Migrations,
            _ if kill < HAUL_KILLS / 3 => Self::Migrations,
            _ => Self::Backfill,
        }
    }

    fn delay_ms(self) -> u64 {
        match self {
            Self::Start => 60,
            Self::Migrations => 40,
            Self::Backfill => 150,
        }
    }

    fn is_at(self, event: &Value) -> bool {
        match self {
            Self::Start => event.is_null(),
            Self::Migrations => begins(event, "run"),
            Self::Backfill => begins(event, "backfill"),
        }
    }
}

/// Twenty migrations and a backfill that are yet to be run.
fn prepare(db: &Db) {
    db.write("001_tables.sql", TABLES).run("migrate").expect(0);
    let numbers = format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS})");
    db.execute(&format!("INSERT INTO people (id) {numbers} SELECT n FROM c"));
    for number in 1..=MIGRATIONS {
        let text = format!(
            "-- Up\nCREATE TABLE t{number} (a INT);\nINSERT INTO effects VALUES ({number});\n\
             INSERT INTO t{number} SELECT id FROM people WHERE id <= 2000;\n-- Down\nDROP TABLE t{number};\n"
        );
        db.write(&format!("{:03}_t{number}.sql", number + 1), &text);
    }
    db.write("900_backfill.sql", BACKFILL);
}

fn start(db: &Db) -> Child {
    let mut command = db.command(&format!("migrate --progress events --rate-limit {RATE}"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("haul runs")
}

/// What is in the ledger took effect once, and nothing else did, except for the backfill, which is yet to get there.
fn agrees(db: &Db) {
    let effects = db.rows("SELECT number FROM effects WHERE number > 0 ORDER BY number");
    let applied = db.rows("SELECT version FROM haul_migrations WHERE version NOT IN ('1', '900') ORDER BY position");
    let applied: Vec<_> = applied.iter().map(|version| (version.parse::<u32>().unwrap() - 1).to_string()).collect();
    assert_eq!(effects, applied);
    let seen = db.rows("SELECT count(*) FROM people WHERE seen = 1");
    let audited = db.rows("SELECT count(DISTINCT id) FROM audit");
    assert_eq!((seen, db.rows("SELECT count(*) FROM audit")), (audited.clone(), audited));
}

/// Completes what the kills have left, and counts.
fn complete(db: &Db) {
    db.run("migrate").expect(0);
    agrees(db);
    let total = MIGRATIONS + 2;
    assert_eq!(
        db.rows("SELECT count(*), count(DISTINCT version), max(position) FROM haul_migrations"),
        [format!("{total}|{total}|{total}")]
    );
    let applied = "SELECT count(*), count(DISTINCT version) FROM haul_migrations_log WHERE outcome = 'applied'";
    assert_eq!(db.rows(applied), [format!("{total}|{total}")]);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT number) FROM effects"), [format!("{0}|{0}", MIGRATIONS + 1)]);
    assert_eq!(db.rows("SELECT count(*), min(seen), max(seen) FROM people"), [format!("{ROWS}|1|1")]);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT id) FROM audit"), [format!("{ROWS}|{ROWS}")]);
    assert_eq!(db.rows("SELECT count(*) FROM haul_migrations_cursors"), ["0"]);
    assert_eq!(db.json("migrate", 0)["applied"], 0);
}

/// Waits until the server has ended the session of a run that was killed, and with it the run's lock. It may take
/// seconds to see that the other end of the connection is gone.
fn wait_for_the_lock(db: &Db) {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    while !db.json("locks", 0)["lock"].is_null() {
        assert!(Instant::now() < deadline, "the lock of a killed run is still there after {LOCK_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills haul in databases of `make` until it was killed often enough while it ran.
fn kill_haul(make: impl Fn() -> Db) {
    let mut moments = Moments::seeded();
    let mut kills = 0;
    while kills < HAUL_KILLS {
        let db = make();
        prepare(&db);
        while kills < HAUL_KILLS {
            let moment = Moment::of(kills);
            if !killed(start(&db), moments.delay_below(moment.delay_ms()), move |event| moment.is_at(event)) {
                break;
            }
            kills += 1;
            // What was killed may be looked at by others before haul sees it again.
            if moments.below(2) == 0 {
                agrees(&db);
            }
            wait_for_the_lock(&db);
        }
        complete(&db);
    }
    assert_eq!(kills, HAUL_KILLS);
}

#[test]
fn haul_is_killed_on_sqlite() {
    kill_haul(Db::sqlite);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn haul_is_killed_on_postgres() {
    kill_haul(Db::postgres);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_server_of_postgres_is_killed() {
    let server = OwnServer::start();
    let mut moments = Moments::seeded();
    let mut kills = 0;
    while kills < SERVER_KILLS {
        let db = Db::on(server.server());
        prepare(&db);
        while kills < SERVER_KILLS {
            let moment = Moment::of(HAUL_KILLS / SERVER_KILLS * kills);
            let delay = moments.delay_below(moment.delay_ms());
            let (code, stderr) = crashed(start(&db), delay, |event| moment.is_at(event), server);
            if code == 0 {
                break;
            }
            // A run that tells of a lost server was under way when it was killed, and to run again is all there is to
            // do.
            assert!(code == 75 && stderr.contains("next: "), "{code}: {stderr}");
            kills += 1;
            agrees(&db);
        }
        complete(&db);
    }
    assert_eq!(kills, SERVER_KILLS);
}
