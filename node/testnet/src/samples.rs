//! What a set of measured times says.

use serde::Serialize;

/// Spread of times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many were taken.
    pub count: usize,
    /// Half are below.
    pub p50_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// The highest.
    pub max_ms: f64,
}

impl Spread {
    /// Of times in milliseconds; none if there are none.
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let last = samples.len().checked_sub(1)?;
        let at = |share: f64| {
            let index = ((samples.len() as f64 * share) as usize).min(last);
            (samples[index] * 10.0).round() / 10.0
        };
        Some(Self { count: samples.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_names_the_middle_the_hundredth_and_the_highest() {
        let spread = Spread::of((0..200).rev().map(f64::from).collect()).unwrap();
        assert_eq!(spread, Spread { count: 200, p50_ms: 100.0, p99_ms: 198.0, max_ms: 199.0 });
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
