use super::*;
use crate::durable::{InjectedFault, SimulatedDisk};
use crate::migration::test_disk::{bytes_of, disk};

const HOSTILE: &str = r#"</code><script>alert(1)</script>\"\u202e\u001b[31m\n"#;

fn report() -> String {
    format!(
        r#"{{"report_version":2,"run_id":"r1","noun":"space","outcome":"published","source":"{HOSTILE}","target":"dual-000001",
        "records_read":1000,"counts":{{"migrated":998,"refused_corrupt":2}},"source_bytes":{{"framed":10,"total":10}},
        "target_bytes":4096,"duration_ms":2000,"findings_count":{{"note":0,"refused":2,"fatal":0}},
        "haul":{{"version":"0.1.0","commit":null}},
        "attempts":[{{"started_at":"2026-01-01T00:00:00.000Z","ended_at":null,"outcome":"killed","exit_code":null,"records":400,
          "seconds":1.0,"cpu_seconds":0.5,"rss_peak_bytes":1048576}}],
        "phases":[{{"phase":"run","records":1000,"bytes":10,"seconds":1.5,"waited":{{"memory":0,"limit":0.5,"disk":0}}}}],
        "stages":{{"convert":{{"count":10,"p50":900,"p90":1000,"p99":1100,"p999":1200,"max":1300}}}},
        "timeline":[{{"t":0,"records":0,"bytes":0,"rss":1,"budget":0}},{{"t":1,"records":500,"bytes":5,"rss":2,"budget":1}},
          {{"t":2,"records":1000,"bytes":10,"rss":2,"budget":1}}],
        "grade":{{"predicted":{{"p10":1,"p50":2,"p90":4}},"actual":2.5,"ratio":1.25,"in_range":true,"basis":"probe"}},
        "next":{{"verify":"haul space verify","rollback":null}},
        "findings":[{{"severity":"refused","file":"{HOSTILE}","offset":7,"reason":"checksum mismatch"}}]}}"#
    )
}

fn written(report: &[u8]) -> (SimulatedDisk, &'static Path, &'static Path) {
    let (disk, report_path) = (disk(), Path::new("/run/report.json"));
    disk.write_new_file(report_path, report).unwrap();
    (disk, report_path, Path::new("/run/report.html"))
}

#[test]
fn a_page_has_no_script_and_reaches_nothing() {
    let page = page(report().as_bytes(), Frame::Alone).unwrap();
    assert!(page.contains("checksum mismatch") && page.contains("polyline") && page.contains("took 2.5 s"));
    for forbidden in ["<script", "src=", "href=", "url(", "@import", "http", "\u{202e}", "\u{1b}", "NaN"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("\\u{202e}"), "it is spelt out");
}

#[test]
fn a_page_that_is_served_has_no_style_of_its_own() {
    let frame =
        Frame::Served { style: "/assets/report.css", icon: "/assets/haul.svg", migration: "/m/0123456789abcdef" };
    let page = page(report().as_bytes(), frame).unwrap();
    assert!(page.contains(r#"href="/assets/report.css""#) && page.contains(r#"href="/m/0123456789abcdef""#));
    for forbidden in ["<style", "style=", "<script", "src=", "http"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn a_report_of_version_1_has_a_page() {
    let text = r#"{"report_version":1,"run_id":"r","noun":"cas","outcome":"published","records_read":3,"duration_ms":10,
        "counts":{"migrated":3},"findings":[]}"#;
    let page = page(text.as_bytes(), Frame::Alone).unwrap();
    assert!(page.contains("cas migration") && page.contains("10 ms") && !page.contains("Attempts"));
}

#[test]
fn the_page_is_written_whole_or_not_at_all() {
    let (disk, report_path, page_path) = written(report().as_bytes());
    disk.fail_operation(1, InjectedFault::Enospc);
    write_page(&disk, report_path, page_path).unwrap_err();
    assert!(disk.kind(page_path).unwrap().is_none());
    write_page(&disk, report_path, page_path).unwrap();
    assert!(bytes_of(&disk, page_path).starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let (disk, report_path, page_path) = written(b"{\"run_id\": \"r\", \"findings\": [");
    let error = write_page(&disk, report_path, page_path).unwrap_err().to_string();
    assert!(error.contains("/run/report.json") && error.contains("no report"), "{error}");
}
