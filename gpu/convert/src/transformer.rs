//! Build the graphs of encoders like BERT and of decoders like Llama.

use neura_int8::ops::attention::Heads;

use crate::{
    Config, ConvertError, Graph, Matrix, Op, Value, checkpoint::Checkpoint, config::Architecture,
};

/// A graph being built from a checkpoint.
struct Build<'a> {
    graph: Graph,
    checkpoint: &'a Checkpoint<'a>,
    config: &'a Config,
}

impl Build<'_> {
    fn linear(
        &mut self,
        name: &str,
        x: Value,
        (outputs, inputs): (usize, usize),
    ) -> Result<Value, ConvertError> {
        let weights = self.checkpoint.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let bias = format!("{name}.bias");
        // Llama's own have none; some of its relatives have them on queries, keys and values.
        let bias = match self.config.architecture {
            Architecture::Llama if !self.checkpoint.has(&bias) => vec![0.0; outputs],
            Architecture::Bert | Architecture::Llama => {
                self.checkpoint.tensor(&bias, &[outputs])?
            }
        };
        self.graph.add(name, Op::Linear(weights, bias), &[x])
    }

    fn layer_norm(&mut self, name: &str, x: Value) -> Result<Value, ConvertError> {
        let width = self.config.width;
        let gain = self.checkpoint.tensor(&format!("{name}.weight"), &[width])?;
        let bias = self.checkpoint.tensor(&format!("{name}.bias"), &[width])?;
        self.graph.add(name, Op::LayerNorm(gain, bias, self.config.epsilon), &[x])
    }

    fn rms_norm(&mut self, name: &str, x: Value) -> Result<Value, ConvertError> {
        let gain = self.checkpoint.tensor(&format!("{name}.weight"), &[self.config.width])?;
        self.graph.add(name, Op::RmsNorm(gain, self.config.epsilon), &[x])
    }
}

/// A sentence encoder: post-norm, mean pooling, unit length.
pub(crate) fn bert(
    checkpoint: &Checkpoint<'_>,
    config: &Config,
    max_rows: usize,
) -> Result<Graph, ConvertError> {
    let rows = max_rows.min(config.positions);
    let (graph, tokens) = Graph::new(rows, "tokens", Op::Tokens(config.vocabulary), vec![]);
    let mut build = Build { graph, checkpoint, config };
    let width = config.width;
    let words = checkpoint.matrix("embeddings.word_embeddings.weight", config.vocabulary, width)?;
    let words = build.graph.add("embeddings.word_embeddings", Op::Embed(words), &[tokens])?;
    let name = "embeddings.position_embeddings";
    let mut table = checkpoint.matrix(&format!("{name}.weight"), config.positions, width)?;
    // A single sentence is of type 0 throughout: that embedding is part of each position's.
    let kinds = checkpoint.matrix("embeddings.token_type_embeddings.weight", 2, width)?;
    for row in table.values.chunks_exact_mut(width) {
        row.iter_mut().zip(&kinds.values).for_each(|(x, kind)| *x += kind);
    }
    table.values.truncate(rows * width);
    let positions = build.graph.add(name, Op::Position(table), &[])?;
    let sum = build.graph.add("embeddings.sum", Op::Add, &[words, positions])?;
    let mut x = build.layer_norm("embeddings.LayerNorm", sum)?;
    for layer in 0..config.layers {
        x = build.bert_layer(&format!("encoder.layer.{layer}"), x)?;
    }
    let mean = build.graph.add("mean", Op::MeanRows, &[x])?;
    let unit = build.graph.add("unit", Op::UnitLength, &[mean])?;
    build.graph.output("embedding", unit);
    Ok(build.graph)
}

impl Build<'_> {
    fn bert_layer(&mut self, name: &str, x: Value) -> Result<Value, ConvertError> {
        let (width, hidden, heads) = (self.config.width, self.config.hidden, self.config.heads);
        let square = (width, width);
        let q = self.linear(&format!("{name}.attention.self.query"), x, square)?;
        let k = self.linear(&format!("{name}.attention.self.key"), x, square)?;
        let v = self.linear(&format!("{name}.attention.self.value"), x, square)?;
        let heads = Heads { heads, kv_heads: heads, causal: false };
        let mix = Op::Attention(heads, 1.0 / (self.config.head as f32).sqrt());
        let mixed = self.graph.add(&format!("{name}.mix"), mix, &[q, k, v])?;
        let out = self.linear(&format!("{name}.attention.output.dense"), mixed, square)?;
        let sum = self.graph.add(&format!("{name}.attention.sum"), Op::Add, &[x, out])?;
        let x = self.layer_norm(&format!("{name}.attention.output.LayerNorm"), sum)?;
        let wide = self.linear(&format!("{name}.intermediate.dense"), x, (hidden, width))?;
        let function = Op::Apply(self.config.activation.clone());
        let wide = self.graph.add(&format!("{name}.activation"), function, &[wide])?;
        let out = self.linear(&format!("{name}.output.dense"), wide, (width, hidden))?;
        let sum = self.graph.add(&format!("{name}.sum"), Op::Add, &[x, out])?;
        self.layer_norm(&format!("{name}.output.LayerNorm"), sum)
    }

    fn llama_layer(
        &mut self,
        name: &str,
        x: Value,
        (cos, sin): (&Matrix, &Matrix),
    ) -> Result<Value, ConvertError> {
        let config = self.config;
        let (width, hidden) = (config.width, config.hidden);
        let (queries, keys) = (config.heads * config.head, config.kv_heads * config.head);
        let normed = self.rms_norm(&format!("{name}.input_layernorm"), x)?;
        let mut turned = |part: &str, outputs: usize, heads: usize| {
            let linear = format!("{name}.self_attn.{part}_proj");
            let y = self.linear(&linear, normed, (outputs, width))?;
            let rope = Op::Rope(heads, cos.clone(), sin.clone());
            self.graph.add(&format!("{name}.self_attn.{part}_rope"), rope, &[y])
        };
        let q = turned("q", queries, config.heads)?;
        let k = turned("k", keys, config.kv_heads)?;
        let v = self.linear(&format!("{name}.self_attn.v_proj"), normed, (keys, width))?;
        let heads = Heads { heads: config.heads, kv_heads: config.kv_heads, causal: true };
        let mix = Op::Attention(heads, 1.0 / (self.config.head as f32).sqrt());
        let mixed = self.graph.add(&format!("{name}.mix"), mix, &[q, k, v])?;
        let out = self.linear(&format!("{name}.self_attn.o_proj"), mixed, (width, queries))?;
        let x = self.graph.add(&format!("{name}.attention.sum"), Op::Add, &[x, out])?;
        let normed = self.rms_norm(&format!("{name}.post_attention_layernorm"), x)?;
        let gate = self.linear(&format!("{name}.mlp.gate_proj"), normed, (hidden, width))?;
        let gate = self.graph.add(
            &format!("{name}.gate"),
            Op::Apply(config.activation.clone()),
            &[gate],
        )?;
        let up = self.linear(&format!("{name}.mlp.up_proj"), normed, (hidden, width))?;
        let gated = self.graph.add(&format!("{name}.gated"), Op::Mul, &[gate, up])?;
        let out = self.linear(&format!("{name}.mlp.down_proj"), gated, (width, hidden))?;
        self.graph.add(&format!("{name}.sum"), Op::Add, &[x, out])
    }
}

/// A decoder: pre-norm, rotary positions, grouped heads, gated activation; draws the next token.
pub(crate) fn llama(
    checkpoint: &Checkpoint<'_>,
    config: &Config,
    max_rows: usize,
) -> Result<Graph, ConvertError> {
    let rows = max_rows.min(config.positions);
    let (graph, tokens) = Graph::new(rows, "tokens", Op::Tokens(config.vocabulary), vec![]);
    let mut build = Build { graph, checkpoint, config };
    let words = checkpoint.matrix("embed_tokens.weight", config.vocabulary, config.width)?;
    let head = match config.tied || !checkpoint.has("lm_head.weight") {
        true => words.clone(),
        false => checkpoint.matrix("lm_head.weight", config.vocabulary, config.width)?,
    };
    let mut x = build.graph.add("embed_tokens", Op::Embed(words), &[tokens])?;
    let (cos, sin) = turns(rows, config.head / 2, config.rope_base);
    for layer in 0..config.layers {
        x = build.llama_layer(&format!("layers.{layer}"), x, (&cos, &sin))?;
    }
    let normed = build.rms_norm("norm", x)?;
    let bias = vec![0.0; config.vocabulary];
    let logits = build.graph.add("lm_head", Op::Linear(head, bias), &[normed])?;
    let next = build.graph.add("next", Op::Sample, &[logits])?;
    build.graph.output("next", next);
    build.graph.output("logits", logits);
    Ok(build.graph)
}

/// Cosines and sines of rotary positions.
fn turns(rows: usize, half: usize, base: f64) -> (Matrix, Matrix) {
    let angle = |at: usize| {
        let (row, pair) = (at / half, at % half);
        row as f64 / base.powf(pair as f64 / half as f64)
    };
    let table = |of: fn(f64) -> f64| {
        Matrix::new(half, (0..rows * half).map(|at| of(angle(at)) as f32).collect())
    };
    (table(f64::cos), table(f64::sin))
}
