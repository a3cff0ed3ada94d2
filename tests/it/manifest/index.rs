//! `haul manifest reindex` and `query`: the content of the index, its replacement as a whole, and its three outputs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use crate::support::haul::Done;
use crate::support::manifest::Root;
use crate::support::manifest_files::manifest;
use crate::support::postgres::server;
use serde_json::{Value, json};

/// A manifest with what other JSON readers may reject: numbers beyond binary64, deep nesting, quotes.
fn odd(job: &str, run: &str) -> String {
    let nested = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let more = format!(", \"big\": 1E400, \"deep\": {nested}, \"text\": \"it's \\\\ \\u0000\"}}\n");
    manifest(job, run, "1.1.0").strip_suffix('}').unwrap().to_owned() + &more
}

fn tree() -> Root {
    let root = Root::new();
    root.put("job-a", "run-1");
    root.put_bytes(
        "job-a",
        "run-2",
        manifest("job-a", "run-2", "1.2.0").replace("\"ok\"", "\"it's failed\"").as_bytes(),
    );
    root.put_bytes("job-b", "run-1", odd("job-b", "run-1").as_bytes());
    root.put_bytes("job-b", "broken", b"{");
    root
}

fn reindex(root: &Root, arguments: &[&str]) -> Done {
    root.haul("reindex", arguments).expect(0)
}

fn index_path(root: &Root) -> String {
    root.path().join("index.db").display().to_string()
}

fn query(index: &str, arguments: &[&str]) -> Vec<Value> {
    let place = crate::support::place::Place::new();
    let done = place.run(&[&["manifest", "query", index, "--json"], arguments].concat()).expect(0);
    done.json()["rows"].as_array().unwrap().clone()
}

fn keys(rows: &[Value]) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "job_id"), text(row, "run_id"))).collect()
}

fn key(job: &str, run: &str) -> (String, String) {
    (job.to_owned(), run.to_owned())
}

#[test]
fn runs_are_found_by_job_version_and_status() {
    let root = tree();
    let index = index_path(&root);
    let made = reindex(&root, &["--sqlite", &index, "--json"]).json();
    assert_eq!((&made["rows"], &made["left_out"]), (&json!(3), &json!(1)));
    let asked = |arguments: &[&str]| keys(&query(&index, arguments));
    assert_eq!(asked(&[]), [key("job-a", "run-1"), key("job-a", "run-2"), key("job-b", "run-1")]);
    assert_eq!(asked(&["--job", "job-a"]), [key("job-a", "run-1"), key("job-a", "run-2")]);
    assert_eq!(asked(&["--version", "1.1.0"]), [key("job-b", "run-1")]);
    assert_eq!(asked(&["--status", "it's failed"]), [key("job-a", "run-2")]);
    assert_eq!(asked(&["--job", "job-a", "--version", "1.0.0", "--status", "ok"]), [key("job-a", "run-1")]);
    assert_eq!(asked(&["--job", "none"]), []);
    let row = &query(&index, &["--job", "job-b"])[0];
    assert_eq!(row["manifest_json"], odd("job-b", "run-1"), "as the file has it");
    assert_eq!(row["artifact_dir"], "artifacts/job-b/run-1");
}

#[test]
fn the_index_is_replaced_and_equal_each_time() {
    let root = tree();
    let index = index_path(&root);
    reindex(&root, &["--sqlite", &index]);
    let first = query(&index, &[]);
    reindex(&root, &["--sqlite", &index]);
    assert_eq!(query(&index, &[]), first);
    fs::remove_dir_all(root.artifacts().join("job-a")).unwrap();
    let later = r#"{"job_id": "job-a\u0000", "run_id": "nul"}"#;
    root.put_bytes("job-c", "nul", later.as_bytes());
    let made = reindex(&root, &["--sqlite", &index, "--json"]).json();
    assert_eq!(keys(&query(&index, &[])), [key("job-b", "run-1")]);
    assert_eq!(
        made["left_out_paths"],
        json!(["artifacts/job-b/broken/manifest.json", "artifacts/job-c/nul/manifest.json"])
    );
}

#[test]
fn a_manifest_with_the_key_of_another_one_is_counted_as_left_out() {
    let root = tree();
    let before = reindex(&root, &["--sqlite", &index_path(&root), "--json"]).json();
    root.put_bytes("other", "x", manifest("job-b", "run-1", "1.1.0").as_bytes());
    let made = reindex(&root, &["--sqlite", &index_path(&root), "--json"]).json();
    assert_eq!((&made["rows"], &made["same_key"]), (&before["rows"], &json!(1)));
    assert_eq!(made["left_out"], json!(before["left_out"].as_u64().unwrap() + 1));
}

#[test]
fn a_failed_reindex_leaves_the_index_unchanged() {
    let root = tree();
    let index = index_path(&root);
    reindex(&root, &["--sqlite", &index]);
    let before = query(&index, &[]);
    fs::rename(root.artifacts(), root.path().join("away")).unwrap();
    root.haul("reindex", &["--sqlite", &index]).expect(2);
    assert_eq!(query(&index, &[]), before);
}

#[test]
fn of_two_manifests_of_one_run_the_canonical_one_wins_and_then_the_lower_path() {
    let root = Root::new();
    let at = |directory: &str, run: &str, status: &str| {
        let text = manifest("job", "one", "1.2.0").replace("\"ok\"", &format!("\"{status}\""));
        root.put_bytes(directory, run, text.as_bytes());
    };
    at("runs", "a", "legacy");
    at("b", "x", "second");
    at("a", "x", "first");
    let index = index_path(&root);
    let exported = || {
        let lines = reindex(&root, &["--rows", "jsonl"]).stdout;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    reindex(&root, &["--sqlite", &index]);
    assert_eq!(query(&index, &[])[0]["status"], "first");
    assert_eq!(exported(), query(&index, &[]), "rows that are text follow the same rule");
    fs::remove_dir_all(root.artifacts().join("a")).unwrap();
    fs::remove_dir_all(root.artifacts().join("b")).unwrap();
    reindex(&root, &["--sqlite", &index]);
    assert_eq!(query(&index, &[])[0]["status"], "legacy");
    assert_eq!(exported(), query(&index, &[]));
}

#[test]
fn dangling_links_are_reported_and_left() {
    let root = tree();
    fs::create_dir(root.artifacts().join("runs")).unwrap();
    symlink("../job-a/run-1", root.artifacts().join("runs/fine")).unwrap();
    symlink("../job-a/gone", root.artifacts().join("runs/gone")).unwrap();
    let made = reindex(&root, &["--sqlite", &index_path(&root), "--json"]);
    let document = made.json();
    assert_eq!((&document["links"], &document["dangling_links"]), (&json!(2), &json!(1)));
    assert_eq!(document["dangling_paths"], json!(["artifacts/runs/gone"]));
    assert!(root.artifacts().join("runs/gone").symlink_metadata().is_ok());
}

#[test]
fn lines_of_json_have_every_row() {
    let root = tree();
    let lines = reindex(&root, &["--rows", "jsonl"]).stdout;
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    reindex(&root, &["--sqlite", &index_path(&root)]);
    assert_eq!(rows, query(&index_path(&root), &[]));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_replaces_the_rows_in_one_transaction() {
    let server = server();
    let (root, database) = (tree(), server.database());
    let mut client = postgres::Client::connect(&server.url(&database), postgres::NoTls).unwrap();
    let mut rows = |sql: &str| {
        client.batch_execute(sql).unwrap();
        let rows = client.query("SELECT job_id, run_id, status, manifest_json::text FROM artifacts", &[]).unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect::<BTreeSet<(
            String,
            String,
            String,
            String,
        )>>()
    };
    let sql = reindex(&root, &["--rows", "postgres"]).stdout;
    let first = rows(&sql);
    assert_eq!(first.len(), 3);
    assert!(first.iter().any(|row| row.2 == "it's failed"), "{first:?}");
    assert!(first.iter().any(|row| row.3 == odd("job-b", "run-1")), "the text is that of the file");
    assert_eq!(rows(&sql), first, "a second time, the same rows");
    fs::remove_dir_all(root.artifacts().join("job-a")).unwrap();
    let later = reindex(&root, &["--rows", "postgres"]).stdout;
    assert_eq!(rows(&later).len(), 1, "runs that are gone are gone from the index");
    let cut_off = later.strip_suffix("COMMIT;\n").unwrap().replace("job-b", "job-x");
    let mut other = postgres::Client::connect(&server.url(&database), postgres::NoTls).unwrap();
    other.batch_execute(&cut_off).unwrap();
    drop(other);
    assert!(rows("").iter().all(|row| row.0 == "job-b"), "what is cut off changes nothing");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_upserts_fit_a_table_of_jsonb() {
    let server = server();
    let (root, database) = (Root::new(), server.database());
    root.put("job", "run");
    let mut client = postgres::Client::connect(&server.url(&database), postgres::NoTls).unwrap();
    client
        .batch_execute(
            "CREATE TABLE artifacts (job_id text, run_id text, job_ref text, job_type text, status text, \
             inputs_hash text, artifact_dir text, manifest_json jsonb, indexed_at timestamptz, \
             PRIMARY KEY (job_id, run_id))",
        )
        .unwrap();
    let sql = reindex(&root, &["--rows", "postgres"]).stdout;
    client.batch_execute(&sql).unwrap();
    // The command of the runbook.
    server.program("psql", &database, &["-v", "ON_ERROR_STOP=1"], &sql);
    let row = client.query_one("SELECT manifest_json->>'run_id' FROM artifacts", &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), "run");
}
