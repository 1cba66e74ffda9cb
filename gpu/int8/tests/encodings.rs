//! The encodings: frozen vectors, and what is refused.

use neura_int8::{
    Builder, DType, Data, Int8Job, Int8Result, Manifest, Model, ModelError, NodeProblem, Opening,
    Prompt, Reference, Requant, Request, Sampling, Scale, Scales, Tensor, ValueId, decode_requests,
    encode_requests,
    ops::{linear::Linear, reduce::Argmax},
};
use proptest::prelude::*;

/// Two linear layers and the class: as `examples/digits`, made small.
fn model() -> Model {
    let mut builder = Builder::new(7);
    let x = builder.input("x", DType::I8, &[3], (-127, 127));
    let mut param = |name: &str, dims: &[usize], data| {
        builder.param(name, Tensor::new(dims.to_vec(), data).unwrap())
    };
    let first = param("0.weights", &[2, 3], Data::I8(vec![1, -2, 3, -128, 127, 0]));
    let bias = Some(param("0.bias", &[2], Data::I32(vec![-5, 70_000])));
    let multipliers = param("0.multipliers", &[2], Data::I32(vec![1 << 30, i32::MAX]));
    let shifts = param("0.shifts", &[2], Data::I8(vec![31, 62]));
    let second = param("1.weights", &[2, 2], Data::I8(vec![1, 0, 0, -1]));
    let scales = Scales::Channels { multipliers, shifts };
    let finish = Some(Requant { scales, dtype: DType::I8, low: 0, high: 127 });
    let hidden = builder.node(Linear { weights: first, bias, finish }, &[x]).unwrap();
    let logits = Linear { weights: second, bias: None, finish: None };
    let logits = builder.node(logits, &[hidden]).unwrap();
    let class = builder.node(Argmax, &[logits]).unwrap();
    builder.output("class", class);
    builder.output("logits", logits);
    builder.build().unwrap()
}

fn input() -> Tensor {
    Tensor::new(vec![2, 3], Data::I8(vec![127, -127, 0, 1, 2, 3])).unwrap()
}

fn requests() -> Vec<Request> {
    let sampling = Sampling { seed: [7; 32], temperature: 1 << 16 };
    let prompt = Prompt { tokens: vec![1, 2], max_tokens: 3, stop: vec![0], sampling };
    vec![Request::run(vec![input()]), Request::Generate(prompt)]
}

fn job() -> Int8Job {
    let requests = encode_requests(&requests()[..1]).unwrap();
    Int8Job { model: model().encode(), requests }
}

fn opening() -> Opening {
    let trace = model().trace(&Reference, &[input()], Sampling::default()).unwrap();
    trace.open(ValueId(2), 3).unwrap()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(&blake3::hash(bytes).as_bytes()[..8])
}

/// The beginnings of hashes of each encoding, the model's id and the result's commitment.
const VECTORS: [&str; 8] = [
    "6929172bbf6f66e8",
    "8bc2abfbcd3acd31",
    "fb0112e7145b9f27",
    "86bf331debe979bc",
    "ea77499e6a3e611a",
    "1931b33aefa65b47",
    "4cad0f10812e59f6",
    "31ef723ac7cec2a4",
];

#[test]
fn every_encoding_is_unchanged() {
    let model = model();
    let result = job().open().unwrap().run(&Reference).unwrap();
    let found = [
        digest(&model.manifest().encode()),
        digest(&model.encode()),
        hex::encode(&model.id()[..8]),
        digest(&encode_requests(&requests()).unwrap()),
        digest(&job().encode().unwrap()),
        digest(&result.encode()),
        hex::encode(&result.commitment()[..8]),
        digest(&opening().encode()),
    ];
    assert_eq!(found, VECTORS);
}

#[test]
fn a_run_gives_what_it_gives_on_paper() {
    let outputs = model().run(&[input()]).unwrap();
    assert_eq!(outputs[0].data(), &Data::I32(vec![0, 0]));
    // Half of 376 saturates; the second channel's factor brings everything to 0.
    assert_eq!(outputs[1].data(), &Data::I32(vec![127, 0, 1, 0]));
}

/// Tries to decode, and says what is wrong.
type Decoder = fn(&[u8]) -> Option<ModelError>;

#[test]
fn every_truncation_and_any_trailing_byte_is_refused() {
    let encodings = [
        model().encode(),
        model().manifest().encode(),
        encode_requests(&requests()).unwrap(),
        job().encode().unwrap(),
        job().open().unwrap().run(&Reference).unwrap().encode(),
        opening().encode(),
    ];
    let decoders: [Decoder; 6] = [
        |bytes| Model::decode(bytes).err(),
        |bytes| Manifest::decode(bytes).err(),
        |bytes| decode_requests(bytes).err(),
        |bytes| Int8Job::decode(bytes).err(),
        |bytes| Int8Result::decode(bytes).err(),
        |bytes| Opening::decode(bytes).err(),
    ];
    for (index, (bytes, decode)) in encodings.iter().zip(decoders).enumerate() {
        assert_eq!(decode(bytes), None, "{index}");
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_some(), "{index} cut at {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(decode(&longer), Some(ModelError::Trailing { extra: 1, .. })), "{index}");
        let mut version = bytes.clone();
        version[8] = 1;
        let refused = decode(&version);
        assert!(
            matches!(refused, Some(ModelError::Version { found: 1, supported: 2, .. })),
            "{index}"
        );
    }
}

#[test]
fn one_leaf_of_weights_changed_is_another_root() {
    let mut bytes = model().encode();
    let at = bytes.len() - 1_024; // the last parameter's first value
    bytes[at] ^= 1;
    assert_eq!(Model::decode(&bytes), Err(ModelError::Root));
}

#[test]
fn an_input_below_its_least_value_is_refused() {
    let least = Tensor::new(vec![1, 3], Data::I8(vec![0, 0, -128])).unwrap();
    let requests = encode_requests(&[Request::run(vec![least])]).unwrap();
    let refused = Int8Job { requests, ..job() }.open();
    let problem = NodeProblem::Bound { what: "its least value", value: -128, min: -127, max: 127 };
    assert_eq!(refused, Err(ModelError::Input { name: "x".into(), problem }));
}

#[test]
fn names_stand_once_and_are_printable() {
    let build = |names: [&str; 2]| {
        let mut builder = Builder::new(1);
        let x = builder.input("x", DType::I8, &[1], (0, 1));
        names.iter().for_each(|name| builder.output(name, x));
        builder.build().err()
    };
    assert_eq!(build(["a", "b"]), None);
    assert_eq!(build(["a", "a"]), Some(ModelError::Twice { name: "a".into() }));
    for name in ["", "a b", "ü", &"x".repeat(129)] {
        assert!(matches!(build(["a", name]), Some(ModelError::Name { .. })), "{name}");
    }
}

#[test]
fn a_scale_out_of_range_in_a_parameter_is_named_with_its_channel() {
    let mut builder = Builder::new(1);
    let x = builder.input("x", DType::I8, &[2], (-127, 127));
    let weights = Tensor::new(vec![2, 2], Data::I8(vec![1; 4])).unwrap();
    let weights = builder.param("weights", weights);
    let multipliers = builder.param("m", Tensor::list(vec![1 << 30, 5]).unwrap());
    let shifts = builder.param("s", Tensor::new(vec![2], Data::I8(vec![31, 31])).unwrap());
    let finish = Some(Requant::per_channel(multipliers, shifts, DType::I8));
    let y = builder.node(Linear { weights, bias: None, finish }, &[x]).unwrap();
    builder.output("y", y);
    let problem = NodeProblem::Scale { channel: 1, multiplier: 5, shift: 31 };
    assert_eq!(builder.build(), Err(ModelError::Node { node: 0, op: "linear", problem }));
    assert!(Scale::new(5, 31).is_err());
}

/// Bytes that look like an encoding: a valid one with some bytes changed, cut or added.
fn damaged(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let tail = prop::collection::vec(any::<u8>(), 0..3);
    (changes, tail).prop_map(move |(changes, tail)| {
        let mut bytes = valid.clone();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.extend(tail);
        bytes
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Model::decode(&bytes).is_err());
        prop_assert!(Manifest::decode(&bytes).is_err());
        prop_assert!(decode_requests(&bytes).is_err());
        prop_assert!(Int8Job::decode(&bytes).is_err());
        prop_assert!(Int8Result::decode(&bytes).is_err());
        prop_assert!(Opening::decode(&bytes).is_err());
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(
        manifest in damaged(model().manifest().encode()),
        requests in damaged(encode_requests(&requests()).unwrap()),
        job in damaged(job().encode().unwrap()),
        opening in damaged(opening().encode()),
    ) {
        if let Ok(value) = Manifest::decode(&manifest) {
            prop_assert_eq!(value.encode(), manifest);
        }
        if let Ok(value) = decode_requests(&requests) {
            prop_assert_eq!(encode_requests(&value).unwrap(), requests);
        }
        if let Ok(value) = Opening::decode(&opening) {
            prop_assert_eq!(value.encode(), opening);
        }
        if let Ok(value) = Int8Job::decode(&job) {
            if let Ok(open) = value.open() {
                prop_assert!(open.run(&Reference).is_ok());
            }
            prop_assert_eq!(value.encode().unwrap(), job);
        }
    }
}
