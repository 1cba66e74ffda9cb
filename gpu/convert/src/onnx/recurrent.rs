//! Read recurrent layers: a fixed number of steps, written out one after another.

use tract_onnx::pb::NodeProto;

use super::{
    constant::Constant,
    fold_layout::Cut,
    known::{Known, Lazy},
    name,
    proto::{attribute, int, text},
    reader::Reader,
    view::{Atom, View},
};
use crate::{Curve, Function, Matrix, Op};

/// Most steps: each is some twenty operators of an integer model.
const MAX_STEPS: usize = 200;

/// The kinds of layers, and what each step of theirs is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One function of the sum.
    Plain(Plain),
    /// Gates input, output, forget, and a cell beside the hidden value.
    Lstm,
    /// Gates update and reset; whether the reset comes after the hidden weights.
    Gru(bool),
}

/// The function of a plain layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Tanh,
    Relu,
}

impl Kind {
    /// Hidden values that the weights of a direction make for each one that it keeps.
    fn parts(self) -> usize {
        match self {
            Kind::Plain(_) => 1,
            Kind::Lstm => 4,
            Kind::Gru(_) => 3,
        }
    }
}

/// The weights of one direction.
struct Weights {
    /// Of the inputs, with all biases that are added before a function.
    inputs: (Matrix, Vec<f32>),
    /// Of the hidden value.
    hidden: Matrix,
    /// Biases of the hidden value's part that a reset scales.
    reset: Vec<f32>,
}

/// What one direction made.
struct Made {
    /// The hidden value of every step, in the order of time.
    steps: Vec<View>,
    /// The last hidden value, and the last cell.
    last: View,
    cell: Option<View>,
}

impl Reader<'_> {
    /// A recurrent layer over `[steps, batch, inputs]`.
    pub(super) fn recurrent(&mut self, node: &NodeProto) -> Result<Vec<Known>, String> {
        let kind = kind(node)?;
        let view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        let &[steps, _, inner] = &dims[..] else {
            return Err(format!("its operand has the axes {dims:?}, three are taken"));
        };
        if view.axes[0].contains(&Atom::Rows) || !view.axes[1].contains(&Atom::Rows) {
            return Err("it goes from row to row of the run, tokens of a text or images of a batch: \
                        convert it with a fixed number of tokens (--length), which makes a text one row"
                .into());
        }
        if steps > MAX_STEPS {
            return Err(format!("it has {steps} steps, at most {MAX_STEPS} are written out"));
        }
        self.expect_plain(node, steps)?;
        let hidden = usize::try_from(int(node, "hidden_size", 0)).unwrap_or(0);
        if !(1..=neura_int8::MAX_DIM).contains(&hidden) {
            return Err(format!("its hidden_size is {hidden}"));
        }
        let way = match &text(node, "direction")[..] {
            "" | "forward" => vec![false],
            "reverse" => vec![true],
            "bidirectional" => vec![false, true],
            other => return Err(format!("its direction is '{other}'")),
        };
        let mut made = Vec::new();
        for (direction, backwards) in way.into_iter().enumerate() {
            let weights = self.weights(node, (kind, direction), (inner, hidden))?;
            made.push(self.unrolled(node, &view, (kind, backwards), weights)?);
        }
        self.gathered(node, steps, &made)
    }

    /// Refuses lengths that differ, and values to begin with that are not zero.
    fn expect_plain(&self, node: &NodeProto, steps: usize) -> Result<(), String> {
        if let Some(lengths) = self.optional(node, 4)?
            && lengths.uniform() != Some(steps as f32)
        {
            return Err("its sequences have lengths of their own: all steps are taken".into());
        }
        for operand in [5, 6] {
            if self.has(node, operand) && self.constant(node, operand)?.uniform() != Some(0.0) {
                return Err("it begins with values that are not zero".into());
            }
        }
        match self.has(node, 7) {
            true => Err("its gates look at the cell (peepholes)".into()),
            false => Ok(()),
        }
    }

    /// The weights of a direction, all for one product with the inputs and one with the hidden value.
    fn weights(
        &self,
        node: &NodeProto,
        (kind, direction): (Kind, usize),
        (inner, hidden): (usize, usize),
    ) -> Result<Weights, String> {
        let height = kind.parts() * hidden;
        let part = |constant: Constant, width: usize| -> Result<Vec<f32>, String> {
            let cells = constant.finite()?;
            let found = cells.chunks_exact((height * width).max(1)).nth(direction);
            found.map(<[f32]>::to_vec).ok_or_else(|| {
                format!("its weights have {:?}, {height} by {width} are needed", constant.dims)
            })
        };
        let inputs = part(self.constant(node, 1)?, inner)?;
        let recurrent = part(self.constant(node, 2)?, hidden)?;
        let both = match self.optional(node, 3)? {
            Some(bias) => part(bias, 2)?,
            None => vec![0.0; 2 * height],
        };
        let (first, second) = both.split_at(height);
        let mut bias: Vec<f32> = first.iter().zip(second).map(|(a, b)| a + b).collect();
        let mut reset = vec![0.0; hidden];
        if kind == Kind::Gru(true) {
            // What a reset scales is kept apart from what it does not.
            bias[2 * hidden..].copy_from_slice(&first[2 * hidden..]);
            reset.copy_from_slice(&second[2 * hidden..]);
        }
        Ok(Weights {
            inputs: (Matrix::new(inner, inputs), bias),
            hidden: Matrix::new(hidden, recurrent),
            reset,
        })
    }

    /// The steps of one direction.
    fn unrolled(
        &mut self,
        node: &NodeProto,
        view: &View,
        (kind, backwards): (Kind, bool),
        weights: Weights,
    ) -> Result<Made, String> {
        let steps = view.dims(self.rows)[0];
        let (matrix, bias) = weights.inputs.clone();
        let Known::Lazy(given) = self.linear(node, view, matrix, bias)? else {
            return Err("its inputs cannot be multiplied".into());
        };
        let (mut state, mut cell) = (None, None);
        let mut hidden = Vec::with_capacity(steps);
        let mut starts = Vec::with_capacity(steps);
        for step in 0..steps {
            starts.push(self.graph.nodes.len());
            let at = if backwards { steps - 1 - step } else { step };
            let one = Cut { start: at, length: 1, step: 1 };
            let mut x = self.cut(name(node), &given.view, 0, one)?;
            x.axes.remove(0);
            let made = match kind {
                Kind::Plain(of) => self.plain_step(node, of, (&x, state.as_ref()), &weights)?,
                Kind::Lstm => {
                    let (made, kept) =
                        self.lstm_step(node, (&x, state.as_ref(), cell.as_ref()), &weights)?;
                    cell = Some(kept);
                    made
                }
                Kind::Gru(after) => self.gru_step(node, after, (&x, state.as_ref()), &weights)?,
            };
            hidden.push(made.clone());
            state = Some(made);
        }
        self.mark_alike(&starts);
        if backwards {
            hidden.reverse();
        }
        let last = state.ok_or("it has no steps")?;
        Ok(Made { steps: hidden, last, cell })
    }

    /// Says that steps make the same values, but for the first, which has nothing to remember.
    fn mark_alike(&mut self, starts: &[usize]) {
        let &[_, ref starts @ .., last] = starts else { return };
        let count = self.graph.nodes.len() - last;
        if starts.windows(2).any(|pair| pair[1] - pair[0] != count) {
            return;
        }
        for at in 0..count {
            let steps = starts.iter().chain([&last]);
            self.graph.alike.push(steps.map(|start| crate::Value(start + at)).collect());
        }
    }

    /// The hidden value times rows of its weights, from the first of some parts on.
    fn recalled(
        &mut self,
        node: &NodeProto,
        state: &View,
        (weights, bias): (&Matrix, Vec<f32>),
        parts: std::ops::Range<usize>,
    ) -> Result<View, String> {
        let size = weights.width * weights.width;
        let cells = weights.values.get(parts.start * size..parts.end * size);
        let cells = cells.ok_or("its hidden weights are too few")?.to_vec();
        match self.linear(node, state, Matrix::new(weights.width, cells), bias)? {
            Known::Lazy(made) => Ok(made.view),
            _ => Err("its hidden value cannot be multiplied".into()),
        }
    }

    /// A part of the values that a step makes side by side.
    fn part(
        &mut self,
        node: &NodeProto,
        of: &View,
        parts: std::ops::Range<usize>,
        hidden: usize,
    ) -> Result<View, String> {
        let cut = Cut { start: parts.start * hidden, length: parts.len() * hidden, step: 1 };
        match cut.length == of.width() {
            true => Ok(of.clone()),
            false => self.cut(name(node), of, of.axes.len() - 1, cut),
        }
    }

    fn plain_step(
        &mut self,
        node: &NodeProto,
        of: Plain,
        (x, state): (&View, Option<&View>),
        weights: &Weights,
    ) -> Result<View, String> {
        let mut sum = x.clone();
        if let Some(state) = state {
            let bias = vec![0.0; weights.hidden.width];
            let recalled = self.recalled(node, state, (&weights.hidden, bias), 0..1)?;
            sum = self.cell_by_cell(name(node), Op::Add, (&sum, &recalled))?;
        }
        let function = if of == Plain::Relu { Function::Relu } else { Function::Tanh };
        self.apply(name(node), &sum, function)
    }

    fn lstm_step(
        &mut self,
        node: &NodeProto,
        (x, state, cell): (&View, Option<&View>, Option<&View>),
        weights: &Weights,
    ) -> Result<(View, View), String> {
        let (name, hidden) = (name(node), weights.hidden.width);
        let mut sum = x.clone();
        if let Some(state) = state {
            let bias = vec![0.0; 4 * hidden];
            let recalled = self.recalled(node, state, (&weights.hidden, bias), 0..4)?;
            sum = self.cell_by_cell(name, Op::Add, (&sum, &recalled))?;
        }
        let gates = self.part(node, &sum, 0..3, hidden)?;
        let gates = self.apply(name, &gates, Function::Sigmoid)?;
        let new = self.part(node, &sum, 3..4, hidden)?;
        let new = self.apply(name, &new, Function::Tanh)?;
        let input = self.part(node, &gates, 0..1, hidden)?;
        let mut kept = self.cell_by_cell(name, Op::Mul, (&input, &new))?;
        if let Some(cell) = cell {
            let forget = self.part(node, &gates, 2..3, hidden)?;
            let old = self.cell_by_cell(name, Op::Mul, (&forget, cell))?;
            kept = self.cell_by_cell(name, Op::Add, (&old, &kept))?;
        }
        let output = self.part(node, &gates, 1..2, hidden)?;
        let shown = self.apply(name, &kept, Function::Tanh)?;
        Ok((self.cell_by_cell(name, Op::Mul, (&output, &shown))?, kept))
    }

    fn gru_step(
        &mut self,
        node: &NodeProto,
        after: bool,
        (x, state): (&View, Option<&View>),
        weights: &Weights,
    ) -> Result<View, String> {
        let (name, hidden) = (name(node), weights.hidden.width);
        let mut gates = self.part(node, x, 0..2, hidden)?;
        let mut new = self.part(node, x, 2..3, hidden)?;
        if let Some(state) = state {
            let bias = vec![0.0; 2 * hidden];
            let recalled = self.recalled(node, state, (&weights.hidden, bias), 0..2)?;
            gates = self.cell_by_cell(name, Op::Add, (&gates, &recalled))?;
        }
        let gates = self.apply(name, &gates, Function::Sigmoid)?;
        let reset = self.part(node, &gates, 1..2, hidden)?;
        let bias = weights.reset.clone();
        let recalled = match (state, after) {
            (Some(state), true) => {
                let all = self.recalled(node, state, (&weights.hidden, bias), 2..3)?;
                Some(self.cell_by_cell(name, Op::Mul, (&reset, &all))?)
            }
            (Some(state), false) => {
                let kept = self.cell_by_cell(name, Op::Mul, (&reset, state))?;
                Some(self.recalled(node, &kept, (&weights.hidden, bias), 2..3)?)
            }
            // Of nothing, what is left is the bias.
            (None, _) if bias.iter().any(|b| *b != 0.0) => {
                Some(self.affine_cells(name, &reset, &bias)?)
            }
            (None, _) => None,
        };
        if let Some(recalled) = recalled {
            new = self.cell_by_cell(name, Op::Add, (&new, &recalled))?;
        }
        let new = self.apply(name, &new, Function::Tanh)?;
        let update = self.part(node, &gates, 0..1, hidden)?;
        // (1 - update) * new + update * state
        let minus = Curve::number(1.0).with(crate::Binary::Sub, Curve::identity());
        let rest = self.apply(name, &update, minus.function())?;
        let mut made = self.cell_by_cell(name, Op::Mul, (&rest, &new))?;
        if let Some(state) = state {
            let kept = self.cell_by_cell(name, Op::Mul, (&update, state))?;
            made = self.cell_by_cell(name, Op::Add, (&made, &kept))?;
        }
        Ok(made)
    }

    /// A value times a number for each cell.
    fn affine_cells(&mut self, name: &str, view: &View, by: &[f32]) -> Result<View, String> {
        self.affine(name, view, (by, &[0.0]), false)
    }

    /// The outputs: all hidden values, the last, the last cell; each with an axis for the directions.
    fn gathered(
        &mut self,
        node: &NodeProto,
        steps: usize,
        made: &[Made],
    ) -> Result<Vec<Known>, String> {
        // Of the axes [batch, hidden] as [steps, directions, batch, hidden].
        let raised = |view: &View, axes: usize| {
            let mut view = view.clone();
            (0..axes).for_each(|_| view.axes.insert(0, vec![]));
            view
        };
        let mut outputs = Vec::new();
        for (at, output) in node.output.iter().enumerate() {
            let joined = match at {
                _ if !self.is_wanted(output) => {
                    outputs.push(Known::Constant(Constant::list([])));
                    continue;
                }
                0 => {
                    let mut all = Vec::with_capacity(steps);
                    for step in 0..steps {
                        let parts: Vec<View> =
                            made.iter().map(|made| raised(&made.steps[step], 2)).collect();
                        all.push(self.join(name(node), &parts, 1)?);
                    }
                    self.join(name(node), &all, 0)?
                }
                _ => {
                    let one = |made: &Made| match at {
                        1 => Some(raised(&made.last, 1)),
                        _ => made.cell.as_ref().map(|cell| raised(cell, 1)),
                    };
                    let parts: Option<Vec<View>> = made.iter().map(one).collect();
                    self.join(name(node), &parts.ok_or("it has no cell to give")?, 0)?
                }
            };
            outputs.push(Known::Lazy(Lazy::of(joined)));
        }
        Ok(outputs)
    }
}

/// The kind of a layer, if its functions are the usual ones.
fn kind(node: &NodeProto) -> Result<Kind, String> {
    let named = attribute(node, "activations").map(|a| {
        a.strings.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
    });
    let named = named.unwrap_or_default();
    let usual =
        |usual: &[&str]| named.iter().enumerate().all(|(at, name)| name == usual[at % usual.len()]);
    let (kind, usual) = match &node.op_type[..] {
        "LSTM" => (Kind::Lstm, usual(&["Sigmoid", "Tanh", "Tanh"])),
        "GRU" => (Kind::Gru(int(node, "linear_before_reset", 0) != 0), usual(&["Sigmoid", "Tanh"])),
        _ if !named.is_empty() && usual(&["Relu"]) => (Kind::Plain(Plain::Relu), true),
        _ => (Kind::Plain(Plain::Tanh), usual(&["Tanh"])),
    };
    if !usual {
        return Err(format!("its functions are {named:?}, only the usual ones are taken"));
    }
    let rest = ["clip", "input_forget", "layout", "activation_alpha", "activation_beta"];
    let set = |name: &&&str| {
        attribute(node, name).is_some_and(|a| a.i != 0 || a.f != 0.0 || !a.floats.is_empty())
    };
    match rest.iter().find(set) {
        Some(name) => Err(format!("its attribute '{name}' is not taken")),
        None => Ok(kind),
    }
}
