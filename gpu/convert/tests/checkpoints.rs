//! Encoders and decoders of random weights: read, converted, and close to what they were.

use neura_convert::{
    Config, ConvertError, Graph, Options, Sample, calibrate, compare, quantise, read_checkpoint,
    read_samples,
};
use neura_int8::{Prompt, Reference, Sampling};

const VOCABULARY: usize = 40;
const WIDTH: usize = 32;
const HIDDEN: usize = 48;
const BERT: &str = r#"{"model_type":"bert","vocab_size":40,"hidden_size":32,"num_hidden_layers":2,
    "num_attention_heads":4,"intermediate_size":48,"max_position_embeddings":24,"hidden_act":"gelu"}"#;
const LLAMA: &str = r#"{"model_type":"llama","vocab_size":40,"hidden_size":32,"num_hidden_layers":2,
    "num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":48,
    "max_position_embeddings":24,"rms_norm_eps":1e-5}"#;

/// Numbers without pattern.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// About normal, of deviation 1.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..12).map(|_| self.bits() as f64 / 2_f64.powi(31)).sum();
        (sum - 6.0) as f32
    }

    fn tokens(&mut self, count: usize) -> Sample {
        Sample::Tokens((0..count).map(|_| (self.bits() % VOCABULARY as u64) as i32).collect())
    }
}

/// A safetensors file being made.
#[derive(Default)]
struct File {
    header: serde_json::Map<String, serde_json::Value>,
    values: Vec<u8>,
}

impl File {
    fn tensor(&mut self, name: &str, shape: &[usize], mut value: impl FnMut() -> f32) {
        let start = self.values.len();
        (0..shape.iter().product()).for_each(|_| self.values.extend(value().to_le_bytes()));
        let offsets = [start, self.values.len()];
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": offsets });
        self.header.insert(name.into(), entry);
    }

    fn bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &self.values].concat()
    }
}

fn bert() -> File {
    let (mut file, mut random) = (File::default(), Random(1));
    let embeddings = [("word", VOCABULARY), ("position", 24), ("token_type", 2)];
    for (kind, count) in embeddings {
        let name = format!("embeddings.{kind}_embeddings.weight");
        file.tensor(&name, &[count, WIDTH], || random.normal());
    }
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..2 {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        norms.extend([name("attention.output.LayerNorm"), name("output.LayerNorm")]);
        for (part, outputs, inputs) in [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", HIDDEN, WIDTH),
            ("output.dense", WIDTH, HIDDEN),
        ] {
            let scale = 1.0 / (inputs as f32).sqrt();
            let part = name(part);
            file.tensor(&format!("{part}.weight"), &[outputs, inputs], || random.normal() * scale);
            file.tensor(&format!("{part}.bias"), &[outputs], || random.normal() * 0.1);
        }
    }
    for norm in norms {
        file.tensor(&format!("{norm}.weight"), &[WIDTH], || 1.0 + 0.2 * random.normal());
        file.tensor(&format!("{norm}.bias"), &[WIDTH], || 0.2 * random.normal());
    }
    file
}

fn llama() -> File {
    let (mut file, mut random) = (File::default(), Random(2));
    let mut matrix = |name: &str, outputs: usize, inputs: usize| {
        let scale = 1.0 / (inputs as f32).sqrt();
        file.tensor(&format!("{name}.weight"), &[outputs, inputs], || random.normal() * scale);
    };
    matrix("model.embed_tokens", VOCABULARY, WIDTH);
    matrix("lm_head", VOCABULARY, WIDTH);
    for layer in 0..2 {
        let mut part = |part: &str, outputs, inputs| {
            matrix(&format!("model.layers.{layer}.{part}"), outputs, inputs);
        };
        part("self_attn.q_proj", WIDTH, WIDTH);
        part("self_attn.k_proj", WIDTH / 2, WIDTH);
        part("self_attn.v_proj", WIDTH / 2, WIDTH);
        part("self_attn.o_proj", WIDTH, WIDTH);
        part("mlp.gate_proj", HIDDEN, WIDTH);
        part("mlp.up_proj", HIDDEN, WIDTH);
        part("mlp.down_proj", WIDTH, HIDDEN);
    }
    file.tensor("model.norm.weight", &[WIDTH], || 1.0);
    for layer in 0..2 {
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            file.tensor(&format!("model.layers.{layer}.{norm}.weight"), &[WIDTH], || 1.0);
        }
    }
    file
}

fn read(file: &File, config: &str) -> Result<Graph, ConvertError> {
    read_checkpoint(&file.bytes(), &Config::read(config.as_bytes())?, 24)
}

fn samples(seed: u64, count: usize) -> Vec<Sample> {
    let mut random = Random(seed);
    (0..count).map(|at| random.tokens(3 + at % 18)).collect()
}

#[test]
fn an_encoder_embeds_as_its_float_original_does() {
    let graph = read(&bert(), BERT).unwrap();
    let calibration = calibrate(&graph, &samples(3, 40)).unwrap();
    for fine_words in [false, true] {
        let made = quantise(&graph, &calibration, Options { fine_words, ..Options::default() });
        let made = made.unwrap();
        let report = compare(&graph, &made.model, &made.card, &samples(4, 40), |inputs| {
            made.model.run(inputs)
        })
        .unwrap();
        let embedding = &report.outputs[0];
        assert!(embedding.cosine_mean.unwrap() > 0.99, "{embedding:?}");
        assert!(embedding.cosine_min.unwrap() > 0.97, "{embedding:?}");
    }
}

#[test]
fn a_decoder_gives_the_logits_of_its_float_original_and_generates() {
    let graph = read(&llama(), LLAMA).unwrap();
    let calibration = calibrate(&graph, &samples(5, 40)).unwrap();
    let made = quantise(&graph, &calibration, Options::default()).unwrap();
    let report =
        compare(&graph, &made.model, &made.card, &samples(6, 40), |inputs| made.model.run(inputs))
            .unwrap();
    let [next, logits] = &report.outputs[..] else { panic!("two outputs") };
    assert!(logits.cosine_mean.unwrap() > 0.99, "{logits:?}");
    assert!(next.top1 > 0.85, "{next:?}");
    let sampling = Sampling { seed: [1; 32], temperature: 1 << 15 };
    let prompt = Prompt { tokens: vec![1, 2, 3], max_tokens: 12, stop: vec![], sampling };
    let tokens = made.model.generate(&Reference, prompt).unwrap();
    assert_eq!(tokens.len(), 12);
}

/// Qwen's decoders are Llama's with biases on queries, keys and values.
#[test]
fn biases_that_a_decoder_has_are_taken() {
    const NAME: &str = "model.layers.1.self_attn.q_proj.bias";
    let with = |length: usize, bias: f32| {
        let mut file = llama();
        file.tensor(NAME, &[length], || bias);
        read(&file, LLAMA)
    };
    let id = |graph: Graph| {
        let calibration = calibrate(&graph, &samples(5, 10)).unwrap();
        quantise(&graph, &calibration, Options::default()).unwrap().model.id()
    };
    let without = id(read(&llama(), LLAMA).unwrap());
    assert_eq!(id(with(WIDTH, 0.0).unwrap()), without);
    assert_ne!(id(with(WIDTH, 0.5).unwrap()), without);
    assert!(matches!(with(WIDTH - 1, 0.5), Err(ConvertError::Shape { .. })));
}

#[test]
fn the_same_float_model_and_data_give_the_same_integer_model() {
    let graph = read(&bert(), BERT).unwrap();
    let make = || {
        let calibration = calibrate(&graph, &samples(3, 20)).unwrap();
        quantise(&graph, &calibration, Options::default()).unwrap().model.id()
    };
    assert_eq!(make(), make());
}

#[test]
fn what_a_checkpoint_lacks_is_named() {
    let mut file = bert();
    file.header.remove("encoder.layer.1.output.dense.bias");
    let error = read(&file, BERT).unwrap_err().to_string();
    assert!(error.contains("encoder.layer.1.output.dense.bias"), "{error}");
    let wide = BERT.replace("\"intermediate_size\":48", "\"intermediate_size\":64");
    let error = read(&bert(), &wide).unwrap_err();
    assert!(matches!(error, ConvertError::Shape { .. }), "{error}");
    let mut file = bert();
    file.values[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(read(&file, BERT), Err(ConvertError::NotFinite { .. })));
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    for (part, other) in [
        ("\"bert\"", "\"mamba\""),
        ("\"gelu\"", "\"xielu\""),
        ("\"hidden_size\":32", "\"hidden_size\":0"),
        ("\"hidden_size\":32", "\"hidden_size\":99999999999"),
        ("\"num_attention_heads\":4", "\"num_attention_heads\":0"),
        ("\"num_hidden_layers\":2", "\"num_hidden_layers\":100000"),
        ("\"vocab_size\":40,", ""),
    ] {
        let config = BERT.replace(part, other);
        assert!(Config::read(config.as_bytes()).is_err(), "{config}");
    }
}

#[test]
fn damaged_checkpoints_are_refused_or_read_and_never_panic() {
    let (good, config) = (bert().bytes(), Config::read(BERT.as_bytes()).unwrap());
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for at in (0..header).step_by(7) {
        assert!(read_checkpoint(&good[..at], &config, 24).is_err());
        let mut bytes = good.clone();
        bytes[at] ^= 0x15;
        let _ = read_checkpoint(&bytes, &config, 24);
    }
}

#[test]
fn lists_of_tokens_are_read_and_what_is_none_is_refused() {
    let read = read_samples(b"[1, 2]\n\n[3]\n").unwrap();
    assert_eq!(read, [Sample::Tokens(vec![1, 2]), Sample::Tokens(vec![3])]);
    let error = read_samples(b"[1]\nhello\n").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
    let graph = self::read(&bert(), BERT).unwrap();
    let error = calibrate(&graph, &[Sample::Tokens(vec![1; 25])]).unwrap_err().to_string();
    assert!(error.contains("25 rows"), "{error}");
}
