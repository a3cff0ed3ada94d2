//! Runs through a real PgBouncer, which gives a session to a client or to each of its transactions.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::servers::free_port;
use crate::support::db::Db;
use crate::support::haul::Done;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A PgBouncer in front of the server of a database. It ends with the test.
struct Pool {
    child: Child,
    url: String,
    _place: tempfile::TempDir,
}

impl Pool {
    fn start(db: &Db, mode: &str) -> Self {
        let (place, port) = (tempfile::tempdir().unwrap(), free_port());
        let socket = db.rows("SHOW unix_socket_directories").remove(0);
        let database = db.rows("SELECT current_database()").remove(0);
        let (settings, users) = (place.path().join("settings"), place.path().join("users"));
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let text = format!(
            "[databases]\n* = host={socket}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 3\n",
            users.display()
        );
        fs::write(&settings, text).unwrap();
        // It does not run as root, and only the owner of the server reaches its socket.
        let owner = fs::metadata(&socket).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(&users, Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(&settings).uid(owner.uid()).gid(owner.gid()).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, url: format!("postgres://postgres@127.0.0.1:{port}/{database}"), _place: place }
    }

    fn run(&self, db: &Db, arguments: &str) -> Done {
        Done::of(db.command(arguments).env("DATABASE_URL", &self.url).output().unwrap())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Files of every kind: in a transaction, without one, and in batches.
fn write_files(db: &Db) {
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT PRIMARY KEY);\nINSERT INTO a SELECT generate_series(1, 20);\n-- Down\nDROP TABLE a;\n");
    db.write("2_b.sql", "-- haul: no-transaction\n-- Up\nSET work_mem = '1MB';\nCREATE INDEX CONCURRENTLY i ON a (a);\n-- Down\nDROP INDEX CONCURRENTLY i;\n");
    db.write("3_c.sql", "-- haul: batch-rows=7\n-- Up\nCREATE TABLE c (a INT);\n-- Batch: SELECT a FROM a\nINSERT INTO c SELECT a FROM haul_batch;\n-- Down\nDROP TABLE c;\n");
}

#[test]
#[ignore = "needs PgBouncer"]
fn a_pool_that_keeps_sessions_is_as_good_as_the_server() {
    let db = Db::postgres();
    let pool = Pool::start(&db, "session");
    write_files(&db);
    pool.run(&db, "migrate").expect(0);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT a) FROM c"), ["20|20"]);
    for verb in
        ["status", "verify", "drift", "dump", "locks", "migrate --dry-run=execute", "rollback --to 0 --yes", "migrate"]
    {
        pool.run(&db, verb).expect(0);
    }
    assert_eq!(db.applied(), ["1_a", "2_b", "3_c"]);
    // A run that works holds its lock against one that comes without the pool, and leaves none.
    db.write("4_d.sql", "SELECT pg_sleep(3600);");
    let mut run =
        db.command("migrate --timeout 0").env("DATABASE_URL", &pool.url).stderr(Stdio::null()).spawn().unwrap();
    while db.json("locks", 0)["lock"].is_null() {
        assert!(run.try_wait().unwrap().is_none(), "it runs until it is killed");
    }
    db.run("migrate").expect(75);
    run.kill().unwrap();
    run.wait().unwrap();
    db.write("4_d.sql", "CREATE TABLE d (a INT);").run("migrate --wait 30").expect(0);
    assert_eq!(db.applied(), ["1_a", "2_b", "3_c", "4_d"]);
}

#[test]
#[ignore = "needs PgBouncer"]
fn a_pool_that_shares_sessions_is_refused_before_anything_changes() {
    let db = Db::postgres();
    let pool = Pool::start(&db, "transaction");
    write_files(&db);
    for verb in ["migrate", "migrate --dry-run=execute", "baseline 3 --yes"] {
        let done = pool.run(&db, verb).expect(2);
        assert!(
            done.stderr.contains("a pool in transaction mode") && done.stderr.contains("session mode"),
            "{}",
            done.stderr
        );
    }
    assert_eq!(db.rows("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), ["0"]);
    let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = \
                 current_database() AND l.locktype = 'advisory'";
    assert_eq!(db.rows(locks), ["0"]);
    db.run("migrate").expect(0);
    for verb in ["status --exit-code", "verify", "drift", "dump", "locks", "log", "migrate --dry-run"] {
        pool.run(&db, verb).expect(0);
    }
    assert!(pool.run(&db, "status").expect(0).stdout.contains("3 applied, 0 pending"));
}
