//! The forecast that an estimate leaves for the run that it was made of.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Forecast;
use crate::durable::open_state_file;

/// Name of the estimate in the directory of a run's state.
pub const ESTIMATE_NAME: &str = "estimate.json";
/// The longest estimate that is read.
const BYTES_MAX: u64 = 4 << 20;
/// How far the number of records may differ where no plan counts them: by a part in this.
const RECORDS_PART: u64 = 10;

/// A forecast of one run: that of the same plan and the same settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredForecast {
    /// Digest of the plan, in hexadecimal.
    pub plan: String,
    /// Records that the run goes through.
    pub records: u64,
    /// How it is carried out, as [`settings_text`](crate::migration::settings_text) says it.
    pub settings: String,
    /// What is expected.
    pub forecast: Forecast,
}

#[derive(Deserialize)]
struct Estimate {
    of_run: StoredForecast,
}

impl StoredForecast {
    /// Returns what the last estimate has left in `directory` for a run of this plan, if anything. `records` are those of the
    /// plan, if it counts them.
    pub fn read(directory: &Path, plan: &[u8; 32], records: Option<u64>, settings: &str) -> Option<Self> {
        let path = directory.join(ESTIMATE_NAME);
        let file = open_state_file(&path).ok()?;
        let bytes = std::io::read_to_string(std::io::Read::take(file, BYTES_MAX)).ok()?;
        let Estimate { of_run } = serde_json::from_str(&bytes).ok()?;
        let plan = blake3::Hash::from_bytes(*plan).to_hex();
        let is_same_run = of_run.plan == plan.as_str() && of_run.settings == settings;
        (is_same_run && records.is_none_or(|records| records == of_run.records)).then_some(of_run)
    }

    /// Returns true if a run that went through `records` records is the one that was expected.
    pub fn is_of(&self, records: u64) -> bool {
        records.abs_diff(self.records) <= self.records / RECORDS_PART
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    fn stored() -> StoredForecast {
        let settings = "durability=group".to_owned();
        let plan = blake3::Hash::from_bytes([7; 32]).to_hex().to_string();
        let forecast = Forecast {
            figures: crate::pipeline::ForecastFigures { p50: 3.0, ..Default::default() },
            centre: 3.0,
            scale: 0.4,
            probe: None,
            cost_bytes: 9,
            floor: None,
        };
        StoredForecast { plan, records: 100, settings, forecast }
    }

    #[test]
    fn it_is_for_the_same_plan_records_and_settings() {
        let directory = tempfile::tempdir().unwrap();
        let read = |plan: u8, records: Option<u64>, settings: &str| {
            StoredForecast::read(directory.path(), &[plan; 32], records, settings)
        };
        let settings = "durability=group".to_owned();
        assert_eq!(read(7, Some(100), &settings), None);
        let text = serde_json::json!({ "plan": {}, "of_run": stored() }).to_string();
        std::fs::write(directory.path().join(ESTIMATE_NAME), &text).unwrap();
        assert_eq!(read(7, Some(100), &settings), Some(stored()));
        assert_eq!(read(7, None, &settings), Some(stored()));
        assert_eq!(read(8, Some(100), &settings), None);
        assert_eq!(read(7, Some(101), &settings), None);
        assert_eq!(read(7, Some(100), "durability=each"), None);
        std::fs::write(directory.path().join(ESTIMATE_NAME), &text[..text.len() / 2]).unwrap();
        assert_eq!(read(7, Some(100), &settings), None);
    }

    #[test]
    fn a_run_over_many_more_records_is_another_one() {
        assert!(stored().is_of(100) && stored().is_of(91) && !stored().is_of(120) && !stored().is_of(0));
    }
}
