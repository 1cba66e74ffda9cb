use super::*;
use proptest::prelude::*;

fn normaliser(centred: bool) -> Normaliser {
    Normaliser { centred, fraction: 8, epsilon: 1, averaged: true }
}

fn exact(row: &[i32], centred: bool) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = if centred { row.iter().map(|x| f64::from(*x)).sum::<f64>() / n } else { 0.0 };
    let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    row.iter().map(|x| (f64::from(*x) - mean) / variance.sqrt().max(1e-9)).collect()
}

proptest! {
    #[test]
    fn unit_values_are_close_to_the_real_ones(
        row in prop::collection::vec(-20_000..20_000, 2..400),
        centred in any::<bool>(),
    ) {
        let real = exact(&row, centred);
        for (unit, exact) in normaliser(centred).row(&row).into_iter().zip(real) {
            let error = (unit as f64 / 65_536.0 - exact).abs();
            prop_assert!(error < 1e-3 * (1.0 + exact.abs()), "{} {}", unit, exact);
        }
    }

    #[test]
    fn unit_values_stay_within_the_proof(
        row in prop_oneof![
            prop::collection::vec(-3..3, 1..60),
            prop::collection::vec(-100_000..100_000, 1..60),
            (1_usize..400, any::<i16>()).prop_map(|(n, x)| {
                let mut row = vec![0; n];
                row[0] = x.into();
                row
            }),
        ],
        centred in any::<bool>(),
        averaged in any::<bool>(),
        epsilon in 0_u64..3,
        fraction in 0_u8..9,
    ) {
        let normaliser = Normaliser { centred, fraction, epsilon, averaged };
        let limit = normaliser.check(Interval::of(row.iter().copied()), row.len()).unwrap();
        for unit in normaliser.row(&row) {
            prop_assert!(unit.unsigned_abs() <= limit, "{} > {}", unit, limit);
        }
    }
}

#[test]
fn rows_without_spread_are_zero() {
    let flat = Normaliser { centred: true, fraction: 4, epsilon: 0, averaged: true };
    assert_eq!(flat.row(&[9; 7]), [0; 7]);
    assert_eq!(UNIT_LENGTH.row(&[0; 3]), [0; 3]);
    assert_eq!(UNIT_LENGTH.row(&[0, -5]), [0, -65_536]);
}

#[test]
fn a_row_whose_squares_could_overflow_is_refused() {
    let wide = Interval::new(-(1 << 30), 1 << 30);
    let refused = normaliser(false).check(wide, 64).unwrap_err();
    assert!(matches!(refused, NodeProblem::Overflow { what: "a value of the row", .. }));
    let many = Interval::new(-(1 << 22), 1 << 22);
    let refused = normaliser(false).check(many, 64).unwrap_err();
    assert!(matches!(refused, NodeProblem::Overflow { what: "the sum of squares", .. }));
}
