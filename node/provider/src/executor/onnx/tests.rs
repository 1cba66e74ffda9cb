use super::*;

const BOUNDS: Bounds = Bounds { memory_bytes: 1 << 30, max_result: 1 << 20, timeout_ms: 60_000 };

/// A field of a protocol buffer that holds bytes, fewer than 2^14.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let length = [(length & 0x7f) as u8 | 0x80, u8::try_from(length >> 7).unwrap()];
    [&[number << 3 | 2][..], &length, bytes].concat()
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
    let result = run(&payload, &BOUNDS).unwrap();
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
fn inputs_must_have_the_type_and_shape_that_the_model_declares() {
    let of = |x: Vec<u8>| refused(&job(model("Add"), &[("x", x)]));
    let wide = of(floats(&[1.0, 2.0, 3.0]));
    assert!(wide.contains("'x': the model wants the shape [1, 2], the job gives [1, 3]"), "{wide}");
    let flat = of(Array { kind: "<f4", shape: vec![2], values: &[0; 8] }.write());
    assert!(flat.contains("the job gives [2]"), "{flat}");
    let whole = of(Array { kind: "<i8", shape: vec![1, 2], values: &[0; 16] }.write());
    assert!(whole.contains("values of type F32, the job gives I64"), "{whole}");
}

#[test]
fn a_model_that_cannot_run_is_its_own_fault() {
    let of = |payload: Vec<u8>| run(&payload, &BOUNDS).unwrap().fault.map(|fault| fault.code);
    let unknown = job(model("NoSuchOperator"), &[("x", floats(&[1.0, 2.0]))]);
    assert_eq!(of(unknown), Some(FaultCode::Trapped));
}

/// A list of integers in a model.
fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let length = number(1, u8::try_from(values.len()).unwrap());
    field(5, &[length, number(2, 7), field(8, name.as_bytes()), field(9, &raw)].concat())
}

/// `y` of a tensor `x` of two floats, by an operator that takes lengths too.
fn shaped(op: &str, operands: &[&str], lengths: &[i64]) -> Vec<u8> {
    let operands: Vec<u8> = operands.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    let node = [operands, field(2, b"y"), field(4, op.as_bytes())].concat();
    let float = field(2, &field(1, &number(1, 1)));
    let graph = [
        field(1, &node),
        field(2, b"graph"),
        integers("lengths", lengths),
        field(11, &value_info("x", [1, 2])),
        field(12, &[field(1, b"y"), float].concat()),
    ]
    .concat();
    [number(1, 8), field(8, &number(2, 13)), field(7, &graph)].concat()
}

/// Of a length the engine keeps 32 bits: such a tensor came back empty, and was paid.
#[test]
fn a_tensor_that_no_memory_holds_is_a_fault_for_want_of_memory() {
    let of = |op: &str, operands: &[&str], lengths: &[i64]| {
        let payload = job(shaped(op, operands, lengths), &[("x", floats(&[1.5, -2.0]))]);
        run(&payload, &BOUNDS).unwrap()
    };
    for (op, operands, lengths) in [
        ("Tile", &["x", "lengths"][..], [1, 1 << 50]),
        ("Tile", &["x", "lengths"], [1 << 32, 1 << 32]),
        ("Tile", &["x", "lengths"], [1, 1 << 31]),
        ("Tile", &["x", "lengths"], [1, 1 << 30]),
        ("Tile", &["x", "lengths"], [1, i64::MAX]),
        ("Expand", &["x", "lengths"], [1 << 50, 2]),
        ("Expand", &["x", "lengths"], [1 << 29, 2]),
        ("Reshape", &["x", "lengths"], [1 << 32, 2]),
    ] {
        let result = of(op, operands, &lengths);
        assert!(result.outputs.is_empty());
        let fault = result.fault.expect(op);
        assert_eq!(fault.code, FaultCode::OutOfMemory, "{op} {lengths:?}: {fault}");
    }
    assert_eq!(of("Tile", &["x", "lengths"], &[1, -3]).fault.unwrap().code, FaultCode::Trapped);
    let good = of("Tile", &["x", "lengths"], &[1, 2]);
    assert_eq!(good.outputs, [output("y", floats(&[1.5, -2.0, 1.5, -2.0]))]);
}

/// `y` is a range from `from` to `to` in steps of `step`, all of them inputs.
fn range() -> Vec<u8> {
    let operands = ["from", "to", "step"];
    let named: Vec<u8> = operands.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    let node = [named, field(2, b"y"), field(4, b"Range")].concat();
    let float = field(2, &field(1, &number(1, 1)));
    let port = |name: &str| [field(1, name.as_bytes()), float.clone()].concat();
    let inputs: Vec<u8> = operands.iter().flat_map(|name| field(11, &port(name))).collect();
    let graph = [field(1, &node), field(2, b"graph"), inputs, field(12, &port("y"))].concat();
    [number(1, 8), field(8, &number(2, 13)), field(7, &graph)].concat()
}

/// 2^62 numbers of four bytes are 2^64 bytes, which the engine counts as none.
#[test]
fn a_range_that_only_its_inputs_make_too_long_is_a_fault_for_want_of_memory() {
    let of = |to: f32, step: f32| {
        let scalar = |value: f32| {
            Array { kind: "<f4", shape: Vec::new(), values: &value.to_le_bytes() }.write()
        };
        let inputs = [("from", scalar(0.0)), ("to", scalar(to)), ("step", scalar(step))];
        run(&job(range(), &inputs), &BOUNDS).unwrap()
    };
    let three: Vec<u8> = [0.0f32, 1.0, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let three = Array { kind: "<f4", shape: vec![3], values: &three }.write();
    assert_eq!(of(3.0, 1.0).outputs, [output("y", three)]);
    for (to, step) in [(2f32.powi(62), 1.0), (1e30, 1.0), (1.0, 0.0), (f32::NAN, 1.0), (1.0, 1e-30)]
    {
        let result = of(to, step);
        assert!(result.outputs.is_empty());
        let fault = result.fault.unwrap();
        assert_eq!(fault.code, FaultCode::OutOfMemory, "{to} by {step}: {fault}");
    }
}

#[test]
fn an_output_whose_data_are_not_those_of_its_shape_is_known() {
    assert_eq!(shapes::bytes(&[2, 3], 4), Some(24));
    assert_eq!(shapes::bytes(&[], 8), Some(8));
    assert_eq!(shapes::bytes(&[0, 1 << 40, 1 << 40], 4), Some(0));
    assert_eq!(shapes::bytes(&[1 << 62], 4), None, "not 0 bytes");
    assert_eq!(shapes::bytes(&[1 << 33, 1 << 31], 1), None, "not 0 bytes");
}
