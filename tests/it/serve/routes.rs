//! Addresses, methods, hosts and headers.

use std::net::TcpListener;

use super::{Server, command};
use crate::support::haul::Done;
use crate::support::http::{ask, request};
use crate::support::place::Place;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn published() -> Place {
    let place = Place::with_space(10);
    place.space_run("migrate default --progress none").expect(0);
    place
}

#[test]
fn each_address_has_its_answer_and_every_answer_its_headers() {
    let place = published();
    let server = Server::start(place.path(), &[]);
    let list = server.list();
    assert_eq!((list.len(), &list[0]["state"], &list[0]["name"]), (1, &"published".into(), &"default".into()));
    let of = |end: &str| format!("/m/{}{end}", list[0]["id"].as_str().unwrap());
    let (html, json) = ("text/html; charset=utf-8", "application/json");
    let cases = [
        ("/".to_owned(), 200, html),
        (of(""), 200, html),
        (of("/report.json"), 200, json),
        ("/schemas/versions".into(), 200, html),
        ("/api/v1/migrations".into(), 200, json),
        (of("").replace("/m/", "/api/v1/migrations/"), 200, json),
        ("/metrics".into(), 200, "text/plain; version=0.0.4"),
        ("/healthz".into(), 200, "text/plain"),
        ("/assets/haul.css".into(), 200, "text/css"),
        ("/assets/haul.js".into(), 200, "text/javascript"),
        ("/nothing".into(), 404, "text/plain"),
        ("/m/0000000000000000".into(), 404, "text/plain"),
        ("/m/..%2f..%2fetc%2fpasswd/report.json".into(), 404, "text/plain"),
        ("/m/../../etc/passwd".into(), 404, "text/plain"),
        ("/api/v1/migrations/x".into(), 404, "text/plain"),
    ];
    for (path, status, content_type) in cases {
        let answer = server.get(&path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(
            answer.header("content-type").is_some_and(|found| found.starts_with(content_type)),
            "{path}: {}",
            answer.head
        );
        assert_eq!(answer.header("content-security-policy"), Some(POLICY), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        let head = ask(server.address, &request("HEAD", &path));
        assert_eq!((head.status, &*head.body), (status, ""), "{path}");
        assert_eq!(head.header("content-length"), answer.header("content-length"), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let refused = ask(server.address, &request(method, &path));
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
}

#[test]
fn a_page_is_read_under_an_address_or_an_allowed_name_only() {
    let place = published();
    let server = Server::start(place.path(), &["--allow-host", "ops.example"]);
    let status = |host: &str, path: &str| {
        let answer = ask(server.address, &format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"));
        assert!(answer.status == 200 || !answer.body.contains("default"), "{}", answer.body);
        answer.status
    };
    for path in ["/", "/metrics", "/api/v1/migrations", "/nothing"] {
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "x@127.0.0.1"] {
            assert_eq!(status(&format!("Host: {host}\r\n"), path), 421, "{host}");
        }
    }
    for host in ["127.0.0.1", "[::1]:7480", "localhost:1", "ops.example"] {
        assert_eq!(status(&format!("Host: {host}\r\n"), "/"), 200, "{host}");
    }
    // An absolute address counts as well as the header.
    assert_eq!(status("Host: localhost\r\n", "http://evil.example/"), 421);
    assert_ne!(status("", "/"), 200);
    assert_eq!(ask(server.address, "GET / HTTP/1.0\r\n\r\n").status, 421);
}

#[test]
fn a_port_that_is_taken_and_an_address_for_everybody_are_refused() {
    let place = published();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = |more: &[&str]| Done::of(command(place.path(), more).output().unwrap()).expect(2).stderr;
    assert!(refused(&["--listen", &address]).contains(&format!("cannot listen on {address}")));
    for everybody in ["0.0.0.0:0", "[::]:0"] {
        assert!(refused(&["--listen", everybody]).contains("--allow-remote"));
    }
    assert!(refused(&["--listen", "localhost:0"]).contains("--listen"));
    let nowhere = Done::of(command(&place.path().join("nowhere"), &[]).output().unwrap()).expect(2);
    assert!(nowhere.stderr.contains("is not a directory"), "{}", nowhere.stderr);
}
