//! Jobs of the executors that run what owners wrote, friendly and hostile, through a whole network of processes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{DevnetProcess, digits};

fn example(name: &str) -> String {
    digits().parent().unwrap().join(name).join("job.toml").display().to_string()
}

/// Writes a job file with what it names beside it.
fn job(folder: &Path, name: &str, table: &str, files: &[(&str, &[u8])]) -> String {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (file, bytes) in files {
        std::fs::write(folder.join(file), bytes).unwrap();
    }
    let path: PathBuf = folder.join("job.toml");
    let text = format!(
        "[job]\nname = \"{name}\"\n{table}\n\n[terms]\nduration_blocks = 600\nmax_price = \"5 ANKR\"\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn program(folder: &Path, name: &str, body: &str) -> String {
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (func (export "_start") {body}))"#
    );
    let table = "executor = \"wasm\"\nmodule = \"p.wat\"\nfuel = 1000000\nmemory_mib = 1";
    job(folder, name, table, &[("p.wat", text.as_bytes())])
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_programs_and_kernels_are_run_and_hostile_ones_end_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = DevnetProcess::start_on(folder.path(), "best").await;
    let (cli, key) = (devnet.cli(), devnet.key_file("alice"));
    let submit = async |job: &str| cli.json(&["task", "submit", job, "--key", &key]).await;

    let lines = submit(&example("lines")).await;
    assert_eq!(lines["report"]["fault"], Value::Null, "{lines}");
    assert_eq!(lines["report"]["outputs"][0]["text"], "34\n");
    assert_eq!(lines["task"]["state"], "settled");

    let collatz = submit(&example("collatz")).await;
    assert_eq!(collatz["task"]["state"], "settled", "{collatz}");
    let (id, out) = (collatz["task"]["id"].to_string(), folder.path().join("collatz"));
    let out_text = out.display().to_string();
    cli.text(&["task", "result", &id, "--out", &out_text, "--key", &key]).await;
    let steps = std::fs::read(out.join("0")).unwrap();
    let steps: Vec<u32> = steps.as_chunks().0.iter().map(|n| u32::from_le_bytes(*n)).collect();
    assert_eq!((steps.len(), &steps[..7]), (65_536, &[0, 1, 7, 2, 5, 8, 16][..]));
    assert_eq!(steps[26], 111);

    for (name, body, code) in [
        ("endless", "(loop $l (br $l))", "out_of_fuel"),
        ("failing", "(call $exit (i32.const 3))", "exit_code"),
        ("trapping", "(drop (i32.load (i32.const -1)))", "trapped"),
    ] {
        let path = program(folder.path(), name, body);
        let output = cli.run(&["task", "submit", &path, "--key", &key, "--json"]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let ended: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&ended["outcome"], &ended["fault"]["code"]), (&"fault".into(), &code.into()));
        assert_eq!(ended["task"]["state"], "submitted", "a fault is not approved by itself");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(" failed: ") && said.contains(code), "{said}");
    }
    // What cannot be run is declined before anybody pays.
    for (name, table, file, bytes) in [
        ("module", "executor = \"wasm\"\nmodule = \"f\"", "f", &b"\0asm\x01\0\0\0"[..]),
        ("model", "executor = \"onnx\"\nmodel = \"f\"\n[job.inputs]", "f", b"garbage"),
    ] {
        let path = job(folder.path(), name, table, &[(file, bytes)]);
        let refusal = cli.refused(&["task", "submit", &path, "--key", &key]).await;
        let told = format!("{}: {}", refusal.code, refusal.message);
        assert!(told.contains("invalid_job"), "{told}");
    }
    let kernel = |name: &str, body: &str, sides: u32| {
        let shader = format!(
            "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
            @compute @workgroup_size(64)
            fn main(@builtin(local_invocation_index) i: u32) {{ {body} }}"
        );
        let table = format!(
            "executor = \"wgsl\"\nshader = \"k.wgsl\"\n[[job.buffers]]\nbytes = 256\noutput = true\n\
             [[job.passes]]\nentry = \"main\"\nworkgroups = [{sides}, {sides}, {sides}]"
        );
        job(folder.path(), name, &table, &[("k.wgsl", shader.as_bytes())])
    };
    for (path, told) in [
        (kernel("apart", "if i == 0u { workgroupBarrier(); }", 1), "line 3 of the shader"),
        (kernel("crowd", "out[i] = i;", 65_535), "workgroups of 18013"),
    ] {
        let refusal = cli.refused(&["task", "submit", &path, "--key", &key]).await;
        assert!(refusal.message.contains(told), "{}: {}", refusal.code, refusal.message);
    }
    // And the provider goes on.
    assert_eq!(submit(&example("lines")).await["task"]["state"], "settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_can_be_offered_and_why_not_the_rest() {
    let cli = crate::harness::Cli::new("http://127.0.0.1:9");
    let of = async |args: &[&str]| {
        let report = cli.json(&[&["provider", "doctor"], args].concat()).await;
        let executors = report["executors"].as_array().unwrap().clone();
        let offered = executors.into_iter().filter(|executor| executor["offered"] == true);
        offered.map(|executor| executor["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(&["--device", "cpu"]).await, ["int8", "onnx", "wasm"]);
    assert_eq!(of(&["--device", "cpu", "--no-sandbox"]).await, ["int8"]);
    assert_eq!(of(&["--device", "cpu", "--no-sandbox", "--executors", "wasm"]).await, ["wasm"]);
    let text = cli.text(&["provider", "doctor", "--device", "cpu"]).await;
    assert!(text.contains("needs a GPU adapter"), "{text}");
    let refusal = cli.refused(&["provider", "doctor", "--executors", "docker"]).await;
    assert!(refusal.message.contains("there are: int8, wgsl, onnx, wasm"), "{}", refusal.message);
}
