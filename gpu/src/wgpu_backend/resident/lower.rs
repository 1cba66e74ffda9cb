//! Turn a model into steps: which kernel over which cells, and where every value lies.

use super::{
    operators,
    program::{Code, Dispatch, Place, Program, Slots, Step},
};
use crate::{
    GpuError, MAX_KERNEL_ITERATIONS, MAX_WORKGROUPS,
    kernels::{
        LANE,
        cells::{self, Kernel},
        padded,
    },
    wgpu_backend::plan::Bounds,
};
use neura_int8::{Frame, Model, ModelError, Op, Rows, Sampling, ValueType};
use std::collections::BTreeMap;

/// Invocations of a workgroup of every kernel over cells.
const GROUP: usize = 64;

/// What is lowered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) model: &'a Model,
    /// Which rows are computed.
    pub(super) frame: Frame,
    /// Rows for which there is to be room in what later rows attend to: those of a generation.
    pub(super) context: Option<usize>,
    /// Whether every value is to be there at the end, and not the outputs alone.
    pub(super) keep: bool,
    pub(super) sampling: Sampling,
    pub(super) bounds: Bounds,
    /// Rows and columns of outputs that a workgroup of the product computes.
    pub(super) tile: [usize; 2],
}

/// A value as a node finds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand<'a> {
    pub(super) slot: usize,
    pub(super) kind: &'a ValueType,
    /// Cells of it that are there.
    pub(super) cells: usize,
}

/// A node as its operator finds it.
#[derive(Debug)]
pub(super) struct Site<'a> {
    pub(super) inputs: Vec<Operand<'a>>,
    pub(super) output: &'a ValueType,
    /// Cells to make.
    pub(super) cells: usize,
    /// Where to make them.
    pub(super) slot: usize,
}

/// Steps being made.
#[derive(Debug)]
pub(super) struct Lowering<'a> {
    pub(super) scope: Scope<'a>,
    slots: Slots,
    steps: Vec<Step>,
    /// For each value, its slot.
    values: Vec<usize>,
    /// For each value that later rows attend to, the slot with all rows of it.
    contexts: BTreeMap<usize, usize>,
    /// Packed copies: of which slot, in rows of which width.
    packed: BTreeMap<(usize, usize), usize>,
    zeros: u64,
}

/// Lowers a model.
///
/// # Errors
/// [`GpuError::TooLarge`] if a value cannot be bound or a loop would be too long.
pub(super) fn lower(scope: Scope<'_>) -> Result<Program, GpuError> {
    let mut lowering = Lowering {
        scope,
        slots: Slots::default(),
        steps: Vec::new(),
        values: Vec::new(),
        contexts: BTreeMap::new(),
        packed: BTreeMap::new(),
        zeros: 0,
    };
    lowering.reserve_contexts()?;
    let manifest = scope.model.manifest();
    let last_uses = last_uses(scope.model, scope.keep);
    for (value, kind) in manifest.types().iter().enumerate().take(manifest.inputs().len()) {
        let slot = lowering.take(kind.cells(scope.frame.len(), scope.frame.end))?;
        lowering.values.push(slot);
        lowering.remember(value, kind)?;
    }
    for (index, node) in manifest.nodes().iter().enumerate() {
        let value = manifest.made_by(index);
        let missing = ModelError::Cell { what: "a node's output", index };
        let output = manifest.value_type(value).ok_or(missing)?;
        let inputs = lowering.operands(node);
        if let (Op::Reshape(_), [operand]) = (&node.op, &inputs[..]) {
            // The same cells in the same order.
            lowering.values.push(operand.slot);
        } else {
            let cells = output.cells(scope.frame.len(), scope.frame.end);
            let slot = lowering.take(cells)?;
            lowering.values.push(slot);
            operators::lower(&mut lowering, &node.op, &Site { inputs, output, cells, slot })?;
        }
        lowering.remember(value.index(), output)?;
        for dead in last_uses.get(&index).into_iter().flatten() {
            lowering.forget(*dead);
        }
    }
    let Lowering { steps, slots, values, zeros, .. } = lowering;
    Ok(Program { steps, slots: slots.into_sizes(), values, zeros })
}

/// For each node, the values whose memory is free after it.
fn last_uses(model: &Model, keep: bool) -> BTreeMap<usize, Vec<usize>> {
    let manifest = model.manifest();
    // A reshaped value is the one that it was made of.
    let mut roots: Vec<usize> = (0..manifest.types().len()).collect();
    let mut last = BTreeMap::new();
    for (index, node) in manifest.nodes().iter().enumerate() {
        let made = manifest.made_by(index).index();
        if let (Op::Reshape(_), [operand]) = (&node.op, &node.inputs[..]) {
            roots[made] = roots[operand.index()];
        }
        last.insert(roots[made], index);
        last.extend(node.inputs.iter().map(|value| (roots[value.index()], index)));
    }
    for output in manifest.outputs() {
        last.remove(&roots[output.value.index()]);
    }
    let mut uses = BTreeMap::new();
    for (value, node) in last.into_iter().filter(|_| !keep) {
        uses.entry(node).or_insert_with(Vec::new).push(value);
    }
    uses
}

/// The operand of which all rows are needed.
fn context_operand(op: &Op) -> Option<usize> {
    matches!(op, Op::Scores(_) | Op::Mix(_)).then_some(1)
}

impl<'a> Lowering<'a> {
    /// Room for the rows that later rows attend to: first, so that it lies the same in every
    /// program of a generation.
    fn reserve_contexts(&mut self) -> Result<(), GpuError> {
        let Some(rows) = self.scope.context else { return Ok(()) };
        let manifest = self.scope.model.manifest();
        for node in manifest.nodes() {
            let value = context_operand(&node.op).and_then(|at| node.inputs.get(at));
            let Some(value) = value.filter(|value| !self.contexts.contains_key(&value.index()))
            else {
                continue;
            };
            let cells = manifest.value_type(*value).map_or(0, |kind| kind.cells(rows, rows));
            let slot = self.take(cells)?;
            self.contexts.insert(value.index(), slot);
        }
        Ok(())
    }

    fn operands(&self, node: &neura_int8::Node) -> Vec<Operand<'a>> {
        let frame = self.scope.frame;
        let kinds = self.scope.model.manifest().operand_types(node);
        let operands = node.inputs.iter().zip(kinds).enumerate().map(|(at, (value, kind))| {
            let whole = context_operand(&node.op) == Some(at);
            let kept = self.contexts.get(&value.index()).filter(|_| whole);
            let rows = if kept.is_some() { frame.end } else { frame.len() };
            let slot = kept.copied().unwrap_or(self.values[value.index()]);
            Operand { slot, kind, cells: kind.cells(rows, frame.end) }
        });
        operands.collect()
    }

    /// Adds new rows to what later rows attend to.
    fn remember(&mut self, value: usize, kind: &ValueType) -> Result<(), GpuError> {
        let Some(kept) = self.contexts.get(&value).copied() else { return Ok(()) };
        let (frame, from) = (self.scope.frame, self.values[value]);
        let width = kind.width(frame.end);
        let count = width * if kind.rows == Rows::Many { frame.len() } else { 1 };
        let params = cells::Strided {
            count: word(count),
            first_y: word(frame.first * width),
            lengths: [1, 1, word(count)],
            steps_x: [0, 0, 0, 1],
            steps_y: [0, 0, 0, 1],
            ..cells::Strided::default()
        };
        let places = [Place::Slot(from), Place::Slot(kept)];
        self.cells(Kernel::Strided, &params, &places, count);
        Ok(())
    }

    /// Lets others have the memory of a value and of its packed copies.
    fn forget(&mut self, value: usize) {
        let slot = self.values[value];
        let copies: Vec<_> =
            self.packed.extract_if((slot, 0)..=(slot, usize::MAX), |_, _| true).collect();
        copies.into_iter().for_each(|(_, copy)| self.slots.give(copy));
        self.slots.give(slot);
    }

    /// Memory for so many cells.
    pub(super) fn take(&mut self, cells: usize) -> Result<usize, GpuError> {
        self.slots.take(cells as u64 * 4, self.scope.bounds.binding_bytes)
    }

    /// Lets others have memory.
    pub(super) fn give(&mut self, slot: usize) {
        self.slots.give(slot);
    }

    /// Zeros for as many cells.
    pub(super) fn zeros(&mut self, cells: usize) -> Place {
        self.zeros = self.zeros.max(cells as u64 * 4);
        Place::Zeros
    }

    /// An operand as packed rows of `width` cells.
    pub(super) fn pack(&mut self, operand: Operand<'_>, width: usize) -> Result<Place, GpuError> {
        if let Some(packed) = self.packed.get(&(operand.slot, width)) {
            return Ok(Place::Slot(*packed));
        }
        let words = padded(width) / 4;
        let count = operand.cells / width * words;
        let packed = self.take(count)?;
        self.packed.insert((operand.slot, width), packed);
        let params = cells::Pack { count: word(count), width: word(width), words: word(words) };
        let places = [Place::Slot(operand.slot), Place::Slot(packed)];
        self.cells(Kernel::Pack, &params, &places, count);
        Ok(Place::Slot(packed))
    }

    /// A kernel of which an invocation makes each cell.
    pub(super) fn cells<P: bytemuck::Pod>(
        &mut self,
        kernel: Kernel,
        params: &P,
        places: &[Place],
        count: usize,
    ) {
        self.push(Code::Cells(kernel), params, places, (grid(count.div_ceil(GROUP)), count as u64));
    }

    /// A kernel of which a workgroup makes each line, of `length` cells.
    pub(super) fn lines<P: bytemuck::Pod>(
        &mut self,
        kernel: Kernel,
        params: &P,
        places: &[Place],
        (lines, length): (usize, usize),
    ) {
        let work = lines as u64 * length as u64;
        self.push(Code::Cells(kernel), params, places, (grid(lines), work));
    }

    /// A kernel that takes the range of cells to make, each of which takes `each` steps: in as
    /// many dispatches as the bound on one asks for.
    pub(super) fn ranges<P: bytemuck::Pod>(
        &mut self,
        kernel: Kernel,
        places: &[Place],
        (count, each): (usize, usize),
        params: impl Fn(u32, u32) -> P,
    ) {
        let most = (self.scope.bounds.macs_per_dispatch / (each as u64).max(1)).max(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(GROUP);
        for first in (0..count).step_by(most) {
            let end = count.min(first.saturating_add(most));
            let work = (end - first) as u64 * each as u64;
            let groups = grid((end - first).div_ceil(GROUP));
            let params = params(word(first), word(end));
            self.push(Code::Cells(kernel), &params, places, (groups, work));
        }
    }

    pub(super) fn push<P: bytemuck::Pod>(
        &mut self,
        code: Code,
        params: &P,
        places: &[Place],
        (groups, work): ((u32, u32), u64),
    ) {
        let (params, places) = (bytemuck::bytes_of(params).to_vec(), places.to_vec());
        self.steps.push(Step::Run(Dispatch { code, params, places, groups, work }));
    }

    pub(super) fn step(&mut self, step: Step) {
        self.steps.push(step);
    }
}

/// So many workgroups, in two dimensions where one does not reach.
pub(in crate::wgpu_backend) fn grid(groups: usize) -> (u32, u32) {
    let columns = groups.clamp(1, MAX_WORKGROUPS as usize);
    (word(columns), word(groups.div_ceil(columns)))
}

/// A count as a kernel takes it: the bound on bindings keeps every one of them below 2^27.
pub(in crate::wgpu_backend) fn word(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Checks the iterations of an invocation.
pub(super) fn iterations(what: &'static str, count: usize) -> Result<(), GpuError> {
    let (value, max) = (count as u64, u64::from(MAX_KERNEL_ITERATIONS));
    if value <= max { Ok(()) } else { Err(GpuError::TooLarge { what, value, max }) }
}

/// `vec4`s of a packed row.
pub(super) fn vectors(width: usize) -> usize {
    padded(width) / LANE
}
