use std::path::Path;

use neura_int8::{
    Builder, DType, Data, Int8Job, Int8Result, Reference, Request, Tensor, encode_requests,
    ops::linear::Linear,
};

use super::*;

fn digits() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits")
}

#[test]
fn the_digits_job_is_read_whole() {
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let labels = job.labels.as_ref().unwrap();
    assert_eq!(labels.len(), job.reference.as_ref().unwrap().len());
    let open = Int8Job::decode(&job.payload).unwrap().open().unwrap();
    let result = open.run(&Reference).unwrap();
    assert_eq!(result.answers()[0][0].dims(), [labels.len()]);
    let Report::Answers(report) = report("int8", Some(&job), None, &result.encode()).unwrap()
    else {
        panic!("a network answers");
    };
    let output = &report.outputs[0];
    assert_eq!((output.kind, &output.shape), (OutputKind::Classes, &vec![labels.len()]));
    let shown = output.to_string();
    assert!(
        shown.contains(&format!("classes, {}: ", labels.len()))
            && shown.ends_with(" …")
            && shown.len() < 80,
        "{shown}"
    );
    assert!(report.shortened);
    assert_eq!((report.answers, report.equals_reference), (1, Some(true)));
    assert!(report.accuracy.unwrap().percent >= 95.0);
}

#[test]
fn a_job_file_with_a_mistake_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read_to_string(digits().join("job.toml")).unwrap();
    for (from, to, reason) in [
        (
            "executor = \"int8\"",
            "executor = \"docker\"",
            "unknown variant `docker`, expected one of `int8`",
        ),
        ("max_price = \"5 ANKR\"", "max_price = \"many\"", "'many' is not an amount"),
        ("duration_blocks = 600", "duration_blocks = 0", "at least 1"),
        ("duration_blocks = 600", "duration = 600", "unknown field"),
        ("model = \"model.nint8\"", "model = \"missing.nint8\"", "cannot read"),
        ("model = \"model.nint8\"", "model = \"job.toml\"", "job.toml"),
    ] {
        assert!(good.contains(from), "{from}");
        let path = dir.path().join("job.toml");
        std::fs::write(&path, good.replace(from, to)).unwrap();
        for name in
            ["model.nint8", "images-heldout.bin", "labels-heldout.txt", "reference-predictions.txt"]
        {
            std::fs::copy(digits().join(name), dir.path().join(name)).unwrap();
        }
        let error = Job::load(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_job_file_is_of_the_task_that_has_its_executor_and_payload() {
    let job = Job::load(&digits().join("job.toml")).unwrap();
    assert!(job.is_of("int8", Some(&job.payload)) && job.is_of("int8", None));
    assert!(!job.is_of("wasm", None) && !job.is_of("int8", Some(b"another")));
}

#[test]
fn a_result_of_another_length_is_refused() {
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let short = Int8Result::new(vec![vec![Tensor::list(vec![0; 20]).unwrap()]]).unwrap();
    assert!(report("int8", Some(&job), None, &short.encode()).is_err());
    assert!(report("int8", None, None, b"garbage").is_err());
}

#[test]
fn numbers_that_are_no_classes_are_not_called_so() {
    let scores = Tensor::new(vec![2, 2], Data::I32(vec![7, -7, 1, 2])).unwrap();
    let result = Int8Result::new(vec![vec![scores]]).unwrap().encode();
    // Without the model nothing but type and shape is known.
    let Report::Answers(found) = report("int8", None, None, &result).unwrap() else { panic!() };
    assert_eq!((found.predictions.len(), found.shortened), (0, false));
    assert_eq!(found.outputs[0].to_string(), "answer 0: i32, 2 x 2: 7 -7 1 2");

    let mut builder = Builder::new(4);
    let x = builder.input("x", DType::I8, &[2], (-9, 9));
    let weights = Tensor::new(vec![2, 2], Data::I8(vec![1; 4])).unwrap();
    let weights = builder.param("weights", weights);
    let scores = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    builder.output("scores", scores);
    let rows = Tensor::new(vec![1, 2], Data::I8(vec![3, 4])).unwrap();
    let requests = encode_requests(&[Request::run(vec![rows])]).unwrap();
    let payload = Int8Job { model: builder.build().unwrap().encode(), requests };
    let plain = payload.open().unwrap().run(&Reference).unwrap().encode();
    let payload = payload.encode().unwrap();
    let found = report("int8", None, Some(&payload), &plain).unwrap();
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["predictions"], serde_json::json!([]));
    assert_eq!(
        (&json["outputs"][0]["name"], &json["outputs"][0]["kind"]),
        (&"scores".into(), &"numbers".into())
    );
    assert_eq!(json["outputs"][0]["first"], serde_json::json!([7, 7]));
}

#[test]
fn a_network_that_was_not_done_in_time_tells_so() {
    use neura_types::job::{FaultCode, JobFault, JobFormat, JobResult};

    let fault = JobFault { code: FaultCode::TimedOut, detail: "not done by block 9".into() };
    let plain = JobResult { fault: Some(fault.clone()), outputs: Vec::new() }.encode().unwrap();
    let job = Job::load(&digits().join("job.toml")).unwrap();
    let found = report("int8", Some(&job), None, &plain).unwrap();
    assert_eq!((found.fault(), found.is_good()), (Some(&fault), false));
}

/// One file where a table belongs was an error of the whole `[job]` table, in words of the parser.
#[test]
fn inputs_that_are_no_table_are_refused_where_they_stand_with_what_to_write() {
    let text = |inputs: &str| {
        format!(
            "[job]\nname = \"n\"\nexecutor = \"onnx\"\nmodel = \"m.onnx\"\n{inputs}\n\
             [terms]\nduration_blocks = 9\nmax_price = \"5 ANKR\"\n"
        )
    };
    for good in ["inputs = { x = \"x.npy\" }", "[job.inputs]\nx = \"x.npy\""] {
        check_text(&text(good)).unwrap();
    }
    let error = check_text(&text("inputs = \"x.npy\"")).unwrap_err().to_string();
    assert!(error.contains("line 5, column 10"), "{error}");
    assert!(error.contains("{ x = \"x.npy\" } for an input x"), "{error}");
}

/// `y = x + x` of a 1 × 2 tensor of floats, in ONNX.
const DOUBLE: &[u8] = b"\x08\x08B\x02\x10\x0d:A\x0a\x0e\x0a\x01x\x0a\x01x\x12\x01y\x22\x03Add\x12\x05graphZ\x13\x0a\x01x\x12\x0e\x0a\x0c\x08\x01\x12\x08\x0a\x02\x08\x01\x0a\x02\x08\x02b\x13\x0a\x01y\x12\x0e\x0a\x0c\x08\x01\x12\x08\x0a\x02\x08\x01\x0a\x02\x08\x02";

/// So many zeros of type float32, as one row of a `.npy` file.
fn row(length: usize) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {length}), }}\n");
    header.insert_str(header.len() - 1, &" ".repeat(118 - header.len()));
    [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &vec![0; 4 * length]].concat()
}

/// They were told by the provider alone, after the payload was stored and coins were locked.
#[test]
fn a_job_of_a_model_is_held_against_its_inputs_before_it_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("m.onnx", DOUBLE);
    write("garbage.onnx", b"garbage");
    write("x.npy", &row(2));
    write("wide.npy", &row(3));
    write("x.txt", b"0 0");
    let load = |model: &str, inputs: &str| {
        let text = format!(
            "[job]\nname = \"n\"\nexecutor = \"onnx\"\nmodel = \"{model}\"\n{inputs}\n\
             [terms]\nduration_blocks = 9\nmax_price = \"5 ANKR\"\n"
        );
        write("job.toml", text.as_bytes());
        Job::load(&dir.path().join("job.toml"))
    };
    load("m.onnx", "inputs = { x = \"x.npy\" }").unwrap();
    for (model, inputs, reason) in [
        ("garbage.onnx", "inputs = { x = \"x.npy\" }", "the model is not valid"),
        ("m.onnx", "inputs = { y = \"x.npy\" }", "wants an input 'x', the job has: y"),
        ("m.onnx", "inputs = { x = \"x.npy\", y = \"x.npy\" }", "wants 1 inputs, the job has 2"),
        ("m.onnx", "inputs = { x = \"x.txt\" }", "not a .npy file"),
        ("m.onnx", "inputs = { x = \"wide.npy\" }", "wants the shape [1, 2], the job gives [1, 3]"),
        ("m.onnx", "", "such as inputs = { x = \"x.npy\" }"),
    ] {
        let error = load(model, inputs).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_job_that_can_do_nothing_is_refused_with_what_to_change() {
    let terms = "[terms]\nduration_blocks = 9\nmax_price = \"5 ANKR\"\n";
    let refused = |job: &str| {
        check_text(&format!("[job]\nname = \"n\"\n{job}\n{terms}")).unwrap_err().to_string()
    };
    let kernel = |fuel: u32, output: bool, workgroups: &str| {
        format!(
            "executor = \"wgsl\"\nshader = \"s.wgsl\"\nfuel = {fuel}\n\
             buffers = [{{ bytes = 4, output = {output} }}]\n\
             passes = [{{ entry = \"main\", workgroups = {workgroups} }}]"
        )
    };
    check_text(&format!("[job]\nname = \"n\"\n{}\n{terms}", kernel(1, true, "[1, 1, 1]"))).unwrap();
    assert!(refused(&kernel(0, true, "[1, 1, 1]")).contains("fuel is 0"));
    assert!(refused(&kernel(1, false, "[1, 1, 1]")).contains("give a buffer output = true"));
    assert!(refused(&kernel(1, true, "[0, 1, 1]")).contains("workgroups = [0, 1, 1]"));
    assert!(refused("executor = \"wasm\"\nmodule = \"m.wasm\"\nfuel = 0").contains("fuel is 0"));
    assert!(
        refused("executor = \"int8\"\nmodel = \"m.nint8\"").contains("inputs = \"requests.bin\"")
    );
}

#[test]
fn files_beyond_what_an_executor_takes_are_refused_by_name_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("job.toml");
    let good = std::fs::read_to_string(digits().join("job.toml")).unwrap();
    std::fs::write(&path, good.replace("images-heldout.bin", "large.bin")).unwrap();
    for name in ["model.nint8", "labels-heldout.txt", "reference-predictions.txt"] {
        std::fs::copy(digits().join(name), dir.path().join(name)).unwrap();
    }
    let large = std::fs::File::create(dir.path().join("large.bin")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    let error = Job::load(&path).unwrap_err().to_string();
    assert!(error.contains("large.bin: the inputs have 67108865 bytes, the limit is"), "{error}");
    large.set_len((256 << 20) + 1).unwrap();
    let error = Job::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("it is longer than") && error.matches("large.bin").count() == 1,
        "{error}"
    );
}

#[test]
fn outputs_are_shown_and_saved_under_harmless_names() {
    use neura_types::job::{FaultCode, JobFault, JobFormat, JobResult, NamedBytes};

    let output = |name: &str, bytes: &[u8]| NamedBytes { name: name.into(), bytes: bytes.into() };
    let fault = JobFault { code: FaultCode::ExitCode, detail: "it ended with code 3".into() };
    let outputs =
        vec![output("stdout", b"hello"), output("../../etc/x", &[0, 1]), output("..", b"")];
    let plain = JobResult { fault: Some(fault), outputs }.encode().unwrap();
    let shown = report("wasm", None, None, &plain).unwrap();
    assert!(!shown.is_good());
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json["fault"]["code"], "exit_code");
    assert_eq!(json["outputs"][0]["text"], "hello");
    assert_eq!(json["outputs"][1]["text"], serde_json::Value::Null);

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    save("wasm", &plain, &out).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["_.._etc_x", "output", "stdout"]);
    assert_eq!(std::fs::read(out.join("stdout")).unwrap(), b"hello");
}
