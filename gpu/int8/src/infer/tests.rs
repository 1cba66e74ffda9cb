use super::*;
use crate::{Activation, Requant};

fn half() -> Requant {
    Requant::new(1 << 30, 0).unwrap()
}

#[test]
fn equal_logits_give_the_lowest_class() {
    assert_eq!(predictions(&[3, 7, 7, -1, -5, -5], 3), [1, 0]);
    assert_eq!(predictions(&[i32::MIN; 4], 4), [0]);
    assert!(predictions(&[1, 2], 0).is_empty());
}

#[test]
fn a_linear_layer_keeps_negative_values_and_relu_drops_them() {
    let run = |activation| {
        let hidden = Layer::hidden(1, vec![1, -1], vec![0; 2], vec![half(); 2], activation);
        let last = Layer::logits(2, vec![1, 0, 0, 1], vec![0; 2]);
        let model = Model::new(vec![hidden.unwrap(), last.unwrap()]).unwrap();
        model.infer(&Batch::new(2, 1, vec![100, -127]).unwrap()).unwrap()
    };
    assert_eq!(run(Activation::Linear), [50, -50, -64, 64]);
    assert_eq!(run(Activation::Relu), [50, 0, 0, 64]);
}

#[test]
fn the_widest_accumulator_is_exact() {
    let weights = vec![i8::MIN; crate::MAX_WIDTH];
    let model = Model::new(vec![Layer::logits(crate::MAX_WIDTH, weights, vec![7]).unwrap()]);
    let batch = Batch::new(1, crate::MAX_WIDTH, vec![-127; crate::MAX_WIDTH]).unwrap();
    assert_eq!(model.unwrap().infer(&batch), Ok(vec![65_536 * 128 * 127 + 7]));
}

#[test]
fn a_batch_of_another_width_is_refused() {
    let model = Model::new(vec![Layer::logits(2, vec![1, 1], vec![0]).unwrap()]).unwrap();
    let refused = model.infer(&Batch::new(1, 3, vec![0; 3]).unwrap());
    assert_eq!(refused, Err(ModelError::Width { batch: 3, model: 2 }));
}

#[test]
fn more_logits_than_a_result_may_hold_are_refused() {
    let model = Model::new(vec![Layer::logits(1, vec![0; 64], vec![0; 64]).unwrap()]).unwrap();
    let rows = MAX_LOGITS / 64 + 1;
    let refused = model.check_batch(&Batch::new(rows, 1, vec![0; rows]).unwrap());
    assert!(matches!(refused, Err(ModelError::Bound { max: MAX_LOGITS, .. })));
}
