//! How good earlier forecasts were. As JSON it is the document of `haul … estimate --history`.

use serde::Serialize;

use crate::migration::forecast::History;
use crate::migration::forecast::graded::PastRun;

/// What the history holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Past {
    /// By kind of store, then all together.
    pub groups: Vec<PastGroup>,
    /// The runs, oldest first.
    pub runs: Vec<PastRun>,
}

/// How good the forecasts of one kind of store were.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PastGroup {
    /// Which kind; `all` for all of them.
    pub kind: String,
    /// Whole runs.
    pub runs: u64,
    /// Those of them whose forecast was graded.
    pub graded: u64,
    /// Which part of these lay in the range.
    pub in_range_share: Option<f64>,
    /// Half of them were off by no more than this part of what was expected.
    pub median_error: Option<f64>,
}

impl Past {
    /// Reads it.
    pub fn read(history: History) -> Self {
        Self::of(history.runs())
    }

    fn of(runs: Vec<PastRun>) -> Self {
        let mut kinds: Vec<_> = runs.iter().map(|run| run.kind.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut groups: Vec<_> =
            kinds.into_iter().map(|kind| group(&kind, runs.iter().filter(|run| run.kind == kind))).collect();
        groups.push(group("all", runs.iter()));
        Self { groups, runs }
    }
}

fn group<'a>(kind: &str, runs: impl Iterator<Item = &'a PastRun> + Clone) -> PastGroup {
    let graded: Vec<_> = runs.clone().filter_map(|run| run.forecast.as_ref()).collect();
    let in_range = graded.iter().filter(|forecast| forecast.in_range).count();
    let mut errors: Vec<_> = graded.iter().map(|forecast| (forecast.ratio - 1.0).abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    PastGroup {
        kind: kind.to_owned(),
        runs: runs.count() as u64,
        graded: graded.len() as u64,
        in_range_share: (!graded.is_empty()).then(|| in_range as f64 / graded.len() as f64),
        median_error: errors.get(errors.len() / 2).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::forecast::graded::tests::past;

    #[test]
    fn each_kind_has_a_line_and_all_together_one() {
        let runs = vec![
            past("space", 10, 4.0, Some(4.0)),
            past("space", 10, 12.0, Some(4.0)),
            past("cas", 10, 5.0, Some(4.0)),
            past("cas", 10, 5.0, None),
        ];
        let Past { groups, .. } = Past::of(runs);
        let shown: Vec<_> = groups
            .iter()
            .map(|group| (&*group.kind, group.runs, group.graded, group.in_range_share, group.median_error))
            .collect();
        assert_eq!(
            shown,
            [
                ("cas", 2, 1, Some(1.0), Some(0.25)),
                ("space", 2, 2, Some(0.5), Some(2.0)),
                ("all", 4, 3, Some(2.0 / 3.0), Some(0.25)),
            ]
        );
    }

    #[test]
    fn nothing_is_known_of_nothing() {
        let Past { groups, .. } = Past::of(Vec::new());
        assert_eq!((groups.len(), groups[0].in_range_share, groups[0].median_error), (1, None, None));
    }
}
