//! A primary with a streaming standby: which of them is used, and what happens when one takes over from the other.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::servers::{on_a_port, standby_of};
use crate::support::db::Db;
use crate::support::haul::Done;
use crate::support::postgres::OwnServer;

const REPLAY_TIMEOUT: Duration = Duration::from_secs(60);

/// A database on a primary of its own that has a standby.
struct Pair {
    primary: &'static OwnServer,
    standby: &'static OwnServer,
    db: Db,
    database: String,
}

impl Pair {
    fn start() -> Self {
        let primary = on_a_port(|_| ());
        let standby = standby_of(primary);
        let db = Db::on(primary.server());
        let database = db.rows("SELECT current_database()").remove(0);
        Self { primary, standby, db, database }
    }

    /// The URL of both servers, the standby first.
    fn url(&self, parameters: &str) -> String {
        let [standby, primary] = [self.standby, self.primary].map(|server| server.server().port);
        format!("postgres://postgres@127.0.0.1:{standby},127.0.0.1:{primary}/{}?{parameters}", self.database)
    }

    fn run_at(&self, url: &str, arguments: &str) -> Done {
        Done::of(self.db.command(arguments).env("DATABASE_URL", url).output().unwrap())
    }

    /// Runs on the standby alone.
    fn run_on_standby(&self, arguments: &str) -> Done {
        self.run_at(&self.standby.server().url(&self.database), arguments)
    }

    /// A session on the standby.
    fn standby_client(&self) -> postgres::Client {
        postgres::Client::connect(&self.standby.server().url(&self.database), postgres::NoTls).expect("a session")
    }

    /// Waits until the standby has what the primary has now.
    fn wait_for_replay(&self) {
        let position = self.db.rows("SELECT pg_current_wal_lsn()").remove(0);
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
        let deadline = Instant::now() + REPLAY_TIMEOUT;
        while !self.standby_says(&sql) {
            assert!(Instant::now() < deadline, "the standby does not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks in a database that the standby has from its beginning: that of the test may not have reached it yet.
    fn standby_says(&self, sql: &str) -> bool {
        let url = self.standby.server().url("postgres");
        let mut client = postgres::Client::connect(&url, postgres::NoTls).expect("a session");
        client.query_one(sql, &[]).is_ok_and(|row| row.get(0))
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_standby_is_read_and_a_run_finds_the_primary() {
    let pair = Pair::start();
    let db = &pair.db;
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    pair.run_at(&pair.url(""), "migrate").expect(0);
    assert_eq!(db.applied(), ["1_a"]);
    pair.wait_for_replay();
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    for verb in ["status", "verify", "drift", "dump", "log", "locks", "migrate --dry-run"] {
        pair.run_on_standby(verb).expect(0);
    }
    for verb in ["migrate", "migrate --dry-run=execute"] {
        let done = pair.run_on_standby(verb).expect(1);
        assert!(
            done.stderr.contains("SQLSTATE 25006") && done.stderr.contains("connect to the primary"),
            "{}",
            done.stderr
        );
    }
    for wanted in ["read-write", "primary", "any"] {
        pair.run_at(&pair.url(&format!("target_session_attrs={wanted}")), "migrate --dry-run").expect(0);
    }
    let done = pair.run_at(&pair.url("target_session_attrs=standby"), "migrate").expect(1);
    assert!(done.stderr.contains("SQLSTATE 25006"), "{}", done.stderr);
    // Only standbys are left: a run ends as one that may be repeated, and what only reads goes on.
    pair.primary.crash();
    let done = pair.run_at(&pair.url(""), "migrate").expect(75);
    assert!(done.stderr.contains("the server is a standby"), "{}", done.stderr);
    pair.run_at(&pair.url(""), "status").expect(0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_goes_on_after_a_fail_over_in_its_middle() {
    let pair = Pair::start();
    let db = &pair.db;
    db.execute("CREATE TABLE effects (number INT)");
    let text = |number: u32, more: &str| format!("INSERT INTO effects VALUES ({number});\n{more}");
    for number in 1..=8 {
        db.write(&format!("{number}_m.sql"), &text(number, if number == 5 { "SELECT pg_sleep(3600);" } else { "" }));
    }
    let mut command = db.command("migrate --timeout 0");
    command.env("DATABASE_URL", pair.url("")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    while db.rows("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == ["0"] {
        if run.try_wait().unwrap().is_some() {
            let done = Done::of(run.wait_with_output().unwrap());
            panic!("it ended before the server did, with {}: {}", done.code, done.stderr);
        }
    }
    pair.wait_for_replay();
    pair.primary.crash();
    let done = Done::of(run.wait_with_output().unwrap()).expect(75);
    assert!(done.stderr.contains("5_m.sql") && done.stderr.contains("next: "), "{}", done.stderr);
    // The next run begins before the standby has taken over, and waits for that.
    db.write("5_m.sql", &text(5, ""));
    let mut command = db.command("migrate --json --progress none --wait-for-server 60");
    let run = command.env("DATABASE_URL", pair.url("")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut client = pair.standby_client();
    client.batch_execute("SELECT pg_promote()").unwrap();
    let done = Done::of(run.wait_with_output().unwrap()).expect(0);
    assert_eq!(done.json()["applied"], 4);
    let mut numbers = |sql: &str| {
        let rows = client.query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>()
    };
    let all: Vec<_> = (1..=8).collect();
    assert_eq!(numbers("SELECT number FROM effects ORDER BY 1"), all);
    assert_eq!(numbers("SELECT version::int FROM haul_migrations ORDER BY position"), all);
}
