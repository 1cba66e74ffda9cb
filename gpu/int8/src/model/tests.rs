use super::*;
use crate::{
    Builder, DType, Scale,
    ops::{
        attention::{Heads, Mix, Scores},
        linear::Linear,
        norm::L2Norm,
        softmax::Softmax,
    },
};

fn linear(depth: usize, weight: i8, bias: i32) -> Result<Model, ModelError> {
    let mut builder = Builder::new(1);
    let x = builder.input("x", DType::I8, &[depth], (-127, 127));
    let weights = Tensor::new(vec![1, depth], Data::I8(vec![weight; depth])).unwrap();
    let weights = builder.param("weights", weights);
    let bias = builder.param("bias", Tensor::list(vec![bias]).unwrap());
    let y = builder.node(Linear { weights, bias: Some(bias), finish: None }, &[x])?;
    builder.output("y", y);
    builder.build()
}

fn overflow(model: Result<Model, ModelError>) -> (usize, u64) {
    match model {
        Err(ModelError::Node { node, problem: NodeProblem::Overflow { reach, .. }, .. }) => {
            (node, reach)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_greatest_accumulator_that_fits_is_accepted_and_one_more_is_refused() {
    let rest = i32::MAX - 127 * 127;
    assert!(linear(1, 127, rest).is_ok());
    assert!(linear(1, -127, -rest).is_ok());
    assert_eq!(overflow(linear(1, 127, rest + 1)), (0, 1 << 31));
    assert_eq!(overflow(linear(1, 0, i32::MIN)), (0, 1 << 31));
}

#[test]
fn the_deepest_products_of_the_least_weight_are_exact() {
    let deepest = (i32::MAX / (127 * 128)) as usize;
    let model = linear(deepest, i8::MIN, 7).unwrap();
    let input = |x| Tensor::new(vec![1, deepest], Data::I8(vec![x; deepest])).unwrap();
    let found = model.run(&[input(-127)]).unwrap();
    assert_eq!(found[0].data(), &Data::I32(vec![deepest as i32 * 127 * 128 + 7]));
    assert_eq!(overflow(linear(deepest + 1, i8::MIN, 7)).0, 0);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let model = linear(2, 1, 0).unwrap();
    let run = |dims: &[usize], data: Data| model.run(&[Tensor::new(dims.to_vec(), data).unwrap()]);
    assert!(matches!(run(&[1, 3], Data::I8(vec![0; 3])), Err(ModelError::Input { .. })));
    assert!(matches!(run(&[1, 2], Data::I16(vec![0; 2])), Err(ModelError::Input { .. })));
    assert!(matches!(run(&[2, 2], Data::I8(vec![0; 4])), Err(ModelError::Bound { max: 1, .. })));
    let least = run(&[1, 2], Data::I8(vec![0, -128]));
    assert!(matches!(
        least,
        Err(ModelError::Input { problem: NodeProblem::Bound { value: -128, .. }, .. })
    ));
    assert!(matches!(model.run(&[]), Err(ModelError::Shape { found: 0, .. })));
}

/// Attention over as many rows as `rows`.
fn attention(rows: usize, with_softmax: bool) -> Result<Model, ModelError> {
    let mut builder = Builder::new(rows);
    let x = builder.input("x", DType::I8, &[4], (-127, 127));
    let p = builder.input("p", DType::U16, &[2], (0, 65_535));
    let heads = Heads { heads: 2, kv_heads: 1, causal: true };
    let k = builder.input("k", DType::I8, &[2], (-127, 127));
    let scores = builder.node(Scores { heads }, &[x, k])?;
    let scale = Scale::new(1 << 30, 30).unwrap();
    let shares = builder.node(Softmax { scale, causal: true }, &[scores])?;
    let shares = if with_softmax {
        shares
    } else {
        use crate::{Requant, ops::elementwise::Requantise};
        builder.node(Requantise { finish: Requant::new(Scale::ONE, DType::U16) }, &[shares])?
    };
    let mixed = builder.node(Mix { heads, finish: None }, &[shares, k])?;
    builder.output("mixed", mixed);
    builder.output("p", p);
    builder.build()
}

#[test]
fn the_sum_of_softmax_terms_is_known_to_the_proof() {
    assert!(attention(65_536, true).is_ok());
    // Without that knowledge, every term could be the greatest.
    assert!(attention(258, false).is_ok());
    assert_eq!(overflow(attention(259, false)).0, 3);
}

#[test]
fn a_node_that_cannot_be_typed_is_refused_with_what_is_wrong() {
    let mut builder = Builder::new(1);
    let x = builder.input("x", DType::I8, &[4], (-127, 127));
    let weights = Tensor::new(vec![2, 3], Data::I8(vec![0; 6])).unwrap();
    let weights = builder.param("weights", weights);
    let refused = builder.node(Linear { weights, bias: None, finish: None }, &[x]);
    let problem = NodeProblem::Param { param: 0, what: "weights" };
    assert_eq!(refused, Err(ModelError::Node { node: 0, op: "linear", problem }));
    assert!(matches!(
        builder.node(L2Norm, &[ValueId(9)]),
        Err(ModelError::Value { value: 9, known: 1, .. })
    ));
}

#[test]
fn padding_and_sizes_of_parameters_are_checked_before_anything_is_allocated() {
    let bytes = linear(1, 1, 0).unwrap().encode();
    let mut padded = bytes.clone();
    *padded.last_mut().unwrap() = 1;
    assert_eq!(
        Model::decode(&padded),
        Err(ModelError::Reserved { what: "the blob of parameters" })
    );
    for cut in 0..bytes.len() {
        assert!(Model::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Model::decode(&longer), Err(ModelError::Trailing { what: WHAT, extra: 1 }));
}
