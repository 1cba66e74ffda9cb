//! Read a `config.json` of an architecture that is known.

use serde::Deserialize;

use crate::{ConvertError, Function, error};

/// Longest `config.json`: those of public models have some kilobytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Greatest width, vocabulary or number of positions; the integer format has the same bound.
const MAX_LENGTH: usize = 1 << 18;
/// Most layers: deeper models have more nodes than the integer format takes.
const MAX_LAYERS: usize = 256;

/// An architecture that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Bert,
    Llama,
}

/// What a `config.json` says of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub(crate) architecture: Architecture,
    pub(crate) vocabulary: usize,
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head: usize,
    pub(crate) hidden: usize,
    pub(crate) positions: usize,
    pub(crate) epsilon: f32,
    pub(crate) activation: Function,
    pub(crate) rope_base: f64,
    pub(crate) tied: bool,
}

#[derive(Deserialize)]
struct Raw {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    max_position_embeddings: usize,
    layer_norm_eps: Option<f32>,
    rms_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    position_embedding_type: Option<String>,
    tie_word_embeddings: Option<bool>,
}

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`ConvertError::Format`] or [`ConvertError::Unknown`] with what is missing or not known.
    pub fn read(text: &[u8]) -> Result<Self, ConvertError> {
        let raw: Raw = serde_json::from_slice(text).map_err(|e| error::format("config.json", e))?;
        let unknown = |what, found: &str, known, advice| ConvertError::Unknown {
            what,
            found: format!("'{found}'"),
            known,
            advice,
        };
        let architecture = match &raw.model_type[..] {
            "bert" => Architecture::Bert,
            "llama" => Architecture::Llama,
            other => {
                let advice =
                    "Export the model to ONNX if it is made of the operators that are taken there";
                return Err(unknown("architecture", other, "bert, llama", advice));
            }
        };
        let default = if architecture == Architecture::Bert { "gelu" } else { "silu" };
        let activation = match raw.hidden_act.as_deref().unwrap_or(default) {
            "gelu" => Function::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Function::GeluTanh,
            "silu" | "swish" => Function::Silu,
            "relu" => Function::Relu,
            other => {
                let known = "gelu, gelu_new, gelu_pytorch_tanh, silu, relu";
                return Err(unknown("activation", other, known, "Use one of these"));
            }
        };
        if let Some(kind) = raw.position_embedding_type.filter(|kind| kind != "absolute") {
            let advice = "Relative positions have no integer counterpart yet";
            return Err(unknown("kind of positions", &kind, "absolute", advice));
        }
        if raw.rope_scaling.is_some_and(|scaling| !scaling.is_null()) {
            let advice = "Remove it from config.json to convert for the positions of training";
            return Err(unknown("rotary position", "rope_scaling", "plain ones", advice));
        }
        let epsilon = match architecture {
            Architecture::Bert => raw.layer_norm_eps.unwrap_or(1e-12),
            Architecture::Llama => raw.rms_norm_eps.unwrap_or(1e-6),
        };
        Config {
            architecture,
            vocabulary: raw.vocab_size,
            width: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            kv_heads: raw.num_key_value_heads.unwrap_or(raw.num_attention_heads),
            head: raw.head_dim.unwrap_or(raw.hidden_size / raw.num_attention_heads.max(1)),
            hidden: raw.intermediate_size,
            positions: raw.max_position_embeddings,
            epsilon,
            activation,
            rope_base: raw.rope_theta.unwrap_or(10_000.0),
            tied: raw.tie_word_embeddings.unwrap_or(false),
        }
        .checked()
    }

    fn checked(self) -> Result<Self, ConvertError> {
        let wrong = |reason: String| Err(error::format("config.json", reason));
        for (what, value, most) in [
            ("vocab_size", self.vocabulary, MAX_LENGTH),
            ("hidden_size", self.width, MAX_LENGTH),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, self.width),
            ("num_key_value_heads", self.kv_heads, self.heads),
            ("head_dim", self.head, self.width),
            ("intermediate_size", self.hidden, MAX_LENGTH),
            ("max_position_embeddings", self.positions, MAX_LENGTH),
        ] {
            if value == 0 || value > most {
                return wrong(format!("{what} is {value}, from 1 to {most} are possible"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) || !self.head.is_multiple_of(2) {
            return wrong("the numbers of heads do not divide, or a head's width is odd".into());
        }
        if !(self.epsilon.is_finite() && self.epsilon >= 0.0 && self.rope_base.is_finite()) {
            return wrong("an epsilon or rope_theta is not a finite positive number".into());
        }
        Ok(self)
    }
}
