//! Terminals of some widths, dumb and frozen ones, and pipes that nobody reads.

use std::process::{Command, Stdio};

use super::{NODES, Run, SLOWLY, assert_store_as_always};
use crate::support::haul::{Done, HAUL};
use crate::support::place::Place;

/// Runs a command with its standard error on a terminal of so many columns, and prints what comes there. `resize N` makes it
/// narrower once something of a bar is there; `frozen` suspends it before the command begins; `pipe` is a full pipe instead.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, subprocess, sys, termios
columns, how, *command = sys.argv[1:]
def resize(fd, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
if how == "pipe":
    master, slave = os.pipe()
    os.write(slave, b"x" * fcntl.fcntl(slave, fcntl.F_SETPIPE_SZ, 4096))
else:
    master, slave = pty.openpty()
    resize(slave, int(columns))
if how == "frozen":
    termios.tcflow(slave, termios.TCOOFF)
child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave)
if how in ("pipe", "frozen"):
    sys.exit(child.wait())
os.close(slave)
seen = b""
while True:
    try:
        piece = os.read(master, 65536)
    except OSError:
        break
    seen += piece
    if how.isdigit() and b"%" in seen:
        resize(master, int(how))
        how = "resized"
        seen += b"RESIZED"
sys.stdout.buffer.write(seen)
sys.exit(child.wait())
"#;

fn on_terminal(place: &Place, columns: &str, how: &str, more: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, columns, how, HAUL, "space", "migrate", "default"]).args(more);
    command.current_dir(place.path()).env("ENGRAM_DATA_DIR", "data").env("TERM", "xterm").stdin(Stdio::null());
    command.env_remove("COLUMNS").env_remove("NO_COLOR").env_remove("CI");
    command
}

fn done(mut command: Command) -> Done {
    Done::of(command.output().expect("python3 runs"))
}

/// The rows and lines that were shown, one after the other, without what moves the cursor.
fn rows(shown: &str) -> Vec<String> {
    let plain = ["\x1b[K", "\x1b[J", "\x1b[1A"].iter().fold(shown.to_owned(), |text, code| text.replace(code, ""));
    plain.split(['\r', '\n']).filter(|row| !row.is_empty()).map(str::to_owned).collect()
}

/// The rows before the first change: how the run begins, and its first bar.
fn beginning(rows: &[String]) -> String {
    let first = rows.iter().position(|row| row.contains('%')).expect("a bar");
    let end = rows.iter().skip(first + 1).position(|row| row.contains('%')).map_or(rows.len(), |at| first + 1 + at);
    rows[..end].iter().map(|row| empty_bar(row)).collect::<Vec<_>>().join("\n")
}

/// A row whose bar is as long as before, and says nothing.
fn empty_bar(row: &str) -> String {
    let Some((before, (bar, after))) = row.split_once('[').and_then(|(a, rest)| Some((a, rest.split_once(']')?)))
    else {
        return row.to_owned();
    };
    format!("{before}[{}]{after}", ".".repeat(bar.len()))
}

/// Snapshots without what another run or machine has otherwise.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"workers \d+", "workers N");
    settings.add_filter(r"(?m)^total .* in 1 log file$", "total    about N nodes");
    // How far it is when the first bar is drawn.
    settings.add_filter(r"(?m)^run [\d.]+%.*$", "run N%");
    settings.add_filter(
        r"\] +[\d.]+%  [\d,]+ (\([\d,]+ before\) )?of about [\d,]+ nodes.*",
        "]  N%  N ${1}of about N nodes",
    );
    settings.add_filter(r"\([\d,]+ before\)", "(N before)");
    settings.add_filter(r"waiting for the limit  |memory \d[^)]*\)  |  refused \d+|  checkpoint .*", "");
    settings
}

mod python_alone {
    use super::*;

    #[test]
    #[ignore = "needs python3"]
    fn a_bar_fits_terminals_of_every_width() {
        let mut beginnings = Vec::new();
        for columns in [40, 80, 200] {
            let place = Place::with_space(NODES);
            let done = done(on_terminal(&place, &columns.to_string(), "read", &SLOWLY)).expect(0);
            let rows = rows(&done.stdout);
            let bars = rows.iter().filter(|row| row.contains('%') || row.starts_with("         "));
            assert!(bars.clone().count() > 3, "{rows:?}");
            assert!(bars.clone().all(|row| row.chars().count() < columns), "{columns}: {rows:?}");
            beginnings.push(format!("{columns}:\n{}", beginning(&rows)));
        }
        settings().bind(|| {
            insta::assert_snapshot!(beginnings.join("\n\n"), @r"
            40:
            migrating data/default
            total    about N nodes
            batch size 100 | memory budget 512.0 MiB | rate limit 1,500/s | workers N
            run N%

            80:
            migrating data/default
            total    about N nodes
            batch size 100 | memory budget 512.0 MiB | rate limit 1,500/s | workers N
            run      [..........]  N%  N of about N nodes
                     limit 1,500/s

            200:
            migrating data/default
            total    about N nodes
            batch size 100 | memory budget 512.0 MiB | rate limit 1,500/s | workers N
            run      [....................]  N%  N of about N nodes
                     limit 1,500/s
            ");
        });
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_terminal_that_becomes_narrow_gets_rows_that_fit() {
        let place = Place::with_space(NODES);
        let done = done(on_terminal(&place, "80", "20", &SLOWLY)).expect(0);
        let (_, after) = done.stdout.split_once("RESIZED").expect("a bar");
        // What was on its way when the width changed is as wide as before.
        let bars: Vec<_> = rows(after).into_iter().filter(|row| row.contains('%')).skip(1).collect();
        assert!(bars.len() > 3 && bars.iter().all(|row| row.chars().count() < 20), "{bars:?}");
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_dumb_terminal_gets_lines_and_one_without_colour_the_same_bar() {
        let place = Place::with_space(NODES);
        let mut dumb = on_terminal(&place, "80", "read", &SLOWLY);
        dumb.env("TERM", "dumb");
        let shown = done(dumb).expect(0).stdout;
        assert!(!shown.contains('\x1b') && shown.contains("run      3,000 nodes"), "{shown:?}");
        let place = Place::with_space(NODES);
        let mut plain = on_terminal(&place, "80", "read", &SLOWLY);
        plain.env("NO_COLOR", "1");
        let shown = done(plain).expect(0).stdout;
        assert!(shown.contains("run      [") && shown.contains(" nodes\x1b[K"), "{shown:?}");
        assert!(!shown.contains("\x1b[3"), "{shown:?}");
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_resumed_run_shows_what_was_done_before() {
        let place = Place::with_space(NODES);
        let run = Run::begun(&place, &["--progress", "none"]);
        run.signal(rustix::process::Signal::HUP);
        run.end().expect(75);
        let shown = done(on_terminal(&place, "200", "read", &SLOWLY)).expect(0).stdout;
        let first = rows(&shown).into_iter().find(|row| row.contains('%')).expect("a bar");
        let row = empty_bar(&first);
        settings().bind(|| {
            insta::assert_snapshot!(row, @"run      [....................]  N%  N (N before) of about N nodes");
        });
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_frozen_terminal_keeps_no_run_from_its_end() {
        for progress in ["bar", "json", "events"] {
            let place = Place::with_space(NODES);
            done(on_terminal(&place, "80", "frozen", &["--progress", progress])).expect(0);
            assert_store_as_always(&place);
        }
    }

    #[test]
    #[ignore = "needs python3"]
    fn a_full_pipe_that_nobody_reads_keeps_no_run_from_its_end() {
        for progress in ["auto", "json", "events"] {
            let place = Place::with_space(NODES);
            done(on_terminal(&place, "80", "pipe", &["--progress", progress])).expect(0);
            assert_store_as_always(&place);
        }
    }
}
