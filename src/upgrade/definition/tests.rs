//! Definitions that are right, and what each fault says.

use std::path::Path;

use super::{Definition, Files};
use crate::migration::Error;
use crate::upgrade::set::Member;

const GOOD: &str = r#"name = "garden-2"
from = "1"
to = "2"
window-days = 3
secret-columns = ["beds.code"]

[settings]
limit = 5

[[tier]]
name = "plants"
[[tier.shape]]
name = "old"
table = "beds"
columns = ["id"]
without-columns = ["place"]
[[tier.shape]]
name = "new"
table = "beds"
columns = ["id", "place"]

[[tier]]
name = "water"
optional = true
[[tier.shape]]
name = "one"
table = "tanks"

[[group]]
name = "001"
scripts = ["001.sql"]
[[group]]
name = "002"
scripts = ["002.sql", "002_water.sql"]

[[rebuild]]
name = "beds_places"
tier = "plants"
shapes = ["new"]
with-tables = ["paths"]
tables = ["beds"]
gone = ["beds.name", "beds_by_name"]
file = "beds_places.sql"
same = [{ name = "beds", before = "SELECT id FROM beds", after = "SELECT id FROM beds;" }]

[[view]]
name = "garden_beds"
tier = "plants"
[[view.select]]
shapes = ["old"]
sql = "SELECT id, '' AS place FROM beds"
[[view.select]]
tables = ["paths"]
file = "beds.sql"
[[view.select]]
sql = "SELECT id, place FROM beds"

[[measure]]
name = "beds"
tier = "plants"
select = [{ sql = "SELECT count(*) FROM beds" }]

[[backfill]]
name = "marks"
tier = "plants"
rows = [{ shapes = ["new"], sql = "SELECT id FROM garden_beds" }]
write = { sql = "INSERT INTO marks SELECT id FROM temp.haul_rows WHERE n > ?1 AND n <= ?2" }

[[expectation]]
name = "a mark for each bed"
tier = "plants"
sql = "SELECT count(*) FROM marks"
min = 1

[[query]]
name = "beds"
tier = "plants"
p95-ms = 100
select = [{ sql = "SELECT id FROM beds" }]

[[flag]]
name = "plan"
plans-maintenance = true
[[flag]]
name = "act"
needs = ["plan"]
needs-maintenance-plan = true
metric = { tier = "plants", sql = "SELECT 0", max = 0 }

[[monitor]]
name = "dry"
tier = "water"
sql = "SELECT 0"
max = 0.5
trigger = "pause"

[[retention]]
table = "marks"
tier = "plants"
expired = "haul_before(at, 10)"
summary = "SELECT count(*) FROM marks WHERE {expired}"

[configuration]
rename = { "a.b" = "c.d", "e.*" = "f.*" }
"#;

const FILES: [(&str, &str); 5] = [
    ("001.sql", "-- tiers: plants\nCREATE TABLE marks (id INTEGER);\n"),
    ("002.sql", "-- tiers: plants\n-- files: all\n-- table: beds\nALTER TABLE beds ADD COLUMN note TEXT;\n"),
    ("002_water.sql", "-- tiers: water\nCREATE INDEX i ON tanks(id);\n"),
    ("beds_places.sql", "UPDATE beds SET place = 1;\nDELETE FROM beds WHERE place = 2;\n"),
    ("beds.sql", "-- Beds along paths.\nSELECT id, path AS place FROM beds JOIN paths USING (id);\n"),
];

fn loaded(upgrade: &str, files: &[(&str, &str)]) -> Result<Definition, Error> {
    let all: Vec<_> = [("upgrade.toml", upgrade)].into_iter().chain(files.iter().copied()).collect();
    Definition::from_texts("garden", &all)
}

fn member(tier: &str, shape: &str, is_primary: bool) -> Member {
    Member { key: "x.db".into(), path: "x.db".into(), tier: tier.into(), shape: shape.into(), is_primary }
}

#[test]
fn a_definition_is_read_with_its_files() {
    let definition = loaded(GOOD, &FILES).expect("a definition");
    assert_eq!((definition.window_days, definition.settings["limit"]), (3, 5.0));
    assert_eq!(definition.groups[1].parsed[0].files, Files::All);
    assert_eq!(definition.views[0].selects[1].sql, "SELECT id, path AS place FROM beds JOIN paths USING (id)");
    assert!(definition.tier("water").expect("a tier").optional);
    let rebuild = &definition.rebuilds[0];
    assert_eq!((rebuild.files, rebuild.statements.len(), rebuild.statements[1].line), (Files::All, 2, 2));
    assert_eq!(rebuild.same[0].after, "SELECT id FROM beds");
    assert!(rebuild.concerns(&member("plants", "new", false)) && !rebuild.concerns(&member("plants", "old", true)));
    assert_eq!(definition.shape("plants", "new").expect("a shape").columns, ["id", "place"]);
    assert!(definition.shape("water", "new").is_none());
}

#[test]
fn a_directory_is_read_as_texts_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        std::fs::write(directory.path().join(name), text).expect("a file");
    };
    write("upgrade.toml", GOOD);
    FILES.iter().for_each(|(name, text)| write(name, text));
    let from_directory = Definition::load(directory.path()).expect("a definition");
    assert_eq!(from_directory, loaded(GOOD, &FILES).expect("a definition"));
    write("001.sql", "-- tiers: plants\nCREATE TABLE marks (id BLOB);\n");
    let changed = Definition::load(directory.path()).expect("a definition");
    assert_eq!(from_directory.sha256.len(), 64);
    assert_ne!(changed.sha256, from_directory.sha256);
    write("001.sql", "-- tiers: plants\0\nCREATE TABLE marks (id BLOB);\n");
    let error = Definition::load(directory.path()).expect_err("a zero byte");
    assert!(error.to_string().ends_with("001.sql:1: it contains a zero byte"), "{error}");
}

#[test]
fn a_directory_without_upgrade_toml_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = Definition::load(directory.path()).expect_err("nothing is there");
    assert!(error.to_string().contains("there is no upgrade.toml"), "{error}");
    assert_eq!(error.exit_code(), 2);
    let error = Definition::load(Path::new("/nowhere/at/all")).expect_err("no directory");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn what_concerns_a_file_is_found() {
    let definition = loaded(GOOD, &FILES).expect("a definition");
    let groups = |member: &Member| -> Vec<String> {
        let groups = definition.groups_of(member).into_iter();
        groups.map(|(group, scripts)| format!("{} {}", group.name, scripts[0].name)).collect()
    };
    assert_eq!(groups(&member("plants", "old", true)), ["001 001.sql", "002 002.sql"]);
    assert_eq!(groups(&member("plants", "old", false)), ["002 002.sql"]);
    assert_eq!(groups(&member("water", "one", true)), ["002 002_water.sql"]);
    let backfills = |member: &Member| definition.backfills_of(member).len();
    assert_eq!(backfills(&member("plants", "new", true)), 1);
    assert_eq!(backfills(&member("plants", "new", false)), 0, "the primary file alone");
    assert_eq!(backfills(&member("plants", "old", true)), 0, "no rows for the shape");
    let view = &definition.views[0];
    assert_eq!(view.select_for("old", |_| true), Some("SELECT id, '' AS place FROM beds"));
    assert!(view.select_for("new", |table| table == "paths").expect("a query").contains("JOIN paths"));
    assert_eq!(view.select_for("new", |_| false), Some("SELECT id, place FROM beds"));
}

/// Replaces a part of the good definition and returns the error.
fn fault(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    let error = loaded(&GOOD.replace(from, to), &FILES).expect_err(to);
    assert!(error.next_step().expect("a step").contains("`haul upgrade plan`"));
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn faults_name_file_and_line() {
    let line = |part: &str| 1 + GOOD[..GOOD.find(part).expect(part)].lines().count();
    let (plants, view) = ("[[tier]]\nname = \"plants\"", "[[view]]");
    let (water, group) = ("[[tier]]\nname = \"water\"", "[[group]]\nname = \"001\"");
    let cases = [
        ("window-days = 3", "windows = 3", "window-days", "unknown field `windows`"),
        ("limit = 5", "limit = nan", "[settings]", "the setting `limit` is no number"),
        ("beds.code", "code", "secret-columns", "`code` is not written as table.column"),
        ("[[tier]]\nname = \"plants\"", "[[tier]]\nname = \"water\"", water, "a tier `water` is declared before"),
        ("name = \"new\"", "name = \"old\"", plants, "a plain name of its own"),
        ("columns = [\"id\"]", "columns = [\"place\"]", plants, "with and without the column `place`"),
        ("\"001.sql\"", "\"009.sql\"", group, "there is no file `009.sql`"),
        ("\"001.sql\"", "\"../001.sql\"", group, "is not the name of a file"),
        ("[\"001.sql\"]", "[]", group, "the group `001` has no script"),
        ("name = \"001\"", "name = \"marks\"", group, "`marks` is the name of a backfill too"),
        ("name = \"001\"", "name = \"haul_steps\"", group, "a name of haul's own"),
        ("\"garden_beds\"", "\"haul_beds\"", view, "that is not haul's"),
        ("shapes = [\"old\"]", "shapes = [\"odd\"]", view, "the tier `plants` has no shape `odd`"),
        ("file = \"beds.sql\"", "file = \"beds.sql\"\nsql = \"SELECT 1\"", view, "one is enough"),
        ("file = \"beds.sql\"", "", view, "neither `sql` nor `file`"),
    ];
    for (from, to, begins, part) in cases {
        let found = fault(from, to);
        let place = format!("garden/upgrade.toml:{}: ", line(begins));
        assert!(found.starts_with(&place) && found.contains(part), "{place}{part}\n{found}");
    }
    assert!(fault("tables = [\"beds\"]", "tables = []").contains("needs the `tables`"));
    assert!(fault("tables = [\"beds\"]", "tables = [\"Migrations\"]").contains("a table of haul's own"));
    assert!(fault("name = \"beds_places\"", "name = \"002\"").contains("the name of a group or backfill too"));
    assert!(fault("n > ?1 AND n <= ?2", "n > ?1").contains("without the range"));
    assert!(
        fault("[{ sql = \"SELECT count(*) FROM beds\" }]", "[{ sql = \"DELETE FROM beds\" }]").contains("`DELETE`")
    );
    assert!(fault("\nmin = 1", "").contains("needs `min`, `max`"));
    assert!(fault("p95-ms = 100", "p95-ms = 0").contains("a limit above 0"));
    assert!(fault("needs = [\"plan\"]", "needs = [\"later\"]").contains("needs `later`"));
    assert!(fault("plans-maintenance = true", "plans-maintenance = false").contains("makes a maintenance plan"));
    assert!(fault("trigger = \"pause\"", "trigger = \"sing\"").contains("pause, investigate, misconfigured"));
    assert!(fault("WHERE {expired}", "").contains("`{expired}`"));
    assert!(fault("\"f.*\"", "\"f\"").contains("both with `.*` at the end or neither"));
    let monitor = fault("tier = \"water\"\nsql", "tier = \"air\"\nsql");
    assert!(monitor.starts_with(&format!("garden/upgrade.toml:{}: there is no tier `air`", line("[[monitor]]"))));
}

#[test]
fn faults_of_scripts_name_their_lines() {
    let with = |name: &str, text: &str| {
        let files = FILES.map(|(other, good)| (other, if other == name { text } else { good }));
        loaded(GOOD, &files).expect_err(text).to_string()
    };
    let script = with("001.sql", "-- tiers: plants\nCREATE TABLE marks (id);\nCOMMIT;\n");
    assert!(script.starts_with("garden/001.sql:3: `COMMIT` is refused"), "{script}");
    let tier = with("001.sql", "-- tiers: plant\nCREATE TABLE marks (id);\n");
    assert!(tier.starts_with("garden/001.sql:1: its header names the tier `plant`"), "{tier}");
    let rebuild = with("beds_places.sql", "DELETE FROM beds;\n\nPRAGMA foreign_keys = ON;\n");
    assert!(rebuild.starts_with("garden/beds_places.sql:3: `PRAGMA` is refused"), "{rebuild}");
    let query = with("beds.sql", "SELECT 1;\n\nSELECT 2;\n");
    assert!(query.starts_with("garden/beds.sql:3: it has a second statement"), "{query}");
}

/// The keys in the examples of docs/formats.md are those that are read.
#[test]
fn the_examples_of_the_document_are_of_this_form() {
    let document = include_str!("../../../docs/formats.md");
    let (_, section) = document.split_once("\n## `upgrade.toml`\n").expect("the section");
    let examples: String = section.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let definition: Definition = toml::from_str(&examples).expect("examples");
    let counts = [definition.tiers.len(), definition.backfills.len(), definition.retention.len()];
    assert_eq!(counts, [1, 1, 1]);
    let keys = GOOD.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key.trim_matches('"'));
    for key in keys.filter(|key| !["limit", "name"].contains(key)) {
        assert!(section.contains(&format!("`{key}`")), "{key} is not described");
    }
}
