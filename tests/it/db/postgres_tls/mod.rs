//! Connections that are encrypted, and servers whose certificate is or is not the right one.

mod server;

use std::fs;

use crate::support::db::Db;
use crate::support::haul::Done;
use server::{HOST, authority, self_signed, server, signed, write};

/// Runs on a URL, with a home directory that the test can put files into.
fn run_at(db: &Db, url: &str, arguments: &str) -> Done {
    let mut command = db.command(arguments);
    Done::of(command.env("DATABASE_URL", url).env("HOME", db.path()).output().unwrap())
}

/// Checks that a verb that only reads works, or that it fails with this exit code and text.
#[track_caller]
fn check(db: &Db, url: &str, expected: Result<(), &str>) {
    let done = run_at(db, url, "locks").expect(i32::from(expected.is_err()));
    if let Err(text) = expected {
        assert!(done.stderr.contains(text) && done.stderr.contains("next: "), "{url}: {}", done.stderr);
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_session_is_encrypted_unless_the_server_wants_it_otherwise() {
    let (server, _usual) = (server(), server().is_usual.read().unwrap());
    let db = server.db();
    db.write("1_a.sql", "CREATE TABLE a AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();");
    let url = |user: &str, parameters: &str| server.url(&db, user, HOST, parameters);
    for parameters in ["", "sslmode=prefer", "sslmode=require", "sslmode=allow"] {
        assert!(run_at(&db, &url("app", parameters), "status").expect(0).stdout.contains("encrypted with TLS"));
    }
    assert_eq!(run_at(&db, &url("either", ""), "status --json").expect(0).json()["encryption"], "tls");
    run_at(&db, &url("app", ""), "migrate").expect(0);
    assert_eq!(db.rows("SELECT ssl FROM a"), ["t"]);
    for (user, parameters) in [("either", "sslmode=disable"), ("either", "sslmode=allow"), ("plain", "")] {
        let done = run_at(&db, &url(user, parameters), "status --json").expect(0);
        assert_eq!(done.json()["encryption"], "off", "{user} {parameters}");
    }
    assert_eq!(db.json("status", 0)["encryption"], "socket");
    check(&db, &url("app", "sslmode=disable"), Err("set sslmode=require"));
    check(&db, &url("plain", "sslmode=require"), Err("set sslmode=disable"));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_certificate_of_the_server_is_checked_as_far_as_asked() {
    let (server, _usual) = (server(), server().is_usual.read().unwrap());
    let db = server.db();
    write(&db.path().join("other.crt"), &authority("another").pem(), 0o644);
    write(&db.path().join("none.crt"), "no certificate\n", 0o644);
    let at = |host: &str, parameters: &str| server.url(&db, "app", host, parameters);
    let unknown = Err("is not signed by an authority in sslrootcert");
    check(&db, &at(HOST, "sslmode=verify-full&sslrootcert=root.crt"), Ok(()));
    check(
        &db,
        &at("127.0.0.1", "sslmode=verify-full&sslrootcert=root.crt"),
        Err("is for localhost, not for 127.0.0.1"),
    );
    check(
        &db,
        &at("db.example", "sslmode=verify-full&sslrootcert=root.crt"),
        Err("is for localhost, not for db.example"),
    );
    check(&db, &at("db.example", "sslmode=verify-ca&sslrootcert=root.crt"), Ok(()));
    for mode in ["verify-full", "verify-ca", "require"] {
        check(&db, &at(HOST, &format!("sslmode={mode}&sslrootcert=other.crt")), unknown);
        check(
            &db,
            &at(HOST, &format!("sslmode={mode}&sslrootcert=none.crt")),
            Err("none.crt: there is no certificate"),
        );
        check(&db, &at(HOST, &format!("sslmode={mode}&sslrootcert=no")), Err("no: there is no file"));
    }
    check(&db, &at(HOST, "sslrootcert=other.crt"), Ok(()));
    check(&db, &at(HOST, "sslmode=verify-full"), Err("root.crt: there is no file with the authorities"));
    let system = |roots: &str| {
        let mut command = db.command("locks");
        command.env("DATABASE_URL", at(HOST, "sslrootcert=system")).env("SSL_CERT_FILE", db.path().join(roots));
        Done::of(command.env_remove("SSL_CERT_DIR").output().unwrap())
    };
    system("root.crt").expect(0);
    system("other.crt").expect(1);
    // The file in the home directory counts if it is there.
    check(&db, &at(HOST, "sslmode=require"), Ok(()));
    fs::create_dir(db.path().join(".postgresql")).unwrap();
    fs::rename(db.path().join("other.crt"), db.path().join(".postgresql/root.crt")).unwrap();
    check(&db, &at(HOST, "sslmode=require"), unknown);
    check(&db, &at(HOST, ""), Ok(()));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_client_shows_its_certificate_where_the_server_asks_for_one() {
    let (server, _usual) = (server(), server().is_usual.read().unwrap());
    let db = server.db();
    let url = |parameters: &str| server.url(&db, "certified", HOST, parameters);
    check(&db, &url(""), Err("name a certificate that the server trusts in sslcert"));
    let (certificate, key) = server.for_client();
    let (path, key_path) = (db.path().join("client.crt"), db.path().join("client.key"));
    write(&path, &certificate, 0o644);
    let named = "sslcert=client.crt&sslkey=client.key";
    check(&db, &url(named), Err("client.key: there is no such file"));
    write(&key_path, &key, 0o644);
    check(&db, &url(named), Err("chmod 6"));
    write(&key_path, &key, 0o600);
    check(&db, &url(named), Ok(()));
    // Files in the home directory stand in for what is not named.
    let home = db.path().join(".postgresql");
    fs::create_dir(&home).unwrap();
    write(&home.join("postgresql.crt"), &certificate, 0o644);
    write(&home.join("postgresql.key"), &key, 0o600);
    check(&db, &url("sslmode=require"), Ok(()));
    let (foreign, foreign_key) = signed(&authority("another"), "certified", 2100);
    write(&path, &foreign, 0o644);
    check(&db, &url(named), Err("TLS cannot be set up"));
    write(&key_path, &foreign_key, 0o600);
    check(&db, &url(named), Err("the server does not accept the certificate of the client"));
    write(&key_path, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", 0o600);
    check(&db, &url(named), Err("without a passphrase"));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_password_is_bound_to_the_certificate() {
    let (server, _usual) = (server(), server().is_usual.read().unwrap());
    let db = server.db();
    let with_password = |parameters: &str| server.url(&db, "scram:s3cret", HOST, parameters);
    check(&db, &with_password("channel_binding=require"), Ok(()));
    check(&db, &with_password("channel_binding=require&sslmode=verify-full&sslrootcert=root.crt"), Ok(()));
    let wrong = server.url(&db, "scram:wrong", HOST, "");
    let done = run_at(&db, &wrong, "locks").expect(1);
    assert!(done.stderr.contains("28P01") && !done.texts().contains("wrong@"), "{}", done.texts());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_statement_is_cancelled_over_tls() {
    let (server, _usual) = (server(), server().is_usual.read().unwrap());
    let db = server.db();
    db.write("1_a.sql", "-- haul: timeout=100ms\nSELECT pg_sleep(3600);");
    let url = server.url(&db, "app", HOST, "sslmode=verify-full&sslrootcert=root.crt");
    let done = run_at(&db, &url, "migrate").expect(1);
    assert!(done.stderr.contains("cancelled at the time limit"), "{}", done.stderr);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_backup_is_made_over_the_same_encryption() {
    let (server, _usual) = (server(), server().is_usual.read().unwrap());
    let db = server.db();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let url = server.url(&db, "app", HOST, "sslmode=verify-full&sslrootcert=root.crt");
    let mut command = db.command("migrate --backup required");
    // What the URL says counts, not what the environment says.
    command.env("DATABASE_URL", &url).env("PGSSLMODE", "disable").env("PGSSLROOTCERT", "/nonexistent");
    Done::of(command.output().unwrap()).expect(0);
    let names = fs::read_dir(db.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".dump")).count(), 1);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn expired_and_self_signed_certificates_and_servers_without_tls_are_refused() {
    let server = server();
    let db = server.db();
    let url = |parameters: &str| server.url(&db, "either", HOST, parameters);
    let _unusual = server.is_usual.write().unwrap();
    server.set_certificate_until(&db, 2021);
    for mode in ["verify-full", "verify-ca"] {
        let url = url(&format!("sslmode={mode}&sslrootcert=root.crt"));
        check(&db, &url, Err("has expired at 2021-01-01T00:00:00Z"));
    }
    assert_eq!(run_at(&db, &url(""), "status --json").expect(0).json()["encryption"], "tls");
    // One that has signed itself is trusted where it is among the authorities.
    let pair = self_signed();
    server.set_certificate(&db, &pair);
    let url_with = |roots: &str| url(&format!("sslmode=verify-full&sslrootcert={roots}"));
    check(&db, &url_with("root.crt"), Err("is that of an authority, and is not in sslrootcert itself"));
    write(&db.path().join("self.crt"), &pair.0, 0o644);
    check(&db, &url_with("self.crt"), Ok(()));
    server.reload(&db, "ALTER SYSTEM SET ssl = off");
    for mode in ["require", "verify-full&sslrootcert=root.crt"] {
        check(&db, &url(&format!("sslmode={mode}")), Err("the server does not offer TLS"));
    }
    assert_eq!(run_at(&db, &url(""), "status --json").expect(0).json()["encryption"], "off");
    server.reload(&db, "ALTER SYSTEM RESET ssl");
    server.set_certificate_until(&db, 2100);
    check(&db, &url("sslmode=verify-full&sslrootcert=root.crt"), Ok(()));
}
