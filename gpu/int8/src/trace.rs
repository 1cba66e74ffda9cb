//! Commit to every cell of a run, and open single ones.

use crate::{
    Data, Kernels, Manifest, Model, ModelError, ParamId, Tensor, ValueId,
    codec::{HEADER_BYTES, MAGIC_BYTES, Reader, Writer},
    error::bounded,
    merkle::{self, LEAF_BYTES, Leaf, MAX_PATH},
    num,
    ops::Cells,
    run::{Cache, Keep},
    sampling::Sampling,
};

/// The domain of the roots over the cells of one value.
pub const CELLS_DOMAIN: &str = "neura:int8:cells:v2";
/// The domain of the root over the values' roots.
pub const VALUES_DOMAIN: &str = "neura:int8:values:v2";
/// The domain of a trace's root.
pub const TRACE_DOMAIN: &str = "neura:int8:trace:v2";

const WHAT: &str = "an opening";
const MAGIC: &[u8; MAGIC_BYTES] = b"NEURAI8O";

/// What a trace is of, beside its inputs, which it commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Rows of the run.
    pub rows: usize,
    /// How tokens were drawn.
    pub sampling: Sampling,
}

/// Every cell of a run, under one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    run: Run,
    values: Vec<Data>,
    roots: Vec<u8>,
    root: [u8; 32],
}

impl Model {
    /// Runs the model and keeps every cell of it.
    ///
    /// # Errors
    /// As [`Model::run_with`].
    pub fn trace(
        &self,
        kernels: &dyn Kernels,
        inputs: &[Tensor],
        sampling: Sampling,
    ) -> Result<Trace, ModelError> {
        sampling.check()?;
        let rows = self.check_inputs(inputs)?;
        let data = inputs.iter().map(|tensor| tensor.data().clone()).collect();
        let values = self.execute(kernels, data, sampling, (&mut Cache::default(), Keep::All))?;
        let values: Vec<Data> = values.into_iter().flatten().collect();
        let run = Run { rows, sampling };
        let roots: Vec<u8> =
            values.iter().flat_map(|value| merkle::root(CELLS_DOMAIN, &value.to_bytes())).collect();
        let root = trace_root(self.manifest(), &run, &merkle::root(VALUES_DOMAIN, &roots));
        Ok(Trace { run, values, roots, root })
    }
}

/// BLAKE3 in key-derivation mode of the model's id, the rows, the seed, the temperature, and the
/// root over the values' roots.
fn trace_root(manifest: &Manifest, run: &Run, values: &[u8; 32]) -> [u8; 32] {
    let mut out = Writer::default();
    out.bytes(&manifest.id());
    out.u64(num::wide(run.rows));
    run.sampling.encode(&mut out);
    out.bytes(values);
    blake3::derive_key(TRACE_DOMAIN, &out.finish())
}

impl Trace {
    /// What the trace is of.
    #[must_use]
    pub fn run(&self) -> Run {
        self.run
    }

    /// The commitment to every cell.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.root
    }

    /// The cells of a value.
    #[must_use]
    pub fn value(&self, value: ValueId) -> Option<&Data> {
        self.values.get(value.index())
    }

    /// The root over the cells of a value: where two traces of the same run differ first.
    #[must_use]
    pub fn value_root(&self, value: ValueId) -> Option<[u8; 32]> {
        self.roots.as_chunks().0.get(value.index()).copied()
    }

    /// The outputs of the run.
    ///
    /// # Errors
    /// [`ModelError::Cell`] if `model` is not the one that was run.
    pub fn outputs(&self, model: &Model) -> Result<Vec<Tensor>, ModelError> {
        model.outputs(self.values.iter().cloned().map(Some).collect(), self.run.rows)
    }

    /// Opens a cell, with those that share its leaf.
    #[must_use]
    pub fn open(&self, value: ValueId, index: usize) -> Option<Opening> {
        let data = self.value(value).filter(|data| index < data.len())?;
        let at = index.saturating_mul(data.dtype().bytes());
        let cells = merkle::open(CELLS_DOMAIN, &data.to_bytes(), at)?;
        let roots = merkle::open(VALUES_DOMAIN, &self.roots, value.index().saturating_mul(32))?;
        Some(Opening { value, index, cells, roots })
    }

    /// The cells that recomputing a node reads.
    #[must_use]
    pub fn cells<'a>(&'a self, model: &'a Model, node: usize) -> TraceCells<'a> {
        TraceCells { trace: self, model, node }
    }
}

/// Reads a node's operands from a trace.
#[derive(Debug)]
pub struct TraceCells<'a> {
    trace: &'a Trace,
    model: &'a Model,
    node: usize,
}

impl Cells for TraceCells<'_> {
    fn input(&mut self, operand: usize, index: usize) -> Result<i32, ModelError> {
        let node = self.model.manifest().nodes().get(self.node);
        let value = node.and_then(|node| node.inputs.get(operand));
        let cell = value.and_then(|value| self.trace.value(*value)?.get(index));
        cell.ok_or(ModelError::Cell { what: "an operand", index })
    }

    fn param(&mut self, param: ParamId, index: usize) -> Result<i32, ModelError> {
        let value = self.model.params().get(param).and_then(|data| data.get(index));
        value.ok_or(ModelError::Cell { what: "a parameter", index })
    }

    fn sampling(&self) -> Sampling {
        self.trace.run.sampling
    }
}

/// One cell of a run, with what leads from it to the trace's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The value.
    pub value: ValueId,
    /// The cell within it.
    pub index: usize,
    /// The leaf of cells that it is in.
    pub cells: Leaf,
    /// The leaf of values' roots that its value's root is in.
    pub roots: Leaf,
}

/// Cells that lead to a root: those from `first` on of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The value.
    pub value: ValueId,
    /// Index of the first cell.
    pub first: usize,
    /// The cells.
    pub cells: Data,
}

impl Opened {
    /// A cell, if it is among those opened.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<i32> {
        index.checked_sub(self.first).and_then(|index| self.cells.get(index))
    }
}

impl Opening {
    /// Checks that the cells lead to `root` of a trace of this model and run.
    ///
    /// # Errors
    /// [`ModelError::Opening`] if they do not.
    pub fn check(
        &self,
        manifest: &Manifest,
        run: &Run,
        root: &[u8; 32],
    ) -> Result<Opened, ModelError> {
        bounded("the number of rows", run.rows, 1, manifest.max_rows())?;
        let kind = manifest.value_type(self.value).ok_or(ModelError::Opening)?;
        let (cells, bytes) = (kind.cells(run.rows, run.rows), num::wide(kind.dtype.bytes()));
        if self.index >= cells {
            return Err(ModelError::Opening);
        }
        let at = num::wide(self.index).saturating_mul(bytes);
        let length = num::wide(cells).saturating_mul(bytes);
        let value_root = merkle::root_of(CELLS_DOMAIN, &self.cells, at, length)?;
        let place = self.value.index().saturating_mul(32);
        let values = num::wide(manifest.types().len()).saturating_mul(32);
        let all = merkle::root_of(VALUES_DOMAIN, &self.roots, num::wide(place), values)?;
        let (_, start) = num::split(place, LEAF_BYTES);
        let stated = self.roots.bytes.get(start..start.saturating_add(32));
        if stated != Some(&value_root[..]) || trace_root(manifest, run, &all) != *root {
            return Err(ModelError::Opening);
        }
        let per_leaf = num::split(LEAF_BYTES, kind.dtype.bytes()).0;
        let (_, within) = num::split(self.index, per_leaf);
        let first = self.index.saturating_sub(within);
        let cells = Data::from_bytes(kind.dtype, &self.cells.bytes);
        Ok(Opened { value: self.value, first, cells })
    }

    /// The one encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::open(MAGIC, HEADER_BYTES);
        out.u32(self.value.0);
        out.u64(num::wide(self.index));
        for leaf in [&self.cells, &self.roots] {
            out.u16(u16::try_from(leaf.bytes.len()).unwrap_or(u16::MAX));
            out.bytes(&leaf.bytes);
            out.u8(u8::try_from(leaf.path.len()).unwrap_or(u8::MAX));
            leaf.path.iter().for_each(|hash| out.bytes(hash));
        }
        out.finish()
    }

    /// Decodes an opening; the inverse of [`Opening::encode`], accepting nothing else.
    ///
    /// # Errors
    /// [`ModelError`] for anything that is not the canonical encoding of an opening.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut reader = Reader::open(WHAT, MAGIC, bytes)?;
        let value = ValueId(reader.u32()?);
        let index = usize::try_from(reader.u64()?).map_err(|_| ModelError::Opening)?;
        let mut leaf = || {
            let length = usize::from(reader.u16()?);
            bounded("the length of a leaf", length, 1, LEAF_BYTES)?;
            let bytes = reader.take(length)?.to_vec();
            let steps = usize::from(reader.u8()?);
            bounded("the length of a path", steps, 0, MAX_PATH)?;
            let path = (0..steps).map(|_| reader.array()).collect::<Result<_, _>>()?;
            Ok::<_, ModelError>(Leaf { bytes, path })
        };
        let (cells, roots) = (leaf()?, leaf()?);
        reader.finish()?;
        Ok(Opening { value, index, cells, roots })
    }
}
