//! The lines of the original (docs/source-sigilzero.md, "The command line of the original"), as `--compat` prints them.

use crate::support::manifest::Root;
use crate::support::manifest_files::manifest;

fn shown(root: &Root, arguments: &[&str], code: i32) -> String {
    let done = root.haul("migrate", &[&["--compat"], arguments].concat()).expect(code);
    done.stdout.replace(root.path().to_str().expect("text"), "P")
}

fn mixed() -> Root {
    let root = Root::new();
    root.put("j1", "a");
    root.put_bytes("j1", "b", manifest("j1", "b", "1.2.0").as_bytes());
    root.put_bytes("j2", "bad", b"{\"run_id\": \"x\",\n}");
    root
}

#[test]
fn versions_dry_run_and_run() {
    let root = mixed();
    insta::assert_snapshot!(shown(&root, &["--list-versions"], 0), @r"
    Found 3 manifests

    Schema Version Distribution:
    ----------------------------------------
      1.0.0      :    1 ( 33.3%)
      1.2.0      :    1 ( 33.3%)
      corrupt    :    1 ( 33.3%)

    Latest version available: 1.2.0

    ⚠️  2 manifests need migration to 1.2.0
    ");
    let dry = shown(&root, &["--dry-run"], 1);
    assert!(dry.contains("[DRY RUN - no changes will be written]\n\n"), "{dry}");
    assert!(dry.ends_with("\n[DRY RUN COMPLETE - no changes were written]\n"), "{dry}");
    let run = shown(&root, &[], 1);
    assert!(run.starts_with("Migrating all manifests in: P/artifacts\nTarget version: 1.2.0\n"), "{run}");
    for line in [
        "Total manifests found: 3",
        "Migrated:              1",
        "Already current:       1",
        "Failed:                1",
        "  Path: P/artifacts/j2/bad/manifest.json",
    ] {
        assert!(run.lines().any(|shown| shown == line), "{line}: {run}");
    }
    assert!(!run.contains('✅'), "not everything went well: {run}");
}

#[test]
fn one_file() {
    let root = mixed();
    let named = |run: &'static str| format!("artifacts/j1/{run}/manifest.json");
    insta::assert_snapshot!(shown(&root, &["--manifest", &named("a")], 0), @r"
    Migrating: artifacts/j1/a/manifest.json
      Current version: 1.0.0
      Target version: 1.2.0
      ✅ Migration successful
         Applied: 1.0.0 → 1.2.0
         Backup: P/artifacts/j1/a/manifest.json.backup
    ");
    insta::assert_snapshot!(shown(&root, &["--manifest", &named("b")], 0), @r"
    Migrating: artifacts/j1/b/manifest.json
      Current version: 1.2.0
      Target version: 1.2.0
      ✅ Migration successful
         Already at target version
    ");
    let lower = shown(&root, &["--manifest", &named("b"), "--target-version", "1.1.0"], 1);
    assert!(lower.contains("     Error: No migration path from 1.2.0 to 1.1.0"), "{lower}");
}
