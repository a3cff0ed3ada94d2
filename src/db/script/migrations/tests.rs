use super::*;
use crate::db::script::Section;

fn read(files: &[(&str, &str)]) -> Result<Migrations, ScriptError> {
    Migrations::from_texts(Dialect::Postgres, files.iter().copied())
}

/// Why a file must not run.
fn fault(text: &str) -> Option<String> {
    let all = read(&[("1_a.sql", text)]).expect("a migration");
    all.iter().next().expect("one").fault().map(ToString::to_string)
}

#[test]
fn what_must_not_run_can_be_read() {
    for (text, expected) in [
        ("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;", "1_a.sql:1: BEGIN would end or nest the transaction of haul"),
        (
            "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\nCOMMIT;",
            "1_a.sql:1: BEGIN would end or nest the transaction of haul",
        ),
        ("SELECT 1;\n\\i x\nSELECT 2;", "1_a.sql:2: `\\i` is a command of the psql shell, not SQL"),
        (
            "SELECT 1;\n-- Down:\nSELECT 2;",
            "1_a.sql:2: `-- Down:` looks like a section marker, and haul does not read it as one",
        ),
        ("-- Up\nSELECT 1;\n-- Down\nVACUUM;", "1_a.sql:4: VACUUM does not work inside a transaction"),
        ("SELECT '${x}';", "1_a.sql:1: `${x}` is a placeholder, and nothing fills it in"),
    ] {
        assert_eq!(fault(text).as_deref(), Some(expected), "{text}");
    }
    assert_eq!(fault("-- haul: no-placeholders\nSELECT '${x}';"), None);
}

#[test]
fn a_transaction_around_the_section_is_that_of_haul() {
    for (begin, commit) in [("BEGIN", "COMMIT"), ("begin transaction", "END"), ("START TRANSACTION", "commit work")] {
        let text = format!("-- why\n{begin};\nSELECT 1;\nSELECT 2;\n{commit};\n");
        let all = read(&[("1_a.sql", &text)]).unwrap();
        let up = &all.iter().next().unwrap().up;
        assert_eq!(up.statements().collect::<Vec<_>>(), [(3, "SELECT 1;"), (4, "SELECT 2;")], "{begin}");
        assert_eq!((up.own_transaction, &up.fault), (Some(2), &None));
    }
    assert!(fault("BEGIN;\nCOMMIT;").is_some());
}

#[test]
fn data_of_copy_belong_to_their_statement() {
    let copy = "COPY a FROM stdin;\n1\tit;s\n2\tdon't\n\\.";
    let all = read(&[("1_a.sql", &format!("-- Up\nSELECT 1\n-- Down\n{copy}\nSELECT 2;\n"))]).unwrap();
    let down = all.iter().next().unwrap().down.as_ref().expect("a Down section");
    assert_eq!(down.statements().collect::<Vec<_>>(), [(4, copy), (8, "SELECT 2;")]);
    let error = read(&[("1_a.sql", "COPY a FROM stdin;\n1\n")]).unwrap_err();
    assert_eq!(error.to_string(), "1_a.sql:1: the data of COPY is not closed");
}

#[test]
fn repeatable_migrations_have_a_list_of_their_own() {
    let all = read(&[
        ("R__v.sql", "CREATE VIEW v AS SELECT 1;"),
        ("V1__a.sql", "SELECT 1;"),
        ("R__f.sql", "-- haul: no-transaction\nSELECT 1;"),
    ])
    .unwrap();
    let labels: Vec<_> = all.files().iter().map(Migration::label).collect();
    assert_eq!((all.len(), labels), (1, vec!["R__f".to_owned(), "R__v".to_owned()]));
    assert_eq!(all.files()[0].fault().map(|error| &error.fault), Some(&ScriptFault::NotOneTransaction));
    assert!(read(&[("a/R__v.sql", "SELECT 1"), ("R__v.sql", "-- Up\nSELECT 1;\n-- Down\nSELECT 1;")]).is_err());
}

#[test]
fn versions_are_ordered_as_numbers() {
    let all = read(&[("10_c.sql", "SELECT 1"), ("9_b.sql", "SELECT 1"), ("0001_a.sql", "SELECT 1")]).unwrap();
    let labels: Vec<_> = all.iter().map(Migration::label).collect();
    assert_eq!(labels, ["0001_a", "9_b", "10_c"]);
    let gaps: Vec<_> = all.gaps().iter().map(|(from, to)| format!("{from}-{to}")).collect();
    assert_eq!(gaps, ["1-9"]);
    assert!(
        read(&[("20260101000000_a.sql", "SELECT 1"), ("20260102000000_b.sql", "SELECT 1")]).unwrap().gaps().is_empty()
    );
}

#[test]
fn pairs_are_one_migration() {
    for (up, down) in [("1_a.up.sql", "1_a.down.sql"), ("V1__a.sql", "U1__a.sql")] {
        let all = read(&[(down, "DROP TABLE t;"), (up, "CREATE TABLE t (a int);")]).unwrap();
        let one = all.get(&"1".parse().unwrap()).unwrap();
        assert_eq!((one.label(), one.up.len(), one.down.as_ref().map(Section::len)), ("1_a".into(), 1, Some(1)));
        let up_alone = read(&[(up, "CREATE TABLE t (a int);")]).unwrap();
        assert_ne!(up_alone.iter().next().unwrap().checksum, one.checksum);
        assert!(up_alone.iter().next().unwrap().down.is_none());
    }
}

#[test]
fn the_checksum_is_that_of_the_text() {
    let all = read(&[("1_a.sql", "SELECT 1;\r\n"), ("2_b.sql", "SELECT 1;\n"), ("3_c.sql", "SELECT 1; \n")]).unwrap();
    let sums: Vec<_> = all.iter().map(|migration| migration.checksum).collect();
    assert_eq!(sums[0], sums[1]);
    assert_ne!(sums[0], sums[2]);
}

#[test]
fn one_version_is_one_migration() {
    for (first, second) in
        [("1_a.sql", "001_b.sql"), ("1_a.sql", "1_a.up.sql"), ("V1__a.sql", "1_a.up.sql"), ("1_a.down.sql", "1_a.sql")]
    {
        let error = read(&[(first, "SELECT 1"), (second, "SELECT 1")]).unwrap_err();
        assert!(matches!(error.fault, ScriptFault::DuplicateVersion { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{second}: version 1 is also that of {first}"));
    }
    let error = read(&[("1_a.down.sql", "SELECT 1")]).unwrap_err();
    assert_eq!(error.fault, ScriptFault::DownWithoutUp);
}

#[test]
fn an_empty_up_section_is_an_error_and_an_empty_down_section_is_none() {
    let error = read(&[("1_a.sql", "-- x\n-- Up\n-- y\n")]).unwrap_err();
    assert_eq!((error.fault, error.line), (ScriptFault::EmptySection("Up"), 3));
    let all = read(&[("1_a.sql", "-- Up\nSELECT 1;\n-- Down\n-- nothing\n")]).unwrap();
    assert!(all.iter().next().unwrap().down.is_none());
}

#[test]
fn statements_have_their_lines_in_the_file() {
    let all = read(&[("1_a.sql", "-- x\n-- Up\nSELECT 1;\n\nSELECT\n2;\n-- Down\nSELECT 3;")]).unwrap();
    let one = all.iter().next().unwrap();
    assert_eq!(one.up.statements().collect::<Vec<_>>(), [(3, "SELECT 1;"), (5, "SELECT\n2;")]);
    assert_eq!(one.down.as_ref().unwrap().statement(0), (8, "SELECT 3;"));
    assert_ne!(one.up.digest_before(1), one.up.digest_before(2));
    let error = fault("-- Up\nSELECT 1;\nCOMMIT;\n").expect("a fault");
    assert_eq!(error, "1_a.sql:3: COMMIT would end or nest the transaction of haul");
}

#[test]
fn the_lock_timeout_must_be_below_the_timeout() {
    for (directives, is_fine) in [
        ("timeout=2s, lock-timeout=1s", true),
        ("timeout=0, lock-timeout=1min", true),
        ("timeout=1s, lock-timeout=1s", false),
    ] {
        let found = fault(&format!("-- haul: {directives}\nSELECT 1;"));
        assert_eq!(found.is_none(), is_fine, "{directives}");
        if let Some(error) = found {
            assert_eq!(error, "1_a.sql:2: the lock timeout of 1000 ms is not below the timeout of 1000 ms");
        }
    }
}
