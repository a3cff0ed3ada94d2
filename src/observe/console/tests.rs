use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;

/// Passes what is written on, and waits for leave before each write.
struct Gate {
    leave: Receiver<io::Result<()>>,
    written: Sender<String>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.leave.recv() {
            Ok(leave) => leave?,
            Err(_) => return Err(io::Error::from_raw_os_error(libc::EPIPE)),
        }
        let _ = self.written.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated() -> (Console, Sender<io::Result<()>>, Receiver<String>) {
    let (leave, wait) = channel();
    let (written, read) = channel();
    (Console::to(Gate { leave: wait, written }), leave, read)
}

#[test]
fn a_line_waits_until_it_is_written_and_is_one() {
    let (console, leave, read) = gated();
    leave.send(Ok(())).unwrap();
    console.line("two\nlines\u{9b}");
    assert_eq!(read.try_recv().unwrap(), "two\\u{a}lines\\u{9b}\n");
}

#[test]
fn a_writer_that_is_stuck_keeps_nobody_for_ever() {
    let (console, _leave, read) = gated();
    console.line("never");
    assert_eq!(console.shared.queue.lock().patience_at(Instant::now()), Duration::ZERO);
    // Nothing waits any more, and what is queued has a bound.
    for _ in 0..3 * LINES_MAX {
        console.line("nor these");
    }
    console.flush();
    assert!(console.shared.queue.lock().lines.len() <= LINES_MAX);
    assert!(read.try_recv().is_err());
}

#[test]
fn while_a_run_is_watched_nobody_waits_and_numbers_have_no_gap() {
    let (console, leave, read) = gated();
    console.set_shape(Shape::Progress);
    let watched = console.watched();
    for _ in 0..2 * LINES_MAX {
        console.line("x");
    }
    assert_eq!(console.shared.queue.lock().patience, PATIENCE);
    drop(watched);
    for _ in 0..4 {
        leave.send(Ok(())).unwrap();
    }
    console.flush();
    console.error("last", Some("retry"));
    let text: String = read.try_iter().collect();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > LINES_MAX && lines.len() <= 2 * LINES_MAX, "{}", lines.len());
    assert!(lines.iter().enumerate().all(|(at, line)| line["seq"] == at));
    let last = lines.last().unwrap();
    assert_eq!((&last["type"], &last["text"], &last["next"]), (&"error".into(), &"last".into(), &"retry".into()));
}

#[test]
fn a_reader_that_has_taken_nothing_for_long_is_not_waited_for_at_the_end() {
    let (console, leave, read) = gated();
    let watched = console.watched();
    console.line("x");
    while console.shared.queue.lock().asked.is_none() {
        std::thread::yield_now();
    }
    let since = Instant::now();
    console.shared.queue.lock().asked = since.checked_sub(PATIENCE);
    console.flush();
    assert_eq!(console.shared.queue.lock().patience, PATIENCE, "no time was spent");
    drop(watched);
    // It may still take what waits, and is waited for again then.
    leave.send(Ok(())).unwrap();
    while console.shared.queue.lock().asked.is_some() {
        std::thread::yield_now();
    }
    leave.send(Ok(())).unwrap();
    console.line("y");
    assert_eq!(read.try_iter().collect::<Vec<_>>(), ["x\n", "y\n"]);
}

#[test]
fn lines_that_are_repeated_leave_room_for_others() {
    let (console, _leave, _read) = gated();
    let _watched = console.watched();
    for _ in 0..2 * LINES_MAX {
        console.object(Weight::Repeated, |head| head);
    }
    assert!(console.shared.queue.lock().lines.len() <= REPEATED_LINES_MAX);
    console.line("the end");
    assert!(console.shared.queue.lock().lines.back().unwrap().contains("the end"));
}

#[test]
fn nothing_is_queued_for_a_reader_that_is_gone() {
    let (console, leave, _read) = gated();
    leave.send(Err(io::Error::from_raw_os_error(libc::EIO))).unwrap();
    console.line("x");
    console.line("y");
    console.draw(vec!["z".into()]);
    let queue = console.shared.queue.lock();
    assert!(queue.is_gone && queue.lines.is_empty() && queue.frame.is_none());
    assert_eq!(queue.written, 1);
}

#[test]
fn a_refused_write_is_repeated_and_one_that_failed_is_not() {
    let (console, leave, read) = gated();
    leave.send(Err(io::ErrorKind::WouldBlock.into())).unwrap();
    leave.send(Ok(())).unwrap();
    console.line("a");
    leave.send(Err(io::Error::from_raw_os_error(libc::ENOSPC))).unwrap();
    console.line("b");
    leave.send(Ok(())).unwrap();
    console.line("c");
    assert_eq!(read.try_iter().collect::<Vec<_>>(), ["a\n", "c\n"]);
}

#[test]
fn notes_are_objects_where_events_are() {
    let (console, leave, read) = gated();
    console.set_shape(Shape::Events);
    leave.send(Ok(())).unwrap();
    console.line("x\n\u{9b}");
    assert_eq!(read.try_recv().unwrap(), "{\"event\":\"note\",\"text\":\"x\\n\\u009b\"}\n");
}
