#![allow(clippy::disallowed_methods, reason = "tests lay out files")]

use std::fs;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::Value;

use super::*;
use crate::observe::console::Shape;
use crate::observe::live::{self, Live};
use crate::observe::scope::Scope;
use crate::pipeline::{EngineStage, ForecastFigures, Phase, RunStart, StopToken, Wait};

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Never gets leave to write.
struct Stuck(Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stuck() -> (Console, Sender<()>) {
    let (leave, wait) = channel();
    (Console::to(Stuck(wait)), leave)
}

fn options(view: ViewKind) -> HubOptions {
    let interval = Some(Duration::from_millis(100));
    HubOptions {
        scope: Scope::of("nodes"),
        view,
        interval,
        stop: StopToken::new(),
        latest: Latest::default(),
        subject: None,
    }
}

fn start() -> RunStart {
    let forecast = ForecastFigures { p10: 1.0, p50: 2.0, p90: 3.0, basis: "probe".into(), phases: vec![] };
    RunStart {
        run_id: "r1".into(),
        kind: "space",
        source: "log\u{9b}".into(),
        target: "store".into(),
        records_planned: Some(10),
        forecast: Some(forecast),
        ..RunStart::default()
    }
}

fn events_of_a_run(start: RunStart) -> Vec<Event> {
    let counted = crate::pipeline::Counted { outcomes: vec![("migrated".into(), 9)], ..Default::default() };
    vec![
        Event::PhaseStarted { phase: Phase::Scan, records_expected: None, bytes_expected: None },
        Event::Progressed { records: 3, source_bytes: 0, budget_in_use_bytes: 0 },
        Event::PhaseEnded { phase: Phase::Scan },
        Event::RunStarted(Box::new(start)),
        Event::PhaseStarted { phase: Phase::Run, records_expected: Some(9), bytes_expected: None },
        Event::BatchWritten { records: 4, source_bytes: 40, budget_in_use_bytes: 7 },
        Event::StageTimed { stage: EngineStage::Write, took_us: 1500 },
        Event::Note { text: "two\nlines\u{9b}".into() },
        Event::Waiting { reason: Wait::Disk },
        Event::Waited { reason: Wait::Disk, waited_us: 5 },
        Event::BatchWritten { records: 5, source_bytes: 50, budget_in_use_bytes: 7 },
        Event::CheckpointWritten { records_total: 9 },
        Event::Counted(Box::new(counted)),
        Event::PhaseEnded { phase: Phase::Run },
        Event::RunEnded { outcome: "published".into(), exit_code: 0 },
    ]
}

/// Watches a run and returns what was shown.
fn shown(view: ViewKind, shape: Shape, run: impl FnOnce(&Hub)) -> String {
    let kept = Kept::default();
    let console = Console::to(kept.clone());
    console.set_shape(shape);
    let hub = Hub::start(console, options(view));
    run(&hub);
    drop(hub);
    let bytes = kept.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

fn watch_all(hub: &Hub) {
    events_of_a_run(start()).iter().for_each(|event| hub.observe(event));
}

/// Waits until others see that something holds of the run.
fn wait_for(latest: &Latest, holds: impl Fn(&Seen) -> bool) {
    while !latest.lock().as_deref().is_some_and(&holds) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lines_say_which_phases_ended_and_what_is_noted() {
    let text = shown(ViewKind::Lines { is_terminal: false }, Shape::Text, watch_all);
    let text = text.split_inclusive('\n').map(|line| line.split(" in ").next().unwrap()).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(text, @r"
    scan     3 nodes
    note: two\u{a}lines\u{9b}

    run      9 nodes, 90 bytes
    ");
}

#[test]
fn objects_are_numbered_and_one_line_each() {
    let text = shown(ViewKind::Progress, Shape::Progress, |hub| {
        watch_all(hub);
        hub.observe(&Event::TenantStarted { tenant: "a".into() });
        hub.observe(&Event::TenantEnded { tenant: "a".into(), outcome: "done" });
        hub.shared.told.send(Message::Status).unwrap();
    });
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().enumerate().all(|(at, line)| line["seq"] == at && line["v"] == 1), "{text}");
    let of_type = |name: &str| lines.iter().filter(|line| line["type"] == name).collect::<Vec<_>>();
    let hello = of_type("hello")[0];
    assert_eq!((&hello["run"], &hello["kind"], &hello["plan"]["records"]), (&"r1".into(), &"space".into(), &10.into()));
    assert_eq!(hello["estimate"]["p50"], 2.0);
    let end = of_type("end")[0];
    assert_eq!(
        (&end["outcome"], &end["exit_code"], &end["counts"]["migrated"]),
        (&"published".into(), &0.into(), &9.into())
    );
    assert_eq!(of_type("note")[0]["text"], "two\nlines\u{9b}");
    assert_eq!((of_type("phase").len(), of_type("tenant").len(), of_type("status").len()), (4, 2, 1));
    assert!(!text.contains('\u{9b}'));
}

#[cfg(feature = "json-schema")]
#[test]
fn objects_are_as_their_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/progress.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = shown(ViewKind::Progress, Shape::Progress, |hub| {
        watch_all(hub);
        hub.observe(&Event::PhaseStarted { phase: Phase::Verify, records_expected: None, bytes_expected: Some(5) });
        hub.observe(&Event::TenantStarted { tenant: "a".into() });
        hub.observe(&Event::TenantEnded { tenant: "a".into(), outcome: "done" });
        hub.shared.told.send(Message::Status).unwrap();
        hub.console.error("failed", Some("retry"));
        hub.console.error("failed", None);
    });
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let errors: Vec<_> = validator.iter_errors(line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
    }
    for name in ["hello", "progress", "status", "phase", "tenant", "note", "error", "end"] {
        let line = lines.iter().find(|line| line["type"] == name).unwrap_or_else(|| panic!("no {name}: {text}"));
        // It says something of each: without any of its fields a line is refused.
        for field in line.as_object().unwrap().keys() {
            let mut less = line.clone();
            less.as_object_mut().unwrap().remove(field);
            let is_optional = matches!((name, &**field), ("phase", "done") | ("tenant", "outcome"));
            assert_eq!(validator.is_valid(&less), is_optional, "{name} without {field}");
        }
    }
}

#[test]
fn events_are_shown_as_they_are() {
    let text = shown(ViewKind::Events, Shape::Events, watch_all);
    let expected: Vec<_> = events_of_a_run(start()).iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, expected);
    assert!(!text.contains('\u{9b}'));
}

#[test]
fn a_console_that_is_stuck_holds_up_neither_the_run_nor_its_end() {
    for view in [ViewKind::Bar, ViewKind::Lines { is_terminal: true }, ViewKind::Progress, ViewKind::Events] {
        let (console, _leave) = stuck();
        let hub = Hub::start(console, options(view));
        // Far more than all queues hold together. It ends, so nothing waits.
        for _ in 0..20 * MESSAGES_MAX {
            hub.observe(&Event::Note { text: "x".into() });
            hub.observe(&Event::BatchWritten { records: 1, source_bytes: 1, budget_in_use_bytes: 1 });
        }
        assert_eq!(hub.shared.current().tally.snapshot().records, 20 * MESSAGES_MAX as u64);
    }
}

#[test]
fn what_comes_faster_than_it_is_shown_is_counted() {
    let (told, _heard) = bounded(2);
    let current = RwLock::new(Arc::new(Current::new(None)));
    let shared = Shared { current, told, dropped: AtomicU64::new(0), takes_all: false, directories: Mutex::default() };
    (0..5).for_each(|_| shared.observe(&Event::Note { text: "x".into() }));
    assert_eq!(shared.dropped(), 3);
}

#[test]
fn other_processes_see_a_run_until_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(live::FILE_NAME);
    let latest = Latest::default();
    let chosen = HubOptions { latest: latest.clone(), ..options(ViewKind::Notes) };
    let hub = Hub::start(Console::to(Kept::default()), chosen);
    let start = RunStart { directory: Some(directory.path().to_path_buf()), ..start() };
    let mut events = events_of_a_run(start);
    let end = events.pop().unwrap();
    events.iter().for_each(|event| hub.observe(event));
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_for(&latest, |seen| seen.live.line.head.run == "r1");
    let live: Live = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((live.pid, &*live.line.head.kind, live.records_planned), (std::process::id(), "space", Some(10)));
    assert_eq!((live.process_start, live.boot_id.clone()), {
        let this = crate::durable::Process::this();
        (this.start, this.boot_id)
    });
    let current = hub.shared.current();
    hub.observe(&end);
    assert!(!path.exists());
    // Whatever the thread was about to write, it does not.
    assert_eq!(current.write_live(&live), None);
    assert!(!path.exists());
    wait_for(&latest, |seen| seen.ended.is_some());
    let seen = latest.lock().clone().unwrap();
    assert_eq!(seen.ended.as_ref().map(|ended| &*ended.outcome), Some("published"));
    assert_eq!((seen.live.stages["write"].count, seen.live.source_bytes), (1, 90));
    drop(hub);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn each_run_begins_at_nothing() {
    let latest = Latest::default();
    let chosen = HubOptions { latest: latest.clone(), ..options(ViewKind::Notes) };
    let hub = Hub::start(Console::to(Kept::default()), chosen);
    for run in ["a", "b"] {
        let start = RunStart { run_id: run.into(), ..start() };
        events_of_a_run(start).iter().for_each(|event| hub.observe(event));
        wait_for(&latest, |seen| seen.live.line.head.run == run && seen.ended.is_some());
        assert_eq!(latest.lock().as_ref().unwrap().live.source_bytes, 90);
    }
}

#[test]
fn a_live_file_that_cannot_be_written_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    // A directory cannot be replaced by a file, for nobody.
    fs::create_dir(directory.path().join(live::FILE_NAME)).unwrap();
    let start = RunStart { directory: Some(directory.path().to_path_buf()), ..start() };
    let kept = Kept::default();
    let latest = Latest::default();
    let chosen = HubOptions { latest: latest.clone(), ..options(ViewKind::Notes) };
    let hub = Hub::start(Console::to(kept.clone()), chosen);
    hub.observe(&Event::RunStarted(Box::new(start)));
    wait_for(&latest, |seen| seen.live.line.head.run == "r1");
    let current = hub.shared.current();
    let live = latest.lock().as_ref().unwrap().live.clone();
    current.write_live(&live);
    assert_eq!(current.write_live(&live), None);
    drop(hub);
    let text = String::from_utf8(kept.0.lock().clone()).unwrap();
    assert_eq!(text.matches("note: cannot write live.json").count(), 1, "{text}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_status_is_one_line() {
    let text = shown(ViewKind::Notes, Shape::Text, |hub| {
        hub.observe(&Event::RunStarted(Box::new(start())));
        hub.observe(&Event::PhaseStarted { phase: Phase::Run, records_expected: Some(9), bytes_expected: None });
        hub.shared.told.send(Message::Status).unwrap();
    });
    assert_eq!(text, "run      0.0%  0 of 9 nodes\n");
}
