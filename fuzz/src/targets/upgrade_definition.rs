//! Any definition of an upgrade is refused with its place and a next step, or it is read the same twice. Any text is an
//! instant that is read the same again, or none.

use haul::upgrade::definition::Definition;
use haul::upgrade::values::{AssumedZone, canonical, form};
use rusqlite::types::ValueRef;

use crate::support::edits::edited;

const TEMPLATE: &str = r#"
name = "garden-2"
from = "1"
to = "2"
secret-columns = ["beds.code"]

[settings]
limit = 5

[[tier]]
name = "plants"
[[tier.shape]]
name = "old"
table = "beds"
columns = ["id"]

[[group]]
name = "001"
scripts = ["a.sql"]

[[view]]
name = "garden_beds"
tier = "plants"
[[view.select]]
sql = "SELECT id FROM beds"

[[backfill]]
name = "marks"
tier = "plants"
rows = [{ shapes = ["old"], sql = "SELECT id FROM garden_beds" }]
write = { sql = "INSERT INTO marks SELECT id FROM temp.haul_rows WHERE n > ?1 AND n <= ?2" }

[[expectation]]
name = "marks are there"
tier = "plants"
sql = "SELECT count(*) FROM marks"
min = 0

[[checklist]]
title = "all is there"
proof = ["schema", "marks are there"]
"#;
const SCRIPT: &str =
    "-- tiers: plants\n-- files: all\nCREATE TABLE marks (id INTEGER);\nCREATE INDEX i ON marks (id);\n";
const INSTANTS: [&str; 4] =
    ["2025-11-06T12:34:27.061107", "2025-11-12 19:26:07", "2025-11-12T19:26:07.5+05:30", "1762432467"];

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    match how % 4 {
        0 => instant(rest),
        1 => instant(&edited(INSTANTS[usize::from(how / 4) % INSTANTS.len()].as_bytes(), rest)),
        2 => definition(&edited(TEMPLATE.as_bytes(), rest), SCRIPT.as_bytes()),
        _ => definition(TEMPLATE.as_bytes(), &edited(SCRIPT.as_bytes(), rest)),
    }
}

fn instant(text: &[u8]) {
    let value = ValueRef::Text(text);
    assert!(form(value).is_some());
    for zone in ["UTC", "-05:30", "+14:00"] {
        let zone = AssumedZone::parse(zone).expect("a zone");
        if let Some(read) = canonical(value, &zone) {
            assert_eq!(canonical(ValueRef::Text(read.as_bytes()), &zone).as_ref(), Some(&read));
        }
    }
}

fn definition(upgrade: &[u8], script: &[u8]) {
    let (Ok(upgrade), Ok(script)) = (std::str::from_utf8(upgrade), std::str::from_utf8(script)) else { return };
    let texts = [("upgrade.toml", upgrade), ("a.sql", script)];
    match Definition::from_texts("garden", &texts) {
        Ok(definition) => assert_eq!(Definition::from_texts("garden", &texts).expect("the same"), definition),
        Err(error) => {
            assert!(error.to_string().starts_with("garden"), "{error}");
            assert!(error.next_step().is_some());
        }
    }
}
