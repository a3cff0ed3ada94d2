//! The range around the most likely time, from how far earlier forecasts were off: split conformal prediction (Papadopoulos
//! and others, "Inductive Confidence Machines for Regression", 2002; docs/estimate.md).

use crate::migration::report::parts::Quantiles;

/// How far forecasts are off without noise, as a logarithm.
const SCALE: f64 = 0.35;
/// What is added for each logarithm of how many times larger the run is.
const SCALE_OF_SIZE: f64 = 0.05;
/// As many residuals are needed before the range is made from them alone.
const RESIDUALS_MIN: usize = 9;
/// Quantiles of the normal distribution at 1/10 to 9/10, in the order in which they give way to what was seen: the middle
/// ones first, so that the range is not narrower than what is known.
const STAND_INS: [f64; RESIDUALS_MIN] =
    [-1.281_552, 1.281_552, -0.841_621, 0.841_621, -0.524_401, 0.524_401, -0.253_347, 0.253_347, 0.0];

/// Returns how far a forecast may be off, as a logarithm. `size` is the logarithm of how many times larger the run is than
/// what it was forecast from.
pub fn scale(noise: f64, size: f64) -> f64 {
    (SCALE * SCALE + noise * noise / 2.0 + (SCALE_OF_SIZE * size).powi(2)).sqrt()
}

/// Returns the range around `centre`. `residuals` are those of earlier forecasts, each divided by its scale.
pub fn range(centre: f64, scale: f64, residuals: &[f64]) -> Quantiles {
    let mut pool = residuals.to_vec();
    pool.extend(&STAND_INS[..RESIDUALS_MIN.saturating_sub(residuals.len())]);
    pool.sort_by(f64::total_cmp);
    let next = (pool.len() + 1) as f64;
    let rank = |number: f64| pool[(number as usize).clamp(1, pool.len()) - 1];
    let middle = f64::midpoint(pool[(pool.len() - 1) / 2], pool[pool.len() / 2]);
    let at = |residual: f64| centre * (scale * residual).exp();
    Quantiles { p10: at(rank((0.1 * next).floor())), p50: at(middle), p90: at(rank((0.9 * next).ceil())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_first_it_is_that_of_a_normal_distribution() {
        let Quantiles { p10, p50, p90 } = range(100.0, scale(0.0, 0.0), &[]);
        assert!((p50 - 100.0).abs() < 1e-9);
        assert!((p90 / p10 - (2.0 * 1.281_552 * 0.35_f64).exp()).abs() < 1e-6, "{}", p90 / p10);
    }

    #[test]
    fn what_was_seen_takes_over_one_by_one() {
        // All forecasts were a little too low.
        let seen = [0.5; 9];
        let mut last = 100.0;
        for count in 1..=9 {
            let Quantiles { p50, .. } = range(100.0, 0.35, &seen[..count]);
            assert!(p50 >= last, "{count}");
            last = p50;
        }
        let whole = range(100.0, 0.35, &seen);
        assert!((whole.p10 - whole.p90).abs() < 1e-9 && (whole.p50 - 100.0 * 0.175_f64.exp()).abs() < 1e-9);
        // With one missing, the range is still as wide as the normal distribution on one side.
        assert!(range(100.0, 0.35, &seen[..8]).p10 < 65.0);
    }

    #[test]
    fn eight_of_ten_that_follow_lie_inside() {
        // A sequence that is spread evenly over what residuals can be, far from normal.
        let residual = |number: u32| (f64::from(number) * 0.618_034).fract() * 6.0 - 1.0;
        let seen: Vec<_> = (0..50).map(residual).collect();
        let Quantiles { p10, p90, .. } = range(1.0, 0.3, &seen);
        let inside = (50..1_050).filter(|&number| (p10..=p90).contains(&(0.3 * residual(number)).exp())).count();
        assert!((780..=860).contains(&inside), "{inside}");
    }

    #[test]
    fn noise_and_size_widen_it() {
        assert!(scale(0.4, 0.0) > scale(0.1, 0.0) && scale(0.0, 6.0) > scale(0.0, 1.0));
        assert_eq!(scale(0.0, 0.0), 0.35);
    }

    #[test]
    fn the_order_is_that_of_the_names() {
        for count in 0..60 {
            let seen: Vec<_> = (0..count).map(|number| f64::from((number * 37) % 60) / 10.0 - 3.0).collect();
            let Quantiles { p10, p50, p90 } = range(10.0, 0.4, &seen);
            assert!(p10 <= p50 && p50 <= p90, "{count}");
        }
    }
}
