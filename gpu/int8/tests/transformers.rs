//! A sentence encoder and a decoder, built as a converter builds them, at toy sizes.

use neura_int8::{
    Builder, DType, Data, Generation, Manifest, Model, ModelError, ParamId, Params, Prompt,
    Recorder, Reference, Requant, Sampling, Scale, Tensor, ValueId, opened_param,
    ops::{
        Cells,
        attention::{Heads, Mix, Scores},
        elementwise::{Add, Mul, Requantise},
        embed::{Embed, Position},
        linear::Linear,
        lookup::Lookup,
        norm::{Gain, L2Norm, LayerNorm, RmsNorm},
        reduce::{Argmax, MeanRows},
        rope::Rope,
        sample::Sample,
        softmax::Softmax,
    },
};

const VOCABULARY: usize = 23;
const WIDTH: usize = 16;
const ROWS: usize = 24;

/// A builder, and numbers without pattern for its weights.
struct Net {
    builder: Builder,
    state: u64,
    params: usize,
}

impl Net {
    fn new() -> Self {
        Net { builder: Builder::new(ROWS), state: 7, params: 0 }
    }

    fn value(&mut self, least: i32, greatest: i32) -> i32 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let range = i64::from(greatest - least) + 1;
        least + ((self.state >> 33) as i64 % range) as i32
    }

    fn random(&mut self, dtype: DType, dims: &[usize], least: i32, greatest: i32) -> ParamId {
        let values: Vec<i32> =
            (0..dims.iter().product()).map(|_| self.value(least, greatest)).collect();
        self.param(dims, Data::collect(dtype, values))
    }

    fn param(&mut self, dims: &[usize], data: Data) -> ParamId {
        self.params += 1;
        let tensor = Tensor::new(dims.to_vec(), data).unwrap();
        self.builder.param(&format!("p{}", self.params), tensor)
    }

    fn node(&mut self, op: impl Into<neura_int8::Op>, inputs: &[ValueId]) -> ValueId {
        self.builder.node(op, inputs).unwrap()
    }

    /// A linear layer of `outputs` outputs; weights of a standard deviation of about 70.
    fn linear(&mut self, x: ValueId, outputs: usize, finish: Option<Requant>) -> ValueId {
        let inputs = self.builder.value_type(x).unwrap().dims[0];
        let weights = self.random(DType::I8, &[outputs, inputs], -127, 127);
        let bias = Some(self.random(DType::I32, &[outputs], -2_000, 2_000));
        self.node(Linear { weights, bias, finish }, &[x])
    }

    fn gain(&mut self, dtype: DType) -> Gain {
        let gain = self.random(DType::I32, &[WIDTH], 200, 400);
        let bias = Some(self.random(DType::I32, &[WIDTH], -60, 60));
        let (low, high) = dtype.symmetric();
        Gain { gain, bias, gain_bits: 3, dtype, low, high }
    }

    fn attention(&mut self, (q, k, v): (ValueId, ValueId, ValueId), heads: Heads) -> ValueId {
        let scores = self.node(Scores { heads }, &[q, k]);
        let scale = Scale::new(0x5555_5555, 24).unwrap();
        let shares = self.node(Softmax { scale, causal: heads.causal }, &[scores]);
        let finish = Some(to(DType::I8, 46));
        self.node(Mix { heads, finish }, &[shares, v])
    }
}

/// By `2^(30 - shift)`.
fn to(dtype: DType, shift: u8) -> Requant {
    Requant::new(Scale::new(1 << 30, shift).unwrap(), dtype)
}

/// As MiniLM: post-norm, GELU, mean pooling, unit length.
fn encoder() -> Model {
    let mut net = Net::new();
    let tokens = net.builder.input("tokens", DType::I32, &[], (0, VOCABULARY as i32 - 1));
    let table = net.random(DType::I16, &[VOCABULARY, WIDTH], -900, 900);
    let words = net.node(Embed { table }, &[tokens]);
    let table = net.random(DType::I16, &[ROWS, WIDTH], -200, 200);
    let positions = net.node(Position { table }, &[]);
    let sum = Add::new(Scale::ONE, Scale::ONE, DType::I32);
    let x = net.node(sum.clone(), &[words, positions]);
    let gain = net.gain(DType::I8);
    let mut x = net.node(LayerNorm { fraction: 4, epsilon: 1, gain }, &[x]);
    for _ in 0..2 {
        let [q, k, v] = [0; 3].map(|_| net.linear(x, WIDTH, Some(to(DType::I8, 38))));
        let heads = Heads { heads: 4, kv_heads: 4, causal: false };
        let mixed = net.attention((q, k, v), heads);
        let out = net.linear(mixed, WIDTH, Some(to(DType::I32, 34)));
        let wide = net.node(Requantise { finish: to(DType::I32, 26) }, &[x]);
        let residual = net.node(sum.clone(), &[wide, out]);
        let gain = net.gain(DType::I8);
        x = net.node(LayerNorm { fraction: 4, epsilon: 1, gain }, &[residual]);
        let hidden = net.linear(x, 2 * WIDTH, Some(to(DType::I16, 34)));
        let gelu = (-32_768..32_768).map(|x| (f64::from(x) / 256.0, x));
        let gelu = gelu.map(|(x, _)| (x / (1.0 + (-1.702 * x).exp()) * 12.0).round());
        let gelu: Vec<i32> = gelu.map(|y| y.clamp(-127.0, 127.0) as i32).collect();
        let table = net.param(&[65_536], Data::collect(DType::I8, gelu));
        let hidden = net.node(Lookup { table }, &[hidden]);
        let out = net.linear(hidden, WIDTH, Some(to(DType::I32, 34)));
        let wide = net.node(Requantise { finish: to(DType::I32, 26) }, &[x]);
        let residual = net.node(sum.clone(), &[wide, out]);
        let gain = net.gain(DType::I8);
        x = net.node(LayerNorm { fraction: 4, epsilon: 1, gain }, &[residual]);
    }
    let mean = net.node(MeanRows { fraction: 8 }, &[x]);
    let unit = net.node(L2Norm, &[mean]);
    net.builder.output("embedding", unit);
    net.builder.build().unwrap()
}

/// As Llama: pre-norm, rotary positions, grouped heads, gated SiLU.
fn decoder(greedy: bool) -> Model {
    let mut net = Net::new();
    let tokens = net.builder.input("tokens", DType::I32, &[], (0, VOCABULARY as i32 - 1));
    let table = net.random(DType::I16, &[VOCABULARY, WIDTH], -900, 900);
    let mut x = net.node(Embed { table }, &[tokens]);
    let angles = (0..ROWS * 4).map(|at| (at / 4) as f64 / 10_f64.powi((at % 4) as i32));
    let q15 = |x: f64| (x * 32_767.0).round() as i32;
    let cos: Vec<i32> = angles.clone().map(|angle| q15(angle.cos())).collect();
    let sin: Vec<i32> = angles.map(|angle| q15(angle.sin())).collect();
    let cos = net.param(&[ROWS, 4], Data::collect(DType::I16, cos));
    let sin = net.param(&[ROWS, 4], Data::collect(DType::I16, sin));
    let silu = (-128..128).map(|x| f64::from(x) / 16.0).map(|x| x / (1.0 + (-x).exp()) * 16.0);
    let silu = Data::collect(DType::I8, silu.map(|y| y.round() as i32).collect::<Vec<_>>());
    let silu = net.param(&[256], silu);
    for _ in 0..2 {
        let gain = net.gain(DType::I8);
        let normed = net.node(RmsNorm { fraction: 2, epsilon: 1, gain }, &[x]);
        let q = net.linear(normed, WIDTH, Some(to(DType::I8, 38)));
        let k = net.linear(normed, WIDTH / 2, Some(to(DType::I8, 38)));
        let v = net.linear(normed, WIDTH / 2, Some(to(DType::I8, 38)));
        let q = net.node(Rope { heads: 2, cos, sin }, &[q]);
        let k = net.node(Rope { heads: 1, cos, sin }, &[k]);
        let heads = Heads { heads: 2, kv_heads: 1, causal: true };
        let mixed = net.attention((q, k, v), heads);
        let out = net.linear(mixed, WIDTH, Some(to(DType::I32, 34)));
        x = net.node(Add::new(Scale::ONE, Scale::ONE, DType::I32), &[x, out]);
        let gain = net.gain(DType::I8);
        let normed = net.node(RmsNorm { fraction: 2, epsilon: 1, gain }, &[x]);
        let gate = net.linear(normed, 2 * WIDTH, Some(to(DType::I8, 38)));
        let gate = net.node(Lookup { table: silu }, &[gate]);
        let up = net.linear(normed, 2 * WIDTH, Some(to(DType::I8, 38)));
        let gated = net.node(Mul { finish: to(DType::I8, 35) }, &[gate, up]);
        let out = net.linear(gated, WIDTH, Some(to(DType::I32, 34)));
        x = net.node(Add::new(Scale::ONE, Scale::ONE, DType::I32), &[x, out]);
    }
    let gain = net.gain(DType::I8);
    let normed = net.node(RmsNorm { fraction: 2, epsilon: 1, gain }, &[x]);
    let logits = net.linear(normed, VOCABULARY, None);
    let next = if greedy {
        net.node(Argmax, &[logits])
    } else {
        net.node(Sample { scale: Scale::new(1 << 30, 29).unwrap() }, &[logits])
    };
    net.builder.output("next", next);
    net.builder.output("logits", logits);
    net.builder.build().unwrap()
}

fn prompt(seed: u8, temperature: u32) -> Prompt {
    let sampling = Sampling { seed: [seed; 32], temperature };
    Prompt { tokens: vec![3, 1, 4, 1, 5], max_tokens: 15, stop: vec![], sampling }
}

#[test]
fn embeddings_are_of_unit_length_and_depend_on_every_token_and_its_place() {
    let model = encoder();
    let embed = |tokens: &[i32]| {
        let found = model.run(&[Tensor::list(tokens.to_vec()).unwrap()]).unwrap();
        assert_eq!(found[0].dims(), [WIDTH]);
        found[0].data().widened().into_owned()
    };
    let first = embed(&[1, 2, 3, 4]);
    let square: f64 = first.iter().map(|x| (f64::from(*x) / 32_768.0).powi(2)).sum();
    assert!((square - 1.0).abs() < 0.01, "{square}");
    for other in [&[1, 2, 3, 5][..], &[2, 1, 3, 4], &[1, 2, 3]] {
        assert_ne!(embed(other), first);
    }
    assert!(matches!(model.check_generates(), Err(ModelError::Generate { .. })));
}

#[test]
fn a_generation_computes_the_cells_of_a_run_over_all_its_tokens() {
    for (greedy, temperature) in [(true, 0), (false, 0), (false, 1 << 16), (false, 3 << 16)] {
        let model = decoder(greedy);
        let prompt = prompt(9, temperature);
        let made = model.generate(&Reference, prompt.clone()).unwrap();
        assert_eq!(made.len(), prompt.max_tokens);
        let tokens = [&prompt.tokens[..], &made[..made.len() - 1]].concat();
        let inputs = [Tensor::list(tokens.clone()).unwrap()];
        let whole = model.run_with(&Reference, &inputs, prompt.sampling).unwrap();
        let forced = &whole[0].data().i32s()[prompt.tokens.len() - 1..];
        assert_eq!(forced, made, "temperature {temperature}");
        // Every row's logits, whatever comes after it.
        let logits = whole[1].data().i32s();
        for rows in 1..tokens.len() {
            let inputs = [Tensor::list(tokens[..rows].to_vec()).unwrap()];
            let part = model.run_with(&Reference, &inputs, prompt.sampling).unwrap();
            assert_eq!(part[1].data().i32s(), &logits[..rows * VOCABULARY], "{rows} rows");
        }
    }
}

#[test]
fn the_seed_decides_and_no_temperature_means_the_greatest_logit() {
    let (sampling, greedy) = (decoder(false), decoder(true));
    let generate = |model: &Model, seed, temperature| {
        model.generate(&Reference, prompt(seed, temperature)).unwrap()
    };
    assert_eq!(generate(&sampling, 1, 2 << 16), generate(&sampling, 1, 2 << 16));
    assert_ne!(generate(&sampling, 1, 2 << 16), generate(&sampling, 2, 2 << 16));
    assert_eq!(generate(&sampling, 1, 0), generate(&greedy, 2, 0));
}

#[test]
fn a_generation_ends_at_a_stop_token_and_at_the_models_last_row() {
    let model = decoder(true);
    let whole = model.generate(&Reference, prompt(0, 0)).unwrap();
    let stop = whole[whole.len() / 2];
    let at = whole.iter().position(|token| *token == stop).unwrap();
    let stopped = Prompt { stop: vec![stop], ..prompt(0, 0) };
    assert_eq!(model.generate(&Reference, stopped).unwrap(), &whole[..=at]);
    let endless = Prompt { max_tokens: 1_000, ..prompt(0, 0) };
    assert_eq!(model.generate(&Reference, endless).unwrap().len(), ROWS - 5 + 1);
    let long = Prompt { tokens: vec![1; ROWS + 1], ..prompt(0, 0) };
    assert!(Generation::new(&model, long).is_err());
    let unknown = Prompt { tokens: vec![VOCABULARY as i32], ..prompt(0, 0) };
    assert!(matches!(Generation::new(&model, unknown), Err(ModelError::Input { .. })));
}

/// What a verifier has: openings of cells of a trace, and of parameters.
struct Opened<'a> {
    manifest: &'a Manifest,
    trace: &'a neura_int8::Trace,
    params: &'a Params,
    node: usize,
}

impl Cells for Opened<'_> {
    fn input(&mut self, operand: usize, index: usize) -> Result<i32, ModelError> {
        let value = self.manifest.nodes()[self.node].inputs[operand];
        let opening = self.trace.open(value, index).unwrap();
        let opened = opening.check(self.manifest, &self.trace.run(), &self.trace.root())?;
        opened.get(index).ok_or(ModelError::Opening)
    }

    fn param(&mut self, param: ParamId, index: usize) -> Result<i32, ModelError> {
        let specs = self.manifest.params();
        let leaf = self.params.open(specs, param, index).unwrap();
        opened_param(self.manifest.root(), specs, (param, index), &leaf)
    }

    fn sampling(&self) -> Sampling {
        self.trace.run().sampling
    }
}

#[test]
fn a_cell_of_every_node_is_recomputed_from_openings_alone() {
    let model = decoder(false);
    let inputs = [Tensor::list(vec![3, 1, 4]).unwrap()];
    let sampling = Sampling { seed: [4; 32], temperature: 1 << 16 };
    let trace = model.trace(&Reference, &inputs, sampling).unwrap();
    let manifest = Manifest::decode(&model.manifest().encode()).unwrap();
    for node in 0..manifest.nodes().len() {
        let committed = trace.value(manifest.made_by(node)).unwrap();
        let index = committed.len() - 1;
        let mut opened =
            Opened { manifest: &manifest, trace: &trace, params: model.params(), node };
        let mut recorder = Recorder::new(&mut opened);
        let cell = manifest.recompute_cell(3, (node, index), &mut recorder);
        assert_eq!(cell.ok(), committed.get(index), "node {node}");
    }
}

#[test]
fn a_trace_commits_to_model_inputs_and_seed() {
    let model = decoder(false);
    let root = |tokens: &[i32], seed| {
        let inputs = [Tensor::list(tokens.to_vec()).unwrap()];
        let sampling = Sampling { seed: [seed; 32], temperature: 0 };
        model.trace(&Reference, &inputs, sampling).unwrap().root()
    };
    assert_eq!(root(&[1, 2], 0), root(&[1, 2], 0));
    assert_ne!(root(&[1, 2], 0), root(&[1, 3], 0));
    assert_ne!(root(&[1, 2], 0), root(&[1, 2], 1));
}
