use super::*;
use proptest::prelude::*;

/// The definition, in integers wide enough that nothing can go wrong.
fn oracle(z: i32, requant: Requant, activation: Activation) -> i8 {
    let (z, m, s) = (i128::from(z), i128::from(requant.multiplier()), requant.shift());
    let y = z.signum() * ((z.abs() * m + (1 << (30 + s))) >> (31 + s));
    let low = if activation == Activation::Relu { 0 } else { -127 };
    i8::try_from(y.clamp(low, 127)).unwrap()
}

fn any_requant() -> impl Strategy<Value = Requant> {
    (1_u32 << 30..1 << 31, 0_u8..=31).prop_map(|(m, s)| Requant::new(m, s).unwrap())
}

proptest! {
    #[test]
    fn requantisation_equals_the_definition(
        z in prop_oneof![any::<i32>(), -70_000..70_000_i32],
        requant in any_requant(),
        relu in any::<bool>(),
    ) {
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        prop_assert_eq!(requant.apply(z, activation), oracle(z, requant, activation));
    }
}

#[test]
fn the_corners_equal_the_definition() {
    for z in [i32::MIN, i32::MIN + 1, -256, -255, -2, -1, 0, 1, 2, 253, 254, 255, i32::MAX] {
        for multiplier in [1 << 30, (1 << 30) + 1, (1 << 31) - 1] {
            for shift in [0, 1, 2, 30, 31] {
                let requant = Requant::new(multiplier, shift).unwrap();
                for activation in [Activation::Relu, Activation::Linear] {
                    let expected = oracle(z, requant, activation);
                    assert_eq!(requant.apply(z, activation), expected, "{z} {requant:?}");
                }
            }
        }
    }
}

#[test]
fn halves_round_away_from_zero() {
    let half = Requant::new(1 << 30, 0).unwrap();
    let rounded = [-3, -2, -1, 0, 1, 2, 3].map(|z| half.apply(z, Activation::Linear));
    assert_eq!(rounded, [-2, -1, -1, 0, 1, 1, 2]);
}

#[test]
fn a_multiplier_or_shift_out_of_range_is_refused() {
    for (multiplier, shift) in [(0, 0), ((1 << 30) - 1, 0), (1 << 31, 0), (1 << 30, 32)] {
        let refused = Requant::new(multiplier, shift);
        assert_eq!(refused, Err(ModelError::Requant { multiplier, shift }));
    }
}
