//! The encodings: frozen vectors, made by an independent encoder, and properties over all values.

use neura_int8::{Activation, Batch, Int8Job, Int8Result, Layer, Model, ModelError, Requant};
use proptest::prelude::*;

const MODEL: &str = "4e4555524149384d0100020003000000020000000100000001fe03807f00fbff\
                     ffff7011010000000040ffffff7f001f0200000002000000010000ff04000000\
                     fcffffff";
const BATCH: &str = "4e455552414938420100000002000000030000007f8100010203";
const RESULT: &str = "4e455552414938520100000002000000020000000000000083000000fcffffff\
                      05000000fcffffff";

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn model() -> Model {
    let factors = vec![Requant::new(1 << 30, 0).unwrap(), Requant::new((1 << 31) - 1, 31).unwrap()];
    let weights = vec![1, -2, 3, -128, 127, 0];
    let hidden = Layer::hidden(3, weights, vec![-5, 70_000], factors, Activation::Relu).unwrap();
    let last = Layer::logits(2, vec![1, 0, 0, -1], vec![4, -4]).unwrap();
    Model::new(vec![hidden, last]).unwrap()
}

fn batch() -> Batch {
    Batch::new(2, 3, vec![127, -127, 0, 1, 2, 3]).unwrap()
}

fn job() -> Int8Job {
    Int8Job { model: bytes(MODEL), inputs: bytes(BATCH) }
}

fn result() -> Int8Result {
    Int8Result::new(2, vec![131, -4, 5, -4]).unwrap()
}

#[test]
fn the_model_vector_is_unchanged() {
    assert_eq!(model().encode(), bytes(MODEL));
    assert_eq!(Model::decode(&bytes(MODEL)), Ok(model()));
}

#[test]
fn the_batch_vector_is_unchanged() {
    assert_eq!(batch().encode(), bytes(BATCH));
    assert_eq!(Batch::decode(&bytes(BATCH)), Ok(batch()));
}

#[test]
fn the_job_vector_is_unchanged() {
    let header = "4e4555524149384a01000000440000001a000000";
    let vector = bytes(&format!("{header}{MODEL}{BATCH}"));
    assert_eq!(job().encode().unwrap(), vector);
    assert_eq!(Int8Job::decode(&vector), Ok(job()));
    assert_eq!(job().open(), Ok((model(), batch())));
}

#[test]
fn the_result_vector_and_its_commitment_are_unchanged() {
    assert_eq!(model().infer(&batch()).unwrap(), result().logits());
    assert_eq!(result().predictions(), [0, 0]);
    assert_eq!(result().encode(), bytes(RESULT));
    assert_eq!(Int8Result::decode(&bytes(RESULT)), Ok(result()));
    assert_eq!(
        hex::encode(result().commitment()),
        "2d3ae75ffc5c8e0a157cc2339344ceb81e9b5d0c1696ad80b3df513c2bc81582"
    );
}

#[test]
fn every_truncation_and_any_trailing_byte_is_refused() {
    let job = job().encode().unwrap();
    for cut in 0..bytes(MODEL).len() {
        assert!(Model::decode(&bytes(MODEL)[..cut]).is_err(), "model cut at {cut}");
    }
    for cut in 0..bytes(BATCH).len() {
        assert!(Batch::decode(&bytes(BATCH)[..cut]).is_err(), "batch cut at {cut}");
    }
    for cut in 0..job.len() {
        assert!(Int8Job::decode(&job[..cut]).is_err(), "job cut at {cut}");
    }
    for cut in 0..bytes(RESULT).len() {
        assert!(Int8Result::decode(&bytes(RESULT)[..cut]).is_err(), "result cut at {cut}");
    }
    let longer = |hex: &[u8]| [hex, &[0]].concat();
    let trailing = |error| matches!(error, ModelError::Trailing { extra: 1, .. });
    assert!(Model::decode(&longer(&bytes(MODEL))).is_err_and(trailing));
    assert!(Batch::decode(&longer(&bytes(BATCH))).is_err_and(trailing));
    assert!(Int8Job::decode(&longer(&job)).is_err_and(trailing));
    assert!(Int8Result::decode(&longer(&bytes(RESULT))).is_err_and(trailing));
}

#[test]
fn another_magic_or_version_is_refused_by_name() {
    let magic = Model::decode(&bytes(BATCH)).unwrap_err();
    assert_eq!(magic, ModelError::Magic { what: "an int8 model" });
    let mut version = bytes(MODEL);
    version[8] = 2;
    let refused = Model::decode(&version).unwrap_err();
    assert!(matches!(refused, ModelError::Version { found: 2, supported: 1, .. }));
}

#[test]
fn an_activation_of_minus_128_is_refused() {
    let mut bytes = bytes(BATCH);
    bytes[22] = 0x80;
    assert_eq!(Batch::decode(&bytes), Err(ModelError::Activation { index: 2 }));
}

#[test]
fn a_prediction_that_does_not_follow_from_the_logits_is_refused() {
    let mut bytes = bytes(RESULT);
    bytes[22] = 1; // the second row's class
    assert_eq!(Int8Result::decode(&bytes), Err(ModelError::Prediction { row: 1 }));
}

#[test]
fn a_result_without_whole_rows_is_refused() {
    for (classes, logits) in [(0, 1), (2, 0), (2, 3), (3, 2)] {
        assert!(Int8Result::new(classes, vec![0; logits]).is_err(), "{logits} logits, {classes}");
    }
}

fn layer(inputs: usize, outputs: usize, last: bool) -> impl Strategy<Value = Layer> {
    let weights = prop::collection::vec(any::<i8>(), inputs * outputs);
    let bias = prop::collection::vec(-1_000_000..1_000_000, outputs);
    let factor = (1_u32 << 30..1 << 31, 0_u8..=31).prop_map(|(m, s)| Requant::new(m, s).unwrap());
    let factors = prop::collection::vec(factor, outputs);
    (weights, bias, factors, any::<bool>()).prop_map(move |(weights, bias, factors, relu)| {
        let activation = if relu { Activation::Relu } else { Activation::Linear };
        if last {
            Layer::logits(inputs, weights, bias).unwrap()
        } else {
            Layer::hidden(inputs, weights, bias, factors, activation).unwrap()
        }
    })
}

fn any_model() -> impl Strategy<Value = Model> {
    prop::collection::vec(1_usize..9, 2..6).prop_flat_map(|widths| {
        let last = widths.len() - 2;
        let layers: Vec<_> = widths
            .windows(2)
            .enumerate()
            .map(|(index, pair)| layer(pair[0], pair[1], index == last).boxed())
            .collect();
        layers.prop_map(|layers| Model::new(layers).unwrap())
    })
}

fn any_batch() -> impl Strategy<Value = Batch> {
    (1_usize..9, 1_usize..9).prop_flat_map(|(rows, width)| {
        prop::collection::vec(-127_i8..=127, rows * width)
            .prop_map(move |values| Batch::new(rows, width, values).unwrap())
    })
}

/// Bytes that look like an encoding: a valid one with some bytes changed, cut or added.
fn damaged(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let tail = prop::collection::vec(any::<u8>(), 0..6);
    (changes, any::<prop::sample::Index>(), any::<bool>(), tail).prop_map(
        move |(changes, cut, cuts, tail)| {
            let mut bytes = valid.clone();
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend(tail);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn a_model_survives_its_encoding(model in any_model()) {
        prop_assert_eq!(Model::decode(&model.encode()), Ok(model));
    }

    #[test]
    fn a_batch_survives_its_encoding(batch in any_batch()) {
        prop_assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
    }

    #[test]
    fn a_result_survives_its_encoding(
        classes in 1_usize..6,
        logits in prop::collection::vec(any::<i32>(), 1..60),
    ) {
        let whole = logits.len() / classes * classes;
        prop_assume!(whole > 0);
        let result = Int8Result::new(classes, logits[..whole].to_vec()).unwrap();
        prop_assert_eq!(Int8Result::decode(&result.encode()), Ok(result));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Model::decode(&bytes).is_err());
        prop_assert!(Batch::decode(&bytes).is_err());
        prop_assert!(Int8Job::decode(&bytes).is_err());
        prop_assert!(Int8Result::decode(&bytes).is_err());
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        model in damaged(bytes(MODEL)),
        batch in damaged(bytes(BATCH)),
        job in damaged(job().encode().unwrap()),
        result in damaged(bytes(RESULT)),
    ) {
        if let Ok(value) = Model::decode(&model) { prop_assert_eq!(value.encode(), model); }
        if let Ok(value) = Batch::decode(&batch) { prop_assert_eq!(value.encode(), batch); }
        if let Ok(value) = Int8Result::decode(&result) { prop_assert_eq!(value.encode(), result); }
        if let Ok(value) = Int8Job::decode(&job) {
            if let Ok((model, batch)) = value.open() {
                prop_assert_eq!(model.infer(&batch).unwrap().len(), batch.rows() * model.classes());
            }
            prop_assert_eq!(value.encode().unwrap(), job);
        }
    }
}
