//! Find which cells a cell is made of.

use crate::{
    DType, Manifest, ModelError, ParamId, ParamSpec, ValueId, num, ops::Cells, sampling::Sampling,
};

/// A cell of a value: `index` counts over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellRef {
    /// The value.
    pub value: ValueId,
    /// The cell within it.
    pub index: usize,
}

/// Passes reads on and keeps what was read, in order.
pub struct Recorder<'a> {
    cells: &'a mut dyn Cells,
    /// The operand and the index of every cell read.
    pub inputs: Vec<(usize, usize)>,
    /// Every value of a parameter read.
    pub params: Vec<(ParamId, usize)>,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("inputs", &self.inputs.len())
            .field("params", &self.params.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Recorder<'a> {
    /// Records reads from `cells`.
    #[must_use]
    pub fn new(cells: &'a mut dyn Cells) -> Self {
        Recorder { cells, inputs: Vec::new(), params: Vec::new() }
    }
}

impl Cells for Recorder<'_> {
    fn input(&mut self, operand: usize, index: usize) -> Result<i32, ModelError> {
        self.inputs.push((operand, index));
        self.cells.input(operand, index)
    }

    fn param(&mut self, param: ParamId, index: usize) -> Result<i32, ModelError> {
        self.params.push((param, index));
        self.cells.param(param, index)
    }

    fn sampling(&self) -> Sampling {
        self.cells.sampling()
    }
}

/// Cells of zeros, and parameters that are valid as whatever they are used for: as a scale, they
/// are the factor one. Which cells of operands are read does not depend on what they hold.
struct Blank<'a>(&'a [ParamSpec]);

impl Cells for Blank<'_> {
    fn input(&mut self, _: usize, _: usize) -> Result<i32, ModelError> {
        Ok(0)
    }

    fn param(&mut self, param: ParamId, _: usize) -> Result<i32, ModelError> {
        match self.0.get(num::size(param.0)).map(|spec| spec.dtype) {
            Some(DType::I32) => Ok(1 << 30),
            Some(DType::I8) => Ok(30),
            _ => Ok(0),
        }
    }

    fn sampling(&self) -> Sampling {
        Sampling::default()
    }
}

impl Manifest {
    /// The cells that cell `index` of what node `node` makes depends on, in a run of `rows` rows:
    /// what a proof about it must open. In order, each once.
    ///
    /// Which parameters are read can depend on the cells; a [`Recorder`] around the real ones
    /// tells.
    ///
    /// # Errors
    /// [`ModelError::Cell`] for a node or a cell that does not exist.
    pub fn dependencies(
        &self,
        rows: usize,
        node: usize,
        index: usize,
    ) -> Result<Vec<CellRef>, ModelError> {
        let mut blank = Blank(self.params());
        let mut recorder = Recorder::new(&mut blank);
        self.recompute_cell(rows, (node, index), &mut recorder)?;
        let operands = self.nodes().get(node).map(|node| &node.inputs[..]).unwrap_or_default();
        let read = recorder.inputs.iter().filter_map(|(operand, index)| {
            operands.get(*operand).map(|value| CellRef { value: *value, index: *index })
        });
        let mut cells: Vec<_> = read.collect();
        cells.sort_unstable();
        cells.dedup();
        Ok(cells)
    }
}
