use super::*;
use proptest::prelude::*;

/// The definition, in integers wide enough that nothing can go wrong.
fn oracle(z: i32, scale: Scale) -> i128 {
    let (z, m, s) = (i128::from(z), i128::from(scale.multiplier()), scale.shift());
    let half = if s == 0 { 0 } else { 1 << (s - 1) };
    z.signum() * ((z.abs() * m + half) >> s)
}

proptest! {
    #[test]
    fn scaling_equals_the_definition(
        z in prop_oneof![any::<i32>(), -70_000..70_000_i32],
        multiplier in 1_u32 << 30..1 << 31,
        shift in 0_u8..=MAX_SHIFT,
    ) {
        let scale = Scale::new(multiplier, shift).unwrap();
        prop_assert_eq!(i128::from(scale.apply(z)), oracle(z, scale));
    }
}

#[test]
fn the_corners_equal_the_definition() {
    for z in [i32::MIN, i32::MIN + 1, -256, -255, -2, -1, 0, 1, 2, 253, 254, 255, i32::MAX] {
        for multiplier in [1 << 30, (1 << 30) + 1, (1 << 31) - 1] {
            for shift in 0..=MAX_SHIFT {
                let scale = Scale::new(multiplier, shift).unwrap();
                assert_eq!(i128::from(scale.apply(z)), oracle(z, scale), "{z} {scale:?}");
            }
        }
    }
}

#[test]
fn halves_round_away_from_zero_and_one_changes_nothing() {
    let half = Requant::new(Scale::new(1 << 30, 31).unwrap(), DType::I8);
    let Scales::One(scale) = half.scales else { panic!() };
    let rounded = [-3, -2, -1, 0, 1, 2, 3, 300, -300].map(|z| half.apply(scale, z));
    assert_eq!(rounded, [-2, -1, -1, 0, 1, 1, 2, 127, -127]);
    assert_eq!(half.relu().apply(scale, -2), 0);
    for z in [i32::MIN, -1, 0, 1, i32::MAX] {
        assert_eq!(Scale::ONE.apply(z), i64::from(z));
    }
}

#[test]
fn a_multiplier_or_shift_out_of_range_is_refused() {
    for (multiplier, shift) in [(0, 0), ((1 << 30) - 1, 0), (1 << 31, 0), (1 << 30, 63)] {
        let refused = Scale::new(multiplier, shift);
        assert_eq!(refused, Err(ModelError::Scale { multiplier, shift }));
    }
}
