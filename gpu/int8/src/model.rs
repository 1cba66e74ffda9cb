//! Hold a whole model, proved not to overflow.

use crate::{
    Data, MAX_CELLS, MAX_MODEL_BYTES, Manifest, ModelError, NodeProblem, Params, Tensor, ValueId,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer},
    error::{bounded, within},
    num,
    ops::{Ranging, Site},
    range::Interval,
};

const WHAT: &str = "an int8 model";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8M";

/// A manifest with its parameters, of which no input can overflow an accumulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    manifest: Manifest,
    params: Params,
    ranges: Vec<Interval>,
}

/// What a run takes of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Multiply-accumulates, or steps of like cost.
    pub macs: u64,
    /// Bytes of all values together; no more than these are held at any time.
    pub value_bytes: u64,
    /// Bytes of the outputs.
    pub output_bytes: u64,
}

impl Cost {
    /// Both, one after the other.
    #[must_use]
    pub fn plus(self, other: Cost) -> Cost {
        Cost {
            macs: self.macs.saturating_add(other.macs),
            value_bytes: self.value_bytes.max(other.value_bytes),
            output_bytes: self.output_bytes.saturating_add(other.output_bytes),
        }
    }
}

impl Model {
    /// Joins a manifest with its parameters: checks their root, and proves by interval analysis
    /// that no accumulator overflows, whatever the inputs within their limits.
    ///
    /// # Errors
    /// [`ModelError::Root`] if they do not belong together, [`ModelError::Node`] with the numbers
    /// of what cannot be proved.
    pub fn new(manifest: Manifest, params: Params) -> Result<Self, ModelError> {
        if params.root() != *manifest.root() {
            return Err(ModelError::Root);
        }
        let ranges = prove(&manifest, &params)?;
        Ok(Model { manifest, params, ranges })
    }

    /// The model without its parameters.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What a value can be.
    #[must_use]
    pub fn range(&self, value: ValueId) -> Option<Interval> {
        self.ranges.get(value.index()).copied()
    }

    /// The model's id: a commitment to all of it.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.manifest.id()
    }

    /// Checks inputs against the model's, in their order, and finds how many rows they have.
    ///
    /// # Errors
    /// [`ModelError::Shape`] for another number of inputs, [`ModelError::Input`] for one of another
    /// type or shape or with a value outside its limits, [`ModelError::Bound`] for too many rows.
    pub fn check_inputs(&self, inputs: &[Tensor]) -> Result<usize, ModelError> {
        let expected = self.manifest.inputs();
        if inputs.len() != expected.len() {
            let (found, expected) = (inputs.len(), expected.len());
            return Err(ModelError::Shape { what: "the list of inputs", found, expected });
        }
        let first = inputs.first().and_then(|tensor| tensor.dims().first());
        let rows = first.copied().unwrap_or(0);
        self.check_rows(rows)?;
        for (input, tensor) in expected.iter().zip(inputs) {
            let refused = |problem| ModelError::Input { name: input.name.clone(), problem };
            let (kind, data) = (input.value_type(), tensor.data());
            if data.dtype() != input.dtype {
                return Err(refused(NodeProblem::Type { operand: 0, found: data.dtype() }));
            }
            if tensor.dims() != kind.axes(rows) {
                let (found, expected) = (tensor.dims().to_vec(), kind.axes(rows));
                return Err(refused(NodeProblem::Dims { what: "its shape", found, expected }));
            }
            let hull = Interval::of(data.widened().iter().copied());
            let (low, high) = (input.low.into(), input.high.into());
            within("its least value", hull.low, low, high).map_err(refused)?;
            within("its greatest value", hull.high, low, high).map_err(refused)?;
        }
        Ok(rows)
    }

    /// Checks that a run may have so many rows.
    pub(crate) fn check_rows(&self, rows: usize) -> Result<(), ModelError> {
        bounded("the number of rows", rows, 1, self.manifest.max_rows())?;
        for kind in self.manifest.types() {
            bounded("the number of cells of a value", kind.cells(rows, rows), 1, MAX_CELLS)?;
        }
        Ok(())
    }

    /// What a run of `rows` rows takes.
    #[must_use]
    pub fn cost(&self, rows: usize) -> Cost {
        let manifest = &self.manifest;
        let bytes = |value: ValueId| {
            manifest.value_type(value).map_or(0, |kind| {
                num::wide(kind.cells(rows, rows)).saturating_mul(num::wide(kind.dtype.bytes()))
            })
        };
        let mut cost = Cost::default();
        for (index, node) in manifest.nodes().iter().enumerate() {
            let value = manifest.made_by(index);
            let Some(output) = manifest.value_type(value) else { continue };
            let inputs = manifest.operand_types(node);
            let site = Site { inputs: &inputs, params: manifest.params(), output, rows };
            cost.macs = cost.macs.saturating_add(node.op.work(&site));
            cost.value_bytes = cost.value_bytes.saturating_add(bytes(value));
        }
        for output in manifest.outputs() {
            cost.output_bytes = cost.output_bytes.saturating_add(bytes(output.value));
        }
        cost
    }

    /// The one encoding: the manifest, then the blob of parameters.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (manifest, blob) = (self.manifest.encode(), self.params.encode());
        let length = HEADER_BYTES.saturating_add(4);
        let length = length.saturating_add(manifest.len()).saturating_add(blob.len());
        let mut out = Writer::open(MAGIC, length);
        out.count(manifest.len());
        out.bytes(&manifest);
        out.bytes(&blob);
        out.finish()
    }

    /// Decodes a model of at most [`MAX_MODEL_BYTES`]; the inverse of [`Model::encode`], accepting
    /// nothing else. Larger models are made of [`Manifest::decode`] and [`Params::decode`].
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of a model that
    /// [`Model::new`] takes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        bounded("the size of an encoded model", bytes.len(), 0, MAX_MODEL_BYTES)?;
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        let length = reader.count()?;
        let manifest = Manifest::decode(reader.take(length)?)?;
        let blob = reader.take(crate::params::blob_bytes(manifest.params()))?;
        let params = Params::decode(manifest.params(), blob)?;
        reader.finish()?;
        Model::new(manifest, params)
    }
}

/// The range of every value, or the node that could overflow.
fn prove(manifest: &Manifest, params: &Params) -> Result<Vec<Interval>, ModelError> {
    let ends = |low: i32, high: i32| Interval::new(low.into(), high.into());
    let mut ranges: Vec<_> =
        manifest.inputs().iter().map(|input| ends(input.low, input.high)).collect();
    for (index, node) in manifest.nodes().iter().enumerate() {
        let Some(output) = manifest.value_type(manifest.made_by(index)) else { continue };
        let inputs = manifest.operand_types(node);
        let site =
            Site { inputs: &inputs, params: manifest.params(), output, rows: manifest.max_rows() };
        let operands: Vec<_> =
            node.inputs.iter().filter_map(|id| ranges.get(id.index()).copied()).collect();
        let ranging = Ranging { site, ranges: &operands, params };
        let (low, high) = output.dtype.limits();
        let range = node.op.operator().range(&ranging).and_then(|range| {
            within("the least value made", range.low, low.into(), high.into())?;
            within("the greatest value made", range.high, low.into(), high.into())?;
            Ok(range)
        });
        let range = range.map_err(|problem| ModelError::Node {
            node: index,
            op: node.op.name(),
            problem,
        })?;
        ranges.push(range);
    }
    Ok(ranges)
}

/// Values as tensors of the model's outputs.
pub(crate) fn output_tensor(
    manifest: &Manifest,
    value: ValueId,
    rows: usize,
    data: Data,
) -> Result<Tensor, ModelError> {
    let axes = manifest.value_type(value).map(|kind| kind.axes(rows)).unwrap_or_default();
    // A tensor has one axis more than a row, and scores of two axes another.
    Tensor::new(axes, data)
}

#[cfg(test)]
mod tests;
