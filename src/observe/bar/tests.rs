use super::*;
use crate::observe::progress_line::{Amount, BudgetNow, CheckpointNow, LineHead, Rate, Total};
use crate::pipeline::tally::Snapshot;

fn scope() -> Scope {
    Scope { budget_bytes: 512 << 20, ..Scope::of("nodes") }
}

fn moment() -> Moment {
    let line = ProgressLine {
        head: LineHead::default(),
        type_name: "progress".into(),
        phase: Some(Phase::Run),
        state: RunningState::Running,
        done: Amount { records: 1_001_932, bytes: 3 << 30 },
        before: Amount::default(),
        total: Some(Total { records: Some(1_247_832), bytes: Some(4 << 30), exact: false }),
        ratio: Some(0.80299),
        overall_ratio: Some(0.61),
        rate: Rate { records_per_second: 4831.9, bytes_per_second: 1e7 },
        eta: Some(Eta { p10: 44.2, p50: 50.9, p90: 69.5, basis: "measured".into() }),
        budget: BudgetNow { in_use: 387 << 20, total: 512 << 20 },
        rss_bytes: None,
        checkpoint: Some(CheckpointNow { records: 1_000_000, at: "2026-11-21T10:45:23.456Z".into() }),
        outcomes: [("migrated".to_owned(), 1_001_932), ("refused".to_owned(), 7)].into(),
        events_dropped: 0,
    };
    let checkpoint_age = Some(Duration::from_secs(12));
    Moment { line, snapshot: Snapshot::default(), rate_limit: Some(5000), checkpoint_age }
}

fn resumed() -> Moment {
    let mut moment = moment();
    moment.line.before = Amount { records: 500_000, bytes: 1 << 30 };
    moment.line.state = RunningState::WaitingMemory;
    moment
}

fn text(moment: &Moment, columns: usize) -> String {
    rows(moment, &scope(), columns).join("\n")
}

#[test]
fn a_wide_terminal_shows_everything() {
    insta::assert_snapshot!(text(&moment(), 200), @r"
    run      [================>   ]  80.2%  1,001,932 of about 1,247,832 nodes  4,832 nodes/s  ETA 51 s (45 s to 70 s)
             memory 387 of 512 MiB (75.5%)  limit 5,000/s  checkpoint 10:45:23Z at 1,000,000 nodes  refused 7
    ");
    insta::assert_snapshot!(text(&resumed(), 200), @r"
    run      [================>   ]  80.2%  1,001,932 (500,000 before) of about 1,247,832 nodes  4,832 nodes/s  ETA 51 s (45 s to 70 s)
             waiting for memory  memory 387 of 512 MiB (75.5%)  limit 5,000/s  checkpoint 10:45:23Z at 1,000,000 nodes  refused 7
    ");
    insta::assert_snapshot!(text(&resumed(), 100), @r"
    run      [========> ]  80.2%  1,001,932 of about 1,247,832 nodes  4,832/s  ETA 51 s (45 s to 70 s)
             waiting for memory  memory 387 of 512 MiB (75.5%)  limit 5,000/s  refused 7
    ");
}

#[test]
fn a_terminal_of_80_columns_shows_what_matters() {
    insta::assert_snapshot!(text(&moment(), 80), @r"
    run      [========> ]  80.2%  1,001,932 nodes  4,832/s  ETA 51 s
             memory 387 of 512 MiB (75.5%)  limit 5,000/s  checkpoint 12 s ago
    ");
    insta::assert_snapshot!(text(&resumed(), 80), @r"
    run      [========> ]  80.2%  1,001,932 nodes  4,832/s  ETA 51 s
             waiting for memory  memory 387 of 512 MiB (75.5%)  limit 5,000/s
    ");
    insta::assert_snapshot!(text(&resumed(), 60), @r"
    run      [========> ]  80.2%  1,001,932 nodes  4,832/s
             waiting for memory  memory 387 of 512 MiB (75.5%)
    ");
}

#[test]
fn a_narrow_terminal_shows_one_row() {
    insta::assert_snapshot!(text(&moment(), 40), @"run 80.2% 4,832/s ETA 51 s");
    insta::assert_snapshot!(text(&resumed(), 40), @"run 80.2% 4,832/s ETA 51 s");
    insta::assert_snapshot!(text(&moment(), 20), @"run 80.2% 4,832/s");
}

#[test]
fn one_line_says_all_of_it() {
    insta::assert_snapshot!(row(&resumed(), &scope(), usize::MAX), @"run      80.2%  1,001,932 (500,000 before) of about 1,247,832 nodes  4,832 nodes/s  ETA 51 s (45 s to 70 s)  waiting for memory  memory 387 of 512 MiB (75.5%)  limit 5,000/s  checkpoint 10:45:23Z at 1,000,000 nodes  refused 7");
    let mut idle = moment();
    idle.line.phase = None;
    insta::assert_snapshot!(row(&idle, &scope(), usize::MAX), @"no phase is under way");
}

#[test]
fn what_is_not_known_is_not_shown() {
    let mut new = moment();
    new.line = ProgressLine {
        done: Amount::default(),
        total: None,
        ratio: None,
        rate: Rate::default(),
        eta: None,
        budget: BudgetNow::default(),
        checkpoint: None,
        outcomes: Default::default(),
        ..new.line
    };
    new.rate_limit = None;
    assert_eq!(text(&new, 80), "run");
    new.line.done.bytes = 5 << 20;
    new.line.total = Some(Total { records: None, bytes: Some(10 << 20), exact: true });
    new.line.ratio = Some(0.5);
    new.line.rate.bytes_per_second = 2048.0;
    insta::assert_snapshot!(text(&new, 80), @"run      [=====>    ]  50.0%  5.0 MiB of 10.0 MiB  2.0 KiB/s");
    assert_eq!(text(&new, 40), "run 50.0%");
}

#[test]
fn no_row_is_as_long_as_the_terminal_is_wide() {
    let mut moments = vec![moment(), resumed()];
    moments[1].line.done.records = u64::MAX / 2;
    moments[1].line.eta = Some(Eta { p10: 1e6, p50: 2e7, p90: 1e9, basis: "forecast".into() });
    for moment in &moments {
        for columns in 0..300 {
            let line = row(moment, &scope(), columns);
            for row in rows(moment, &scope(), columns).into_iter().chain([line]) {
                assert!(row.chars().count() <= columns.saturating_sub(1), "{columns}: {row}");
            }
        }
    }
}

#[test]
fn all_of_it_is_100_percent_and_nothing_less() {
    assert_eq!([0.0, 0.9999, 1.0, 0.803].map(percent), ["0.0%", "99.9%", "100.0%", "80.3%"]);
    assert_eq!([0.0, 0.5, 1.0].map(|ratio| drawn(ratio, 4)), ["[>   ]", "[==> ]", "[====]"]);
    assert_eq!(
        [0.0, 0.2, 50.1, 99.0, 99.1, 8000.0].map(seconds_text),
        ["1 s", "1 s", "51 s", "99 s", "1 min 40 s", "2 h 13 min"]
    );
}
