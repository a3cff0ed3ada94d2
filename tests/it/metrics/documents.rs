//! Documents, alerts and dashboard name the metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use haul::observe::metrics::{DEFAULT_PREFIX, FAMILIES, FamilyType};
use serde_json::Value;

pub fn documents() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn read(name: &str) -> String {
    fs::read_to_string(documents().join(name)).expect("a document")
}

/// Names of samples that a program can ask for.
fn sample_names() -> BTreeSet<String> {
    let names = |family: &haul::observe::metrics::Family| {
        let name = family.full_name(DEFAULT_PREFIX);
        match family.family_type {
            FamilyType::Histogram => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
            FamilyType::Counter | FamilyType::Gauge | FamilyType::Info => vec![name],
        }
    };
    FAMILIES.iter().flat_map(names).collect()
}

/// Names in a text that look like those of metrics.
pub fn metrics_named(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let is_metric = |word: &&str| ["haul_", "engram_", "process_"].iter().any(|start| word.starts_with(start));
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Expressions of the dashboard's panels.
pub fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("haul.dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

#[test]
fn the_document_has_every_family() {
    let type_name = |family_type| match family_type {
        FamilyType::Counter => "counter",
        FamilyType::Gauge => "gauge",
        FamilyType::Histogram => "histogram",
        FamilyType::Info => "info",
    };
    let rows = FAMILIES.iter().map(|family| {
        let labels = [family.scope.labels(), family.labels].concat().join(", ");
        let name = family.full_name(DEFAULT_PREFIX);
        format!("| `{name}` | {} | {labels} | {} |\n", type_name(family.family_type), family.help)
    });
    let table = "| name | type | labels | what |\n|---|---|---|---|\n".to_owned() + &rows.collect::<String>();
    let document = read("metrics.md");
    let listed = document.split("<!-- families -->\n").nth(1).and_then(|rest| rest.split("<!-- end").next());
    assert_eq!(listed.expect("the list"), table, "copy the list from here into docs/metrics.md");
}

#[test]
fn alerts_name_metrics_that_there_are() {
    let known = sample_names();
    let named = metrics_named(&read("haul.rules.yml"));
    assert!(named.len() >= 8, "{named:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_alert_is_documented() {
    let rules = read("haul.rules.yml");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let (document, tests) = (read("metrics.md"), read("haul.rules_test.yml"));
    assert!(alerts.len() >= 7);
    for alert in alerts {
        assert!(document.contains(&format!("| `{alert}` |")), "{alert} is not in docs/metrics.md");
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test that it fires");
    }
}

#[test]
fn each_panel_shows_metrics_that_there_are() {
    let known = sample_names();
    let expressions = expressions();
    assert!(expressions.len() >= 16);
    for expression in expressions {
        let named = metrics_named(&expression);
        assert!(!named.is_empty() && named.is_subset(&known), "{expression}");
    }
}

#[test]
fn the_dashboard_has_its_variables_and_no_panel_twice() {
    let dashboard: Value = serde_json::from_str(&read("haul.dashboard.json")).expect("JSON");
    let variables: Vec<_> =
        dashboard["templating"]["list"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(variables, ["datasource", "kind", "migration"]);
    let panels = dashboard["panels"].as_array().expect("panels");
    let of = |field: &str| panels.iter().map(|panel| panel[field].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!((of("id"), of("title"), of("gridPos")), (panels.len(), panels.len(), panels.len()));
}
