use super::*;

#[test]
fn the_tables_are_what_their_formulas_round_to() {
    for (index, (power, logarithm)) in EXP2_NEGATIVE.iter().zip(LOG2).enumerate() {
        let x = index as f64 / 256.0;
        assert_eq!(*power, (32_768.0 * (-x).exp2()).round() as u32, "{index}");
        assert_eq!(logarithm, (65_536.0 * (1.0 + x).log2()).round() as i64, "{index}");
    }
}

#[test]
fn powers_are_within_a_unit_and_end_at_zero() {
    for t in (0..20_u64 << 16).step_by(37) {
        let exact = 32_768.0 * (-(t as f64) / 65_536.0).exp2();
        let error = (f64::from(exp2_negative(t)) - exact).abs();
        assert!(error <= 1.0, "2^-({t} / 65536): {error}");
    }
    assert_eq!(exp2_negative(0), 1 << 15);
    assert_eq!(
        [15 << 16, 16 << 16, (16 << 16) + 200, 17 << 16, 1 << 40, u64::MAX].map(exp2_negative),
        [1, 1, 0, 0, 0, 0]
    );
}

#[test]
fn logarithms_are_within_two_units() {
    for n in (1..5_000_u64).chain((0..63).map(|bit| (1 << bit) + (1 << (bit / 2)))) {
        let error = (log2(n) as f64 - 65_536.0 * (n as f64).log2()).abs();
        assert!(error <= 2.0, "{n}: {error}");
    }
    assert_eq!([0, 1, 2, 1 << 63].map(log2), [0, 0, 1 << 16, 63 << 16]);
}

#[test]
fn noise_is_distributed_as_gumbels() {
    let exact = |w: f64| -(-(-w / 4_294_967_296.0).ln_1p()).ln() * 65_536.0;
    for w in (1..=u32::MAX).step_by(100_003).chain([1, 2, 3, 1 << 23, 1 << 24, (1 << 24) + 1]) {
        let error = (gumbel(w) as f64 - exact(f64::from(w))).abs();
        assert!(error <= 400.0, "{w}: {error}"); // 0.006 of a natural logarithm
    }
    let mean: i64 = (0..4_096_u32).map(|i| gumbel((i << 20) | (1 << 19))).sum::<i64>() / 4_096;
    assert!((mean as f64 / 65_536.0 - 0.577_2).abs() < 0.01, "{mean}");
    assert!(gumbel(1) > gumbel(2) && gumbel(u32::MAX) < -200_000);
}
