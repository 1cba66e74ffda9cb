//! Say what the integers of a converted model mean.

use serde::{Deserialize, Serialize};

/// What one input or output means: `value = integer * unit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What one step is; 1 for tokens and classes.
    pub unit: f64,
}

/// What the integers of a model mean. Kept beside it as JSON: the model itself needs no floats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The model's id, in hexadecimal.
    pub model: String,
    /// Its inputs.
    pub inputs: Vec<Port>,
    /// Its outputs.
    pub outputs: Vec<Port>,
}
