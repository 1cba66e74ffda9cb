//! Hold a chain of layers, and its one encoding.

use crate::{
    Activation, Layer, LayerKind, MAX_LAYERS, MAX_MODEL_BYTES, MAX_WIDTH, ModelError, Requant,
    codec::{self, MAGIC_BYTES, Reader, Writer},
    error::bounded,
};

const WHAT: &str = "an int8 model";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8M";
const HEADER_BYTES: usize = 16;
const LAYER_HEADER_BYTES: usize = 8;

const KIND_LINEAR: u8 = 0;
const KIND_RELU: u8 = 1;
const KIND_LOGITS: u8 = 2;

/// An int8 network: hidden layers, then one layer of logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    layers: Vec<Layer>,
}

impl Model {
    /// Makes a model of 1 to [`MAX_LAYERS`] layers whose shapes chain, the last giving logits.
    ///
    /// # Errors
    /// [`ModelError`] if the layers do not chain, logits are not last, or the encoding would be
    /// over [`MAX_MODEL_BYTES`].
    pub fn new(layers: Vec<Layer>) -> Result<Self, ModelError> {
        bounded("the number of layers", layers.len(), 1, MAX_LAYERS)?;
        let last = layers.len().saturating_sub(1);
        let mut given = None;
        for (index, layer) in layers.iter().enumerate() {
            if (layer.kind() == &LayerKind::Logits) != (index == last) {
                return Err(ModelError::Order { layer: index });
            }
            match given.replace(layer.outputs()) {
                Some(outputs) if outputs != layer.inputs() => {
                    let inputs = layer.inputs();
                    return Err(ModelError::Chain { layer: index, inputs, outputs });
                }
                _ => {}
            }
        }
        let model = Model { layers };
        bounded("the size of an encoded model", model.encoded_len(), 0, MAX_MODEL_BYTES)?;
        Ok(model)
    }

    /// The layers, first to last; never empty.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Number of values of an input row.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, Layer::inputs)
    }

    /// Number of logits per row.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    /// Multiply-accumulates per input row: the measure of the work.
    #[must_use]
    pub fn macs_per_row(&self) -> u64 {
        let weights: usize = self.layers.iter().map(|layer| layer.weights().len()).sum();
        u64::try_from(weights).unwrap_or(u64::MAX)
    }

    /// Decodes a model; the inverse of [`Model::encode`], accepting nothing else.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a valid model.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        bounded("the size of an encoded model", bytes.len(), 0, MAX_MODEL_BYTES)?;
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        let count = usize::from(reader.u16()?);
        bounded("the number of layers", count, 1, MAX_LAYERS)?;
        let mut inputs = reader.count()?;
        let mut layers = Vec::with_capacity(count);
        for _ in 0..count {
            let layer = decode_layer(&mut reader, inputs)?;
            inputs = layer.outputs();
            layers.push(layer);
        }
        reader.finish()?;
        Model::new(layers)
    }

    /// The one encoding of this model, at most [`MAX_MODEL_BYTES`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::open(MAGIC, self.encoded_len());
        out.u16(u16::try_from(self.layers.len()).unwrap_or(u16::MAX)); // at most MAX_LAYERS
        out.count(self.inputs());
        for layer in &self.layers {
            encode_layer(&mut out, layer);
        }
        out.finish()
    }

    fn encoded_len(&self) -> usize {
        self.layers.iter().fold(HEADER_BYTES, |total, layer| {
            let per_output = match layer.kind() {
                LayerKind::Hidden { .. } => 9, // bias, multiplier, shift
                LayerKind::Logits => 4,        // bias
            };
            total
                .saturating_add(LAYER_HEADER_BYTES)
                .saturating_add(layer.weights().len())
                .saturating_add(layer.outputs().saturating_mul(per_output))
        })
    }
}

fn decode_layer(reader: &mut Reader<'_>, inputs: usize) -> Result<Layer, ModelError> {
    let outputs = reader.count()?;
    let kind = reader.u8()?;
    reader.reserved(3)?;
    bounded("the input width of a layer", inputs, 1, MAX_WIDTH)?;
    bounded("the output width of a layer", outputs, 1, MAX_WIDTH)?;
    // `items` fails before anything is copied when the bytes are not there.
    let weights = reader.items(outputs, inputs)?;
    let bias = codec::words(reader.items(outputs, 4)?);
    let activation = match kind {
        KIND_LINEAR => Activation::Linear,
        KIND_RELU => Activation::Relu,
        KIND_LOGITS => return Layer::logits(inputs, codec::signed(weights), bias),
        found => return Err(ModelError::Kind { found }),
    };
    let multipliers = reader.items(outputs, 4)?.as_chunks().0;
    let shifts = reader.items(outputs, 1)?;
    let requant = multipliers
        .iter()
        .zip(shifts)
        .map(|(multiplier, shift)| Requant::new(u32::from_le_bytes(*multiplier), *shift))
        .collect::<Result<Vec<_>, _>>()?;
    Layer::hidden(inputs, codec::signed(weights), bias, requant, activation)
}

fn encode_layer(out: &mut Writer, layer: &Layer) {
    let kind = match layer.kind() {
        LayerKind::Hidden { activation: Activation::Linear, .. } => KIND_LINEAR,
        LayerKind::Hidden { activation: Activation::Relu, .. } => KIND_RELU,
        LayerKind::Logits => KIND_LOGITS,
    };
    out.count(layer.outputs());
    out.bytes(&[kind, 0, 0, 0]);
    out.signed(layer.weights());
    out.words(layer.bias());
    if let LayerKind::Hidden { requant, .. } = layer.kind() {
        for factor in requant {
            out.bytes(&factor.multiplier().to_le_bytes());
        }
        for factor in requant {
            out.bytes(&[factor.shift()]);
        }
    }
}

#[cfg(test)]
mod tests;
