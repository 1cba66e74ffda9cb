//! `neura model` on files made here: convert, inspect, run, pack, and what it says when something is wrong.

use std::{fs, path::Path};

use serde_json::json;

use crate::harness::{Cli, DevnetProcess, neura, output};

const CONFIG: &str = r#"{"model_type":"llama","vocab_size":8,"hidden_size":4,"num_hidden_layers":1,
    "num_attention_heads":2,"num_key_value_heads":1,"intermediate_size":4,"max_position_embeddings":16}"#;

/// A decoder of one layer as a folder with `model.safetensors` and `config.json`, and data.
fn decoder(folder: &Path) {
    let shapes: [(&str, &[usize]); 12] = [
        ("model.embed_tokens.weight", &[8, 4]),
        ("lm_head.weight", &[8, 4]),
        ("model.norm.weight", &[4]),
        ("model.layers.0.input_layernorm.weight", &[4]),
        ("model.layers.0.post_attention_layernorm.weight", &[4]),
        ("model.layers.0.self_attn.q_proj.weight", &[4, 4]),
        ("model.layers.0.self_attn.k_proj.weight", &[2, 4]),
        ("model.layers.0.self_attn.v_proj.weight", &[2, 4]),
        ("model.layers.0.self_attn.o_proj.weight", &[4, 4]),
        ("model.layers.0.mlp.gate_proj.weight", &[4, 4]),
        ("model.layers.0.mlp.up_proj.weight", &[4, 4]),
        ("model.layers.0.mlp.down_proj.weight", &[4, 4]),
    ];
    let (mut header, mut values) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in shapes {
        let start = values.len();
        for at in 0..shape.iter().product::<usize>() {
            let value = ((start + at * 37) % 101) as f32 / 50.0 - 1.0;
            values.extend(value.to_le_bytes());
        }
        let offsets = [start, values.len()];
        header.insert(
            name.into(),
            json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets }),
        );
    }
    let header = serde_json::to_vec(&header).unwrap();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &values].concat();
    fs::write(folder.join("model.safetensors"), file).unwrap();
    fs::write(folder.join("config.json"), CONFIG).unwrap();
    fs::write(folder.join("data.jsonl"), "[1, 2, 3, 4, 5]\n[7, 6, 0]\n[3]\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_float_model_is_converted_inspected_run_and_packed() {
    let cli = Cli::new("http://127.0.0.1:9");
    let folder = cli.home.path();
    decoder(folder);
    let path = |name: &str| folder.join(name).display().to_string();
    let (input, data, model) = (folder.display().to_string(), path("data.jsonl"), path("m.nint8"));
    let made = cli.json(&["model", "convert", &input, "--out", &model, "--calibrate", &data]).await;
    assert_eq!(made["calibration_samples"], 3, "{made}");
    assert!(made["report"]["outputs"][1]["cosine_mean"].as_f64().unwrap() > 0.9, "{made}");

    let shown = cli.json(&["model", "inspect", &model]).await;
    assert_eq!((&shown["id"], &shown["generates"]), (&made["model"], &true.into()));
    assert_eq!(shown["inputs"][0]["greatest"], 7);

    let asked = ["--prompt", "1,2,3", "--max-tokens", "4", "--seed", "5", "--temperature", "0.8"];
    let run = [&["model", "run", &model][..], &asked].concat();
    let found = cli.json(&run).await;
    assert_eq!(found["tokens"].as_array().unwrap().len(), 4);
    assert_eq!(cli.json(&run).await, found, "the same seed gives the same tokens");
    let by_reference = cli.json(&[&run[..], &["--reference"]].concat()).await;
    assert_eq!(by_reference, found, "the native kernels give the bits of the reference");
    let lines = cli.json(&["model", "run", &model, "--input", &data]).await;
    let lengths: Vec<usize> =
        lines.as_array().unwrap().iter().map(|line| line.as_array().unwrap().len()).collect();
    assert_eq!(lengths, [5, 3, 1], "a token for each row of each input");

    let packed = path("requests.bin");
    let pack = [&["model", "pack", &model, "--out", &packed][..], &asked].concat();
    assert_eq!(cli.json(&pack).await["requests"], 1);
    let job = neura_int8::Int8Job {
        model: fs::read(&model).unwrap(),
        requests: fs::read(&packed).unwrap(),
    };
    let result = job.open().unwrap().run(&neura_int8::Reference).unwrap();
    fs::write(folder.join("answers.bin"), result.encode()).unwrap();
    let answers = cli.json(&["model", "answers", &model, &path("answers.bin")]).await;
    assert_eq!(answers[0], found["tokens"], "a job gives what a run gives");
}

/// What a user does with a language model of their own: convert it, ask for tokens, have a stranger generate them.
#[tokio::test(flavor = "multi_thread")]
async fn a_language_model_converted_here_generates_the_same_tokens_through_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = DevnetProcess::start(folder.path()).await;
    let (cli, key) = (devnet.cli(), devnet.key_file("alice"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    decoder(folder.path());
    let (input, model) = (folder.path().display().to_string(), path("m.nint8"));
    let data = path("data.jsonl");
    cli.json(&["model", "convert", &input, "--out", &model, "--calibrate", &data]).await;
    let asked = ["--prompt", "1,2,3", "--max-tokens", "9", "--seed", "5", "--temperature", "0.8"];
    let here = cli.json(&[&["model", "run", &model][..], &asked].concat()).await;
    let prompt = path("prompt.bin");
    cli.json(&[&["model", "pack", &model, "--out", &prompt][..], &asked].concat()).await;
    let tinylm = crate::harness::digits().parent().unwrap().join("tinylm/job.toml");
    let job = fs::read_to_string(tinylm).unwrap().replace("tinylm.nint8", "m.nint8");
    fs::write(folder.path().join("job.toml"), job).unwrap();
    let done = cli.json(&["task", "submit", &path("job.toml"), "--key", &key]).await;
    assert_eq!(done["task"]["state"], "settled", "{done}");
    let (id, answers) = (done["task"]["id"].to_string(), path("answers.bin"));
    cli.text(&["task", "result", &id, "--out", &answers, "--key", &key]).await;
    let there = cli.json(&["model", "answers", &model, &answers]).await;
    assert_eq!(there[0], here["tokens"], "the provider's tokens are those of the same run here");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_model_or_data_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    decoder(folder.path());
    let said = async |arguments: &[&str]| {
        let mut command = neura(folder.path());
        command.current_dir(folder.path()).arg("model").args(arguments);
        let output = output(command).await;
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let convert = ["convert", ".", "--out", "m.nint8", "--calibrate"];
    fs::write(folder.path().join("bad.jsonl"), "[1]\n[9]\n").unwrap();
    let text = said(&[&convert[..], &["bad.jsonl"]].concat()).await;
    assert!(text.contains("sample 1") && text.contains("token 9"), "{text}");
    fs::write(folder.path().join("bad.jsonl"), "hello\n").unwrap();
    let text = said(&[&convert[..], &["bad.jsonl"]].concat()).await;
    assert!(text.contains("line 1") && text.contains("list of tokens"), "{text}");
    let text = said(&["inspect", "model.safetensors"]).await;
    assert!(text.contains("neura model convert"), "{text}");
    let config = CONFIG.replace("llama", "mamba");
    fs::write(folder.path().join("config.json"), config).unwrap();
    let text = said(&[&convert[..], &["data.jsonl"]].concat()).await;
    assert!(text.contains("mamba") && text.contains("llama") && text.contains("ONNX"), "{text}");
    fs::write(folder.path().join("net.onnx"), [0xff; 40]).unwrap();
    let onnx = ["convert", "net.onnx", "--out", "m.nint8", "--calibrate", "data.jsonl"];
    assert!(said(&onnx).await.contains("net.onnx"));
}
