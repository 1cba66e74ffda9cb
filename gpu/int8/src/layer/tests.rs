use super::*;

fn logits(inputs: usize, weight: i8, bias: i32) -> Result<Layer, ModelError> {
    Layer::logits(inputs, vec![weight; inputs], vec![bias])
}

#[test]
fn the_greatest_accumulator_that_fits_is_accepted_and_one_more_is_refused() {
    let rest = i32::MAX - 127 * 127;
    assert!(logits(1, 127, rest).is_ok());
    assert!(logits(1, -127, -rest).is_ok());
    let refused = logits(1, 127, rest + 1);
    assert_eq!(refused, Err(ModelError::Overflow { output: 0, bound: 1 << 31 }));
}

#[test]
fn a_full_width_layer_of_the_smallest_weight_fits() {
    assert!(logits(MAX_WIDTH, i8::MIN, 0).is_ok());
}

#[test]
fn a_bias_of_the_least_integer_is_refused() {
    let refused = logits(1, 0, i32::MIN);
    assert_eq!(refused, Err(ModelError::Overflow { output: 0, bound: 1 << 31 }));
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    let factor = Requant::new(1 << 30, 0).unwrap();
    let short = Layer::logits(3, vec![1; 5], vec![0; 2]);
    assert!(matches!(short, Err(ModelError::Shape { found: 5, expected: 6, .. })));
    let factors = Layer::hidden(1, vec![1; 2], vec![0; 2], vec![factor], Activation::Relu);
    assert!(matches!(factors, Err(ModelError::Shape { found: 1, expected: 2, .. })));
}

#[test]
fn empty_and_oversized_widths_are_refused() {
    assert!(matches!(Layer::logits(0, vec![], vec![0]), Err(ModelError::Bound { value: 0, .. })));
    assert!(matches!(Layer::logits(1, vec![], vec![]), Err(ModelError::Bound { value: 0, .. })));
    assert!(matches!(logits(MAX_WIDTH + 1, 0, 0), Err(ModelError::Bound { .. })));
}
