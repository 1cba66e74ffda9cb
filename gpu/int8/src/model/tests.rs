use super::*;

fn factor() -> Requant {
    Requant::new(1 << 30, 7).unwrap()
}

fn hidden(inputs: usize, outputs: usize) -> Layer {
    let weights = vec![1; inputs * outputs];
    Layer::hidden(inputs, weights, vec![0; outputs], vec![factor(); outputs], Activation::Relu)
        .unwrap()
}

fn logits(inputs: usize, outputs: usize) -> Layer {
    Layer::logits(inputs, vec![1; inputs * outputs], vec![0; outputs]).unwrap()
}

#[test]
fn layers_that_do_not_chain_are_refused() {
    let refused = Model::new(vec![hidden(4, 3), logits(2, 5)]);
    assert_eq!(refused, Err(ModelError::Chain { layer: 1, inputs: 2, outputs: 3 }));
}

#[test]
fn logits_come_once_and_last() {
    assert_eq!(Model::new(vec![hidden(4, 3)]), Err(ModelError::Order { layer: 0 }));
    let twice = Model::new(vec![logits(4, 3), logits(3, 2)]);
    assert_eq!(twice, Err(ModelError::Order { layer: 0 }));
}

#[test]
fn a_model_without_layers_and_one_with_too_many_are_refused() {
    assert!(matches!(Model::new(vec![]), Err(ModelError::Bound { value: 0, .. })));
    let mut layers = vec![hidden(1, 1); MAX_LAYERS];
    layers.push(logits(1, 1));
    assert!(matches!(Model::new(layers), Err(ModelError::Bound { value: 65, .. })));
}

#[test]
fn the_stated_length_is_the_encoded_length() {
    let model = Model::new(vec![hidden(4, 3), logits(3, 2)]).unwrap();
    assert_eq!(model.encode().len(), model.encoded_len());
    assert_eq!((model.inputs(), model.classes(), model.macs_per_row()), (4, 2, 18));
}

#[test]
fn sizes_that_the_bytes_cannot_hold_are_refused_before_anything_is_allocated() {
    let mut bytes = Model::new(vec![logits(1, 1)]).unwrap().encode();
    bytes[12..16].copy_from_slice(&65_536_u32.to_le_bytes()); // inputs
    bytes[16..20].copy_from_slice(&65_536_u32.to_le_bytes()); // outputs: 4 GiB of weights
    let refused = Model::decode(&bytes);
    assert!(matches!(refused, Err(ModelError::Truncated { needed: 0x1_0000_0000, .. })));
    bytes[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Model::decode(&bytes), Err(ModelError::Bound { .. })));
}

#[test]
fn an_unknown_kind_and_a_reserved_byte_in_use_are_refused() {
    let bytes = Model::new(vec![logits(1, 1)]).unwrap().encode();
    let mut unknown = bytes.clone();
    unknown[20] = 3;
    assert_eq!(Model::decode(&unknown), Err(ModelError::Kind { found: 3 }));
    let mut reserved = bytes;
    reserved[22] = 1;
    assert!(matches!(Model::decode(&reserved), Err(ModelError::Reserved { .. })));
}
