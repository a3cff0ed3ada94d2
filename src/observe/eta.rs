//! How long the whole run still takes: work left in each phase times what it costs.
//!
//! What the current phase costs goes from what was forecast to what is measured, and what that shows is expected of later
//! phases by half. Times are in seconds since the run began, so that tests choose them.

use super::progress_line::Eta;
use super::rate::Smoothed;
use crate::pipeline::{ForecastFigures, Phase};

/// After this many seconds in a phase its forecast and its measured rate count alike.
const TRUST_SECONDS: f64 = 10.0;
/// Nothing is shown before.
const SHOWN_AFTER_SECONDS: f64 = 2.0;
/// A new value that differs by less than this from what is shown, as it counts down, does not replace it.
const SAME: f64 = 0.05;
/// By how much what is shown may rise within a second.
const RISE_MAX: f64 = 1.2;
/// What is shown rises from this at least, in seconds.
const RISE_FROM_SECONDS: f64 = 1.0;
/// The range of a run of which nothing was forecast: 1.28 standard deviations of 0.35 in the logarithm.
const SPREAD: f64 = 0.45;
/// The part of the range that stays when all is measured.
const SPREAD_LEFT: f64 = 0.3;
/// Where a limit decides at least this part of what is left, it is the basis.
const LIMIT_DECIDES: f64 = 0.9;
/// Phases of a migration in their order, with their time as a part of that of `run`. A guess, which counts only where no
/// forecast knows better.
const TYPICAL: [(Phase, f64); 5] =
    [(Phase::Run, 1.0), (Phase::Seal, 0.05), (Phase::Index, 0.06), (Phase::Verify, 0.2), (Phase::Publish, 0.01)];

/// The phase under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    pub(super) phase: Phase,
    /// Records or bytes that this attempt has gone through. Under a limit, records that it lets pass.
    pub(super) done: f64,
    /// The same when the phase ends, if known.
    pub(super) total: Option<f64>,
    /// How long it has taken, without phases inside of it.
    pub(super) took: f64,
    /// How much of that it has waited for the limit.
    pub(super) held: f64,
}

/// The run as it is now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    /// Seconds since the run began.
    pub(super) now: f64,
    pub(super) work: Option<Work>,
    /// The phases that ended, with their time without waits for the limit.
    pub(super) ended: &'a [(Phase, f64)],
    /// False for a command that has one phase and no run.
    pub(super) is_run: bool,
    pub(super) forecast: Option<&'a ForecastFigures>,
    /// Seconds that the limit leaves at least.
    pub(super) limit_leaves: Option<f64>,
    /// Which part of the migration's records earlier attempts have done.
    pub(super) share_before: f64,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outlook {
    pub(super) eta: Option<Eta>,
    /// Share of the whole run that is done, by time.
    pub(super) overall: Option<f64>,
}

/// Follows one run.
#[derive(Debug, Default)]
pub(super) struct EtaClock {
    rate: Option<(Phase, Smoothed)>,
    shown: Option<Shown>,
    overall: f64,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    left: f64,
    at: f64,
}

/// What a phase costs, in seconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// The whole phase.
    whole: f64,
    /// What is left of it.
    left: f64,
}

impl EtaClock {
    /// Returns what is expected now. To be asked several times a second.
    pub(super) fn look(&mut self, look: &Look<'_>) -> Outlook {
        if let Some(work) = look.work {
            self.feed(look.now, work);
        }
        let Some((left, trust)) = self.left(look) else {
            self.shown = None;
            return Outlook::default();
        };
        let overall = self.overall_with(look, left);
        if look.now < SHOWN_AFTER_SECONDS {
            return Outlook { eta: None, overall };
        }
        let p50 = self.show(look.now, left);
        Outlook { eta: Some(range(look, p50, trust)), overall }
    }

    fn feed(&mut self, now: f64, work: Work) {
        match &mut self.rate {
            Some((phase, rate)) if *phase == work.phase => rate.feed(now, work.done),
            // It began `took` ago.
            rate => {
                let mut new = Smoothed::from(now - work.took, 0.0);
                new.feed(now, work.done);
                *rate = Some((work.phase, new));
            }
        }
    }

    /// Returns the seconds that are left, and how far they are measured.
    fn left(&self, look: &Look<'_>) -> Option<(f64, f64)> {
        let trust = look.work.map_or(0.0, |work| work.took / (work.took + TRUST_SECONDS));
        let Some(work) = look.work else {
            look.forecast?;
            return Some((later(look, None, 1.0)?, trust));
        };
        let forecast = forecast_of(look, work.phase);
        let measured = self.measured(look.now, work);
        let cost = match (forecast, measured) {
            (Some(forecast), Some(measured)) => {
                let done = work.total.map_or(0.0, |total| (work.done / total).clamp(0.0, 1.0));
                let left = forecast * (1.0 - done);
                Cost {
                    whole: forecast + trust * (measured.whole - forecast),
                    left: left + trust * (measured.left - left),
                }
            }
            (Some(forecast), None) => Cost { whole: forecast, left: (forecast - work.took).max(0.0) },
            (None, Some(measured)) => measured,
            (None, None) => {
                let typical = typical_of(look, work.phase)?;
                Cost { whole: typical, left: (typical - work.took).max(0.0) }
            }
        };
        let current = cost.left.max(look.limit_leaves.unwrap_or(0.0));
        // What it shows of the machine, not of the limit.
        let surprise = forecast.map_or(1.0, |forecast| (cost.whole / forecast.max(1e-3)).clamp(0.1, 10.0).sqrt());
        let surprise = if look.limit_leaves.is_some() { 1.0 } else { surprise };
        let after = later(look, Some((work, cost)), surprise).unwrap_or(0.0);
        Some((current + after, trust))
    }

    /// Returns what the phase costs by its rate. Between the ends of two batches what is left counts down, but not below
    /// what the next batch leaves.
    fn measured(&self, now: f64, work: Work) -> Option<Cost> {
        let total = work.total.filter(|total| *total > 0.0)?;
        let (_, rate) = self.rate.as_ref()?;
        let per_second = rate.per_second(now)?;
        let (last, since) = rate.last(now);
        let rest = (total - work.done).max(0.0);
        let left = (rest / per_second - since).max((rest - last.count) / per_second).max(0.0);
        Some(Cost { whole: total / per_second, left })
    }

    /// The share never falls, whatever is learned.
    fn overall_with(&mut self, look: &Look<'_>, left: f64) -> Option<f64> {
        look.is_run.then(|| {
            let spent = look.now.max(1e-3);
            let here = spent / (spent + left);
            self.overall = self.overall.max(look.share_before + (1.0 - look.share_before) * here).min(1.0);
            self.overall
        })
    }

    fn show(&mut self, now: f64, left: f64) -> f64 {
        let value = match self.shown {
            None => left,
            Some(shown) => {
                let counted_down = (shown.left - (now - shown.at)).max(0.0);
                if (left - counted_down).abs() <= SAME * counted_down {
                    return counted_down;
                }
                let most = counted_down.max(RISE_FROM_SECONDS) * RISE_MAX.powf(now - shown.at);
                left.min(most.max(counted_down))
            }
        };
        self.shown = Some(Shown { left: value, at: now });
        value
    }
}

/// Returns what was forecast of a phase of this attempt.
fn forecast_of(look: &Look<'_>, phase: Phase) -> Option<f64> {
    let forecast = look.forecast?;
    let share: f64 = forecast.phases.iter().filter(|(of, _)| *of == phase).map(|(_, share)| share).sum();
    let part = if phase == Phase::Run { 1.0 - look.share_before } else { 1.0 };
    (share > 0.0).then_some(forecast.p50 * share * part)
}

/// Returns the time of `run` without its limit, as far as it is known from the phases that ended.
fn run_took(look: &Look<'_>) -> Option<f64> {
    look.ended.iter().find(|(phase, _)| *phase == Phase::Run).map(|(_, took)| *took)
}

fn typical_of(look: &Look<'_>, phase: Phase) -> Option<f64> {
    let (_, part) = TYPICAL.iter().find(|(of, _)| *of == phase)?;
    Some(run_took(look)? * part)
}

/// Returns the cost of the phases that are still to come; `None` if nothing is known of them.
fn later(look: &Look<'_>, current: Option<(Work, Cost)>, surprise: f64) -> Option<f64> {
    if !look.is_run {
        return None;
    }
    let now = current.map(|(work, _)| work.phase);
    let is_to_come = |phase: Phase| {
        let place = |of: Phase| TYPICAL.iter().position(|(phase, _)| *phase == of);
        let is_after = now.is_none_or(|now| place(now).is_none() || place(phase) > place(now));
        is_after && !look.ended.iter().any(|(ended, _)| *ended == phase)
    };
    if look.forecast.is_some() {
        let costs = TYPICAL.iter().filter(|(phase, _)| is_to_come(*phase));
        return Some(costs.filter_map(|(phase, _)| forecast_of(look, *phase)).sum::<f64>() * surprise);
    }
    let run = match current {
        // The limit holds up this phase alone.
        Some((work, cost)) if work.phase == Phase::Run => {
            let busy = (work.took - work.held).max(0.0) / work.took.max(1e-3);
            cost.whole * busy
        }
        _ => run_took(look)?,
    };
    Some(TYPICAL.iter().filter(|(phase, _)| is_to_come(*phase)).map(|(_, part)| run * part).sum())
}

/// Returns the range around what is shown: that of the forecast at first, narrower the more is measured.
fn range(look: &Look<'_>, p50: f64, trust: f64) -> Eta {
    let narrowed = 1.0 - trust * (1.0 - SPREAD_LEFT);
    let (below, above) = match look.forecast {
        Some(forecast) if forecast.p10 > 0.0 && forecast.p50 > 0.0 => {
            ((forecast.p50 / forecast.p10).ln().max(0.0), (forecast.p90 / forecast.p50).ln().max(0.0))
        }
        _ => (SPREAD, SPREAD),
    };
    let floor = look.limit_leaves.unwrap_or(0.0).min(p50);
    let basis = match look.forecast {
        _ if floor > 0.0 && floor >= LIMIT_DECIDES * p50 => "limit",
        Some(_) if trust < 0.5 => "forecast",
        _ => "measured",
    };
    Eta {
        p10: (p50 * (-below * narrowed).exp()).max(floor),
        p50,
        p90: p50 * (above * narrowed).exp(),
        basis: basis.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks eight times a second at a run that `work` describes, and returns what is shown, with its time.
    fn shown(
        seconds: f64,
        forecast: Option<&ForecastFigures>,
        at: impl Fn(f64) -> (Work, Option<f64>),
    ) -> Vec<(f64, f64)> {
        let mut clock = EtaClock::default();
        let mut shown = Vec::new();
        for tick in 1..(seconds * 8.0) as u32 {
            let now = f64::from(tick) / 8.0;
            let (work, limit_leaves) = at(now);
            let look =
                Look { now, work: Some(work), ended: &[], is_run: true, forecast, limit_leaves, share_before: 0.0 };
            if let Some(eta) = clock.look(&look).eta {
                assert!(eta.p10 <= eta.p50 && eta.p50 <= eta.p90);
                shown.push((now, eta.p50));
            }
        }
        shown
    }

    fn run(done: f64, total: f64, took: f64, held: f64) -> Work {
        Work { phase: Phase::Run, done, total: Some(total), took, held }
    }

    /// Fails unless what is shown is right, and does not rise, apart from `slack` seconds.
    fn assert_true(shown: &[(f64, f64)], ends: f64, slack: f64) {
        let good =
            shown.iter().filter(|(at, left)| (left - (ends - at)).abs() <= (0.25 * (ends - at)).max(2.0)).count();
        assert!(good * 10 >= shown.len() * 8, "{good} of {}: {shown:?}", shown.len());
        assert!(shown.windows(2).all(|pair| pair[1].1 <= pair[0].1 + slack), "{shown:?}");
    }

    #[test]
    fn under_a_limit_it_falls_all_the_time() {
        // 3,000 records at 500 a second, which pass by fifties and are written by thousands.
        let at = |now: f64| {
            let admitted = ((now * 10.0).floor() * 50.0).min(3000.0);
            (run(admitted, 3000.0, now, now * 0.97), Some((3000.0 - admitted) / 500.0))
        };
        let shown = shown(6.0, None, at);
        assert!(shown[0].0 >= 2.0 && shown[0].0 < 2.3);
        assert_true(&shown, 6.0, 0.01);
    }

    #[test]
    fn between_the_ends_of_long_batches_it_counts_down() {
        let at = |now: f64| (run((now / 4.0).floor() * 1000.0, 10_000.0, now, 0.0), None);
        // What follows `run` takes a part of it.
        let whole = 40.0 * 1.32;
        let shown = shown(40.0, None, at);
        assert_true(&shown, whole, 0.7);
    }

    #[test]
    fn a_forecast_gives_way_to_what_is_measured() {
        let phases = vec![(Phase::Run, 0.8), (Phase::Verify, 0.2)];
        let forecast = ForecastFigures { p10: 40.0, p50: 50.0, p90: 70.0, basis: "probe".into(), phases };
        // It takes twice as long: 80 s for the run.
        let at = |now: f64| (run(now * 100.0, 8000.0, now, 0.0), None);
        let shown = shown(79.0, Some(&forecast), at);
        assert!((shown[0].1 - 52.0).abs() < 8.0, "{:?}", shown[0]);
        let (at, left) = shown[shown.len() - 1];
        // The rest is 20 s for verifying by the forecast, and half of the surprise more.
        assert!((left - (80.0 - at) - 10.0 * 1.9_f64.sqrt()).abs() < 1.5, "{left} at {at}");
        assert!(shown.windows(2).all(|pair| pair[1].1 <= pair[0].1.max(1.0) * 1.06), "{shown:?}");
    }

    #[test]
    fn nothing_is_shown_where_nothing_is_known() {
        let mut clock = EtaClock::default();
        let work = Work { phase: Phase::Scan, done: 5.0, total: None, took: 3.0, held: 0.0 };
        let mut look = Look {
            now: 3.0,
            work: Some(work),
            ended: &[],
            is_run: false,
            forecast: None,
            limit_leaves: None,
            share_before: 0.0,
        };
        assert_eq!(clock.look(&look), Outlook::default());
        look.work = None;
        assert_eq!(clock.look(&look), Outlook::default());
    }

    #[test]
    fn a_small_change_does_not_replace_what_counts_down() {
        let mut clock = EtaClock::default();
        assert_eq!(clock.show(10.0, 100.0), 100.0);
        assert_eq!(clock.show(11.0, 103.0), 99.0);
        assert_eq!(clock.show(12.0, 90.0), 90.0);
        // Twice as much is not shown at once.
        assert!((clock.show(13.0, 180.0) - 89.0 * 1.2).abs() < 0.01);
    }

    #[test]
    fn the_share_of_the_whole_never_falls() {
        let mut clock = EtaClock::default();
        let mut last = 0.0;
        for (now, done) in [(3.0, 50.0), (4.0, 60.0), (9.0, 61.0), (20.0, 62.0), (21.0, 100.0)] {
            let work = Some(run(done, 100.0, now, 0.0));
            let look =
                Look { now, work, ended: &[], is_run: true, forecast: None, limit_leaves: None, share_before: 0.25 };
            let overall = clock.look(&look).overall.unwrap();
            assert!(overall >= last && (0.25..=1.0).contains(&overall));
            last = overall;
        }
    }
}
