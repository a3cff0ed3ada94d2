use super::*;
use crate::observe::hub::Current;
use crate::pipeline::{Event, Observer, RunStart};

fn follow(start: RunStart) -> Follow {
    Follow::new(Arc::new(Current::new(Some(start))), 0)
}

fn phase(records: Option<u64>, bytes: Option<u64>) -> Event {
    Event::PhaseStarted { phase: Phase::Run, records_expected: records, bytes_expected: bytes }
}

fn batch(records: u64, source_bytes: u64) -> Event {
    Event::BatchWritten { records, source_bytes, budget_in_use_bytes: 5 }
}

#[test]
fn a_resumed_run_counts_what_was_done_before_in_the_percent_but_not_in_the_rate() {
    let start = RunStart { records_before: 1000, source_bytes_before: 10_000, records_planned: Some(3100), ..start() };
    let mut follow = follow(start);
    follow.current.tally.observe(&phase(None, Some(20_000)));
    let line = follow.look(false, 0).line;
    assert_eq!((line.done.records, line.before.records, line.ratio), (1000, 1000, Some(1.0 / 3.0)));
    assert_eq!(line.rate, Rate::default());
    follow.current.tally.observe(&batch(1000, 10_000));
    follow.current.tally.observe(&Event::CheckpointWritten { records_total: 900 });
    let line = follow.look(false, 4).line;
    assert_eq!((line.done.records, line.ratio, line.events_dropped), (2000, Some(2.0 / 3.0), 4));
    // Half of what was guessed of the rest, and all that has passed.
    assert_eq!(line.total, Some(Total { records: Some(1000 + 1050 + 1000), bytes: Some(30_000), exact: false }));
    assert!(line.rate.records_per_second > 0.0);
    assert_eq!(line.checkpoint.unwrap().records, 1900);
    follow.current.tally.observe(&batch(1000, 10_000));
    let total = follow.look(false, 0).line.total.unwrap();
    assert_eq!(total.records, Some(3000));
}

fn start() -> RunStart {
    RunStart { kind: "space", run_id: "r".into(), ..RunStart::default() }
}

#[test]
fn records_that_are_known_are_exact() {
    let mut follow = follow(RunStart { records_planned: Some(10), ..start() });
    follow.current.tally.observe(&phase(Some(8), Some(100)));
    follow.current.tally.observe(&batch(4, 10));
    let line = follow.look(false, 0).line;
    assert_eq!((line.total, line.ratio), (Some(Total { records: Some(8), bytes: Some(100), exact: true }), Some(0.5)));
    follow.current.tally.observe(&Event::ExpectedChanged { records: Some(16), bytes: None, is_exact: false });
    let line = follow.look(false, 0).line;
    assert_eq!((line.total.unwrap().exact, line.ratio), (false, Some(0.25)));
}

#[test]
fn why_it_stands_is_known_at_once_for_the_limit_and_after_a_moment_else() {
    let mut follow = follow(start());
    follow.current.tally.observe(&phase(None, None));
    let mut states = |event: &Event| {
        follow.current.tally.observe(event);
        [(); 3].map(|()| follow.look(false, 0).line.state)
    };
    use RunningState::*;
    assert_eq!(states(&Event::Waiting { reason: Wait::Limit }), [Limited; 3]);
    assert_eq!(states(&Event::Waited { reason: Wait::Limit, waited_us: 1 }), [Running; 3]);
    assert_eq!(states(&Event::Waiting { reason: Wait::Disk }), [Running, Running, WaitingDisk]);
    assert_eq!(follow.look(true, 0).line.state, Stopping);
}
