use super::*;

/// A field of a protocol buffer that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A field of a protocol buffer that holds a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// A tensor of floats by name, with two dimensions.
fn value_info(name: &str, shape: [u8; 2]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|side| field(1, &number(1, *side))).collect();
    let tensor = [number(1, 1), field(2, &dims)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// `y = x op x`, with `x` a 1 × 2 tensor of floats.
fn model(op: &str) -> Vec<u8> {
    let node = [field(1, b"x"), field(1, b"x"), field(2, b"y"), field(4, op.as_bytes())].concat();
    let graph = [
        field(1, &node),
        field(2, b"graph"),
        field(11, &value_info("x", [1, 2])),
        field(12, &value_info("y", [1, 2])),
    ]
    .concat();
    [number(1, 8), field(8, &number(2, 13)), field(7, &graph)].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Array { kind: "<f4", shape: vec![1, values.len()], values: &bytes }.write()
}

fn job(model: Vec<u8>, inputs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let inputs = inputs.iter().map(|(name, bytes)| output(name, bytes.clone())).collect();
    OnnxJob { model, inputs }.encode().unwrap()
}

fn refused(payload: &[u8]) -> String {
    check(payload).unwrap_err().detail
}

#[test]
fn a_model_gives_its_outputs_by_name() {
    let payload = job(model("Add"), &[("x", floats(&[1.5, -2.0]))]);
    check(&payload).unwrap();
    let result = run(&payload).unwrap();
    assert_eq!(result.fault, None);
    assert_eq!(result.outputs, [output("y", floats(&[3.0, -4.0]))]);
}

#[test]
fn what_is_no_model_is_refused() {
    let x = ("x", floats(&[1.0, 2.0]));
    assert!(refused(b"garbage").contains("encoding"));
    assert!(refused(&job(b"garbage".to_vec(), std::slice::from_ref(&x))).contains("not valid"));
    let good = model("Add");
    for length in (0..good.len()).step_by(3) {
        // A cut model may still be one, of less; it must not break the worker.
        let _ = check(&job(good[..length].to_vec(), std::slice::from_ref(&x)));
    }
}

#[test]
fn inputs_must_be_those_of_the_model() {
    let x = || floats(&[1.0, 2.0]);
    assert!(refused(&job(model("Add"), &[])).contains("wants an input 'x'"));
    assert!(refused(&job(model("Add"), &[("x", x()), ("z", x())])).contains("wants 1 inputs"));
    assert!(refused(&job(model("Add"), &[("x", b"PK\x03\x04".to_vec())])).contains(".npy"));
}

#[test]
fn a_model_that_cannot_run_is_its_own_fault() {
    let of = |payload: Vec<u8>| run(&payload).unwrap().fault.map(|fault| fault.code);
    let unknown = job(model("NoSuchOperator"), &[("x", floats(&[1.0, 2.0]))]);
    assert_eq!(of(unknown), Some(FaultCode::Trapped));
    let wide = job(model("Add"), &[("x", floats(&[1.0, 2.0, 3.0]))]);
    assert_ne!(run(&wide).map(|result| result.fault).ok(), None);
}
