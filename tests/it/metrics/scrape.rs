//! A client of a command that serves its metrics.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::haul::Done;

/// A command that runs, and answers scrapes.
pub struct Served {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    pub address: SocketAddr,
}

impl Served {
    /// Starts a command that has `--metrics-addr 127.0.0.1:0`, and learns its port.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("haul starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut seen = String::new();
        let address = loop {
            let before = seen.len();
            assert!(errors.read_line(&mut seen).expect("text") > 0, "no address: {seen}");
            let address = seen[before..].trim_end().strip_prefix("metrics at http://");
            if let Some(address) = address.and_then(|rest| rest.strip_suffix("/metrics")) {
                break address.parse().expect("an address");
            }
        };
        Self { child, errors, address }
    }

    /// Returns what `/metrics` answers, without the head; `None` if nobody answers any more.
    pub fn scrape(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Some(body.to_owned())
    }

    /// Scrapes until a line begins as wanted.
    #[track_caller]
    pub fn scrape_until(&self, wanted: &str) -> String {
        loop {
            let text = self.scrape().unwrap_or_else(|| panic!("the command ended before it said {wanted}"));
            if text.lines().any(|line| line.starts_with(wanted)) {
                return text;
            }
        }
    }

    /// Waits for the end, which comes with a scrape after the work.
    pub fn end(mut self) -> Done {
        while self.child.try_wait().expect("a child").is_none() {
            self.scrape();
        }
        let mut stderr = String::new();
        self.errors.read_to_string(&mut stderr).expect("text");
        let output = self.child.wait_with_output().expect("it ends");
        Done { stderr, ..Done::of(output) }
    }
}

/// Returns the value of the sample whose name and labels are these.
#[track_caller]
pub fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{sample} has no value in\n{text}"))
}
