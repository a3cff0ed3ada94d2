//! Names that try to be more than text.

use std::fs;

use serde_json::Value;

use super::Server;
use crate::support::http::{lines, open_stream};
use crate::support::place::Place;

/// Markup, quotes, an end of a line and of an event, an escape code, and what turns text round.
const NAME: &str = "<img src=x onerror=alert(1)>\"'&amp;\n\ndata: forged\r\u{1b}[2J\u{202e}\u{9b}x";

/// Fails if something of the name is not inert in a page.
#[track_caller]
fn assert_inert(page: &str) {
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    for character in ['\u{1b}', '\u{202e}', '\u{9b}', '\r'] {
        assert!(!page.contains(character), "{character:?}: {page}");
    }
}

fn hostile() -> Place {
    let place = Place::new();
    place.run(&["space", "generate", &format!("data/{NAME}"), "--nodes", "10", "--seed", "7"]).expect(0);
    place.run(&["space", "migrate", &format!("./data/{NAME}"), "--progress", "none"]).expect(0);
    place
}

#[test]
fn a_name_is_text_in_pages() {
    let place = hostile();
    let server = Server::start(place.path(), &[]);
    let id = server.list()[0]["id"].as_str().unwrap().to_owned();
    for path in ["/".to_owned(), format!("/m/{id}")] {
        assert_inert(&server.get(&path).body);
    }
    // What is searched for comes back in the page as well.
    let page = server.get("/?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%22&page=%3Cb%3E&state=%3Cb%3E").body;
    assert!(!page.contains("<img") && !page.contains("<b>") && page.contains("&lt;img"), "{page}");
}

#[test]
fn a_name_is_one_value_in_documents_streams_and_metrics() {
    let place = hostile();
    let server = Server::start(place.path(), &[]);
    let text = server.get("/api/v1/migrations").body;
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\n', '\r']), "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list[0]["name"], NAME);

    let mut events = Vec::new();
    for line in lines(open_stream(server.address)).skip_while(|line| !line.is_empty()) {
        assert!(!line.starts_with("data: forged"), "{line}");
        if let Some(data) = line.strip_prefix("data: ") {
            events.push(serde_json::from_str::<Value>(data).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        if events.len() == 2 {
            break;
        }
    }
    assert_eq!((&events[0]["migrations"], &events[1]["name"]), (&1.into(), &NAME.into()));

    let metrics = server.get("/metrics").body;
    let samples: Vec<_> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(samples.len() > 10, "{metrics}");
    for sample in samples {
        let value = sample.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
        assert!(
            matches!(value, Some(Ok(_))) && sample.starts_with(|first: char| first.is_ascii_lowercase()),
            "{sample:?}"
        );
    }
    assert!(
        metrics.contains(
            r#"<img src=x onerror=alert(1)>\"'&amp;\\u{a}\\u{a}data: forged\\u{d}\\u{1b}[2J\\u{202e}\\u{9b}x""#
        ),
        "{metrics}"
    );
}

#[test]
fn what_a_report_says_is_text_in_pages() {
    let place = hostile();
    let report = place.path().join("data").join(NAME).join("migration/report.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    document["outcome"] = NAME.into();
    document["source"] = NAME.into();
    fs::write(&report, document.to_string()).unwrap();
    let server = Server::start(place.path(), &[]);
    let found = &server.list()[0];
    assert_inert(&server.get(&format!("/m/{}", found["id"].as_str().unwrap())).body);
}
