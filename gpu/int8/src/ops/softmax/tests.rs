use super::*;
use proptest::prelude::*;

/// Scores in units of 2^-8 of a natural logarithm.
fn softmax() -> Softmax {
    let multiplier = (std::f64::consts::LOG2_E * f64::from(1 << 30)).round() as u32;
    Softmax { scale: Scale::new(multiplier, 22).unwrap(), causal: false }
}

proptest! {
    #[test]
    fn probabilities_are_close_to_the_real_ones(scores in prop::collection::vec(-4_000..4_000, 1..300)) {
        let real: Vec<f64> = scores.iter().map(|x| (f64::from(*x) / 256.0).exp()).collect();
        let sum: f64 = real.iter().sum();
        for (term, exact) in softmax().row(&scores).into_iter().zip(real) {
            let error = (f64::from(term) / 65_535.0 - exact / sum).abs();
            prop_assert!(error < 2e-4, "{}", error);
        }
    }

    #[test]
    fn terms_sum_to_no_more_than_the_proof_says(scores in prop::collection::vec(any::<i32>(), 1..300)) {
        let sum: u64 = softmax().row(&scores).into_iter().map(u64::from).sum();
        prop_assert!(sum <= 65_535 + (scores.len() as u64).div_ceil(2), "{}", sum);
    }
}

#[test]
fn the_longest_row_of_equal_scores_is_exact_and_opposite_extremes_do_not_wrap() {
    assert!(softmax().row(&vec![7; MAX_CONTEXT]).iter().all(|term| *term == 1));
    assert_eq!(softmax().row(&[i32::MIN, i32::MAX]), [0, 65_535]);
    assert_eq!(softmax().row(&[i32::MIN]), [65_535]);
}
