//! Carry models out, node by node: the reference interpreter.

use crate::{
    Call, Data, Kernels, Model, ModelError, Reference, Rows, Tensor,
    model::output_tensor,
    ops::{Operand, Site},
    sampling::Sampling,
};
use std::collections::BTreeMap;

/// Which rows of a run are computed: those from `first` up to `end`.
///
/// A whole run computes all. A generation computes the rows of the prompt, then one at a time; the
/// rows before are then in the [`Cache`]. The run has `end` rows so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// First row computed.
    pub first: usize,
    /// First row not computed.
    pub end: usize,
}

impl Frame {
    /// Rows computed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.first)
    }

    /// Whether there is nothing to compute.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The rows that later rows attend to: of every value that is a context operand, all rows so far.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    contexts: BTreeMap<usize, Data>,
    rows: usize,
}

impl Cache {
    /// What there is before row `rows` where no row is attended to.
    pub(crate) fn after(rows: usize) -> Self {
        Cache { contexts: BTreeMap::new(), rows }
    }

    /// Rows computed so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// What is kept of a run's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The outputs only.
    Outputs,
    /// Everything.
    All,
}

impl Model {
    /// The outputs for these inputs, in the order of the manifest.
    ///
    /// # Errors
    /// As [`Model::check_inputs`].
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ModelError> {
        self.run_with(&Reference, inputs, Sampling::default())
    }

    /// The same, computed by `kernels`, with tokens drawn as `sampling` says.
    ///
    /// # Errors
    /// As [`Model::check_inputs`]; [`ModelError::Kernel`] if a kernel fails.
    pub fn run_with(
        &self,
        kernels: &dyn Kernels,
        inputs: &[Tensor],
        sampling: Sampling,
    ) -> Result<Vec<Tensor>, ModelError> {
        sampling.check()?;
        let rows = self.check_inputs(inputs)?;
        let data = inputs.iter().map(|tensor| tensor.data().clone()).collect();
        let values =
            self.execute(kernels, data, sampling, (&mut Cache::default(), Keep::Outputs))?;
        self.outputs(values, rows)
    }

    /// The outputs among the values of a run of `rows` rows.
    pub(crate) fn outputs(
        &self,
        values: Vec<Option<Data>>,
        rows: usize,
    ) -> Result<Vec<Tensor>, ModelError> {
        let outputs = self.manifest().outputs().iter().map(|output| {
            let data = values.get(output.value.index()).cloned().flatten();
            let missing = ModelError::Cell { what: "an output", index: output.value.index() };
            output_tensor(self.manifest(), output.value, rows, data.ok_or(missing)?)
        });
        outputs.collect()
    }

    /// Computes the rows that `inputs` hold, which follow those in the cache, and adds them to it.
    pub(crate) fn execute(
        &self,
        kernels: &dyn Kernels,
        inputs: Vec<Data>,
        sampling: Sampling,
        (cache, keep): (&mut Cache, Keep),
    ) -> Result<Vec<Option<Data>>, ModelError> {
        let manifest = self.manifest();
        let width = manifest.inputs().first().map_or(1, |input| input.value_type().width(1));
        let more = inputs.first().map_or(0, |data| crate::num::split(data.len(), width).0);
        let frame = Frame { first: cache.rows, end: cache.rows.saturating_add(more) };
        let last_uses = self.last_uses(keep);
        let contexts = self.context_values();
        let mut values: Vec<Option<Data>> = Vec::with_capacity(manifest.types().len());
        for data in inputs {
            remember(cache, &contexts, values.len(), &data);
            values.push(Some(data));
        }
        for (index, node) in manifest.nodes().iter().enumerate() {
            let kinds = manifest.operand_types(node);
            let output = manifest.value_type(manifest.made_by(index));
            let output = output.ok_or(ModelError::Cell { what: "a node's output", index })?;
            let site = Site { inputs: &kinds, params: manifest.params(), output, rows: frame.end };
            let context = node.op.operator().context_operand();
            let mut operands = Vec::with_capacity(node.inputs.len());
            for (operand, (id, kind)) in node.inputs.iter().zip(&kinds).enumerate() {
                let (data, first) = if context == Some(operand) {
                    (cache.contexts.get(&id.index()), 0)
                } else {
                    let first = if kind.rows == Rows::Many { frame.first } else { 0 };
                    (values.get(id.index()).and_then(Option::as_ref), first)
                };
                let missing = ModelError::Cell { what: "an operand", index: operand };
                operands.push(Operand { data: data.ok_or(missing)?, first });
            }
            let params = self.params();
            let call = Call { op: &node.op, site, frame, inputs: &operands, params, sampling };
            let made = match kernels.node(&call)? {
                Some(made) => made,
                None => node.op.operator().run(&call, kernels)?,
            };
            check_made(&call, &made)?;
            remember(cache, &contexts, values.len(), &made);
            values.push(Some(made));
            for dead in last_uses.get(&index).into_iter().flatten() {
                values.iter_mut().skip(*dead).take(1).for_each(|value| *value = None);
            }
        }
        cache.rows = frame.end;
        Ok(values)
    }

    /// For each node, the values that nothing needs after it.
    fn last_uses(&self, keep: Keep) -> BTreeMap<usize, Vec<usize>> {
        let manifest = self.manifest();
        let mut last = BTreeMap::new();
        if keep == Keep::Outputs {
            for (index, node) in manifest.nodes().iter().enumerate() {
                last.insert(manifest.made_by(index).index(), index);
                last.extend(node.inputs.iter().map(|id| (id.index(), index)));
            }
            let given = |value| manifest.outputs().iter().any(|out| out.value.index() == value);
            last.retain(|value, _| !given(*value));
        }
        let mut uses = BTreeMap::new();
        for (value, node) in last {
            uses.entry(node).or_insert_with(Vec::new).push(value);
        }
        uses
    }

    /// The values of which attention needs all rows.
    fn context_values(&self) -> Vec<usize> {
        let nodes = self.manifest().nodes().iter();
        let operands = nodes.filter_map(|node| {
            let operand = node.op.operator().context_operand()?;
            node.inputs.get(operand).map(|id| id.index())
        });
        operands.collect()
    }
}

/// A kernel from outside must give as many values of the right type as there are cells.
fn check_made(call: &Call<'_>, made: &Data) -> Result<(), ModelError> {
    if made.len() == call.cells() && made.dtype() == call.site.output.dtype {
        return Ok(());
    }
    let (found, expected) = (made.len(), call.cells());
    let reason = format!("it gave {found} values of {}, not {expected}", made.dtype());
    Err(ModelError::Kernel { reason })
}

/// Adds new rows of a value to the cache if attention needs them.
fn remember(cache: &mut Cache, contexts: &[usize], value: usize, data: &Data) {
    if !contexts.contains(&value) {
        return;
    }
    match cache.contexts.get_mut(&value) {
        Some(rows) => rows.append(data),
        None => drop(cache.contexts.insert(value, data.clone())),
    }
}

#[cfg(test)]
mod tests;
