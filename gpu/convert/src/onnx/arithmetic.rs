//! Read element-wise operators: functions of one value, and operators of two.

use tract_onnx::pb::NodeProto;

use super::{
    constant::{Constant, broadcast, strides},
    fold::operator,
    known::{Base, Known, Lazy},
    name,
    proto::{float, text},
    reader::Reader,
    view::{Atom, View, cells},
};
use crate::{Binary, Curve, Function, Op, curve::MAX_STEPS};

/// Masks add numbers below this one, up to minus infinity, to what must not be seen.
pub(super) const MASKED: f32 = -1e3;
/// What stands for those: its share of a softmax is nothing, and it leaves the scale its bits.
const HIDDEN: f32 = -100.0;
/// Most operands of a sum.
const MAX_TERMS: usize = 64;

/// The function of one value that a node stands for, of `x`.
pub(super) fn function(node: &NodeProto, x: Curve) -> Option<Curve> {
    let number = Curve::number;
    let with = |a: Curve, of: Binary, b: Curve| a.with(of, b);
    let softplus = |x: Curve| {
        // log(1 + e^-|x|) + max(x, 0): the same, and finite for every x.
        let small =
            with(number(0.0), Binary::Sub, x.clone().then(Function::Abs)).then(Function::Exp);
        let log = with(small, Binary::Add, number(1.0)).then(Function::Log);
        with(log, Binary::Add, x.then(Function::Relu))
    };
    let below = |x: Curve| with(x, Binary::Min, number(0.0)).then(Function::Exp);
    let alpha = |default| number(float(node, "alpha", default));
    Some(match &node.op_type[..] {
        "Relu" => x.then(Function::Relu),
        "LeakyRelu" => x.then(Function::LeakyRelu(float(node, "alpha", 0.01))),
        "Sigmoid" => x.then(Function::Sigmoid),
        "HardSigmoid" => {
            let (alpha, beta) = (float(node, "alpha", 0.2), float(node, "beta", 0.5));
            x.then(Function::HardSigmoid(alpha, beta))
        }
        "HardSwish" => with(x.clone(), Binary::Mul, x.then(Function::HardSigmoid(1.0 / 6.0, 0.5))),
        "Tanh" => x.then(Function::Tanh),
        "Erf" => x.then(Function::Erf),
        "Exp" => x.then(Function::Exp),
        "Log" => x.then(Function::Log),
        "Sqrt" => x.then(Function::Sqrt),
        "Abs" => x.then(Function::Abs),
        "Sin" => x.then(Function::Sin),
        "Cos" => x.then(Function::Cos),
        "Neg" => with(x, Binary::Mul, number(-1.0)),
        "Floor" => x.then(Function::Floor),
        "Ceil" => {
            let below = with(x, Binary::Mul, number(-1.0)).then(Function::Floor);
            with(below, Binary::Mul, number(-1.0))
        }
        "Round" => x.then(Function::Round),
        "Sign" => {
            let below = with(number(0.0), Binary::Greater, x.clone());
            with(with(x, Binary::Greater, number(0.0)), Binary::Sub, below)
        }
        "Not" => with(number(1.0), Binary::Sub, x),
        "ThresholdedRelu" => with(x.clone(), Binary::Mul, with(x, Binary::Greater, alpha(1.0))),
        "Reciprocal" => with(number(1.0), Binary::Div, x),
        "Gelu" if text(node, "approximate") == "tanh" => x.then(Function::GeluTanh),
        "Gelu" | "FastGelu" => x.then(Function::Gelu),
        "Softplus" => softplus(x),
        "Mish" => with(x.clone(), Binary::Mul, softplus(x).then(Function::Tanh)),
        "Softsign" => {
            let under = with(x.clone().then(Function::Abs), Binary::Add, number(1.0));
            with(x, Binary::Div, under)
        }
        "Elu" | "Celu" => {
            let over = x.clone().then(Function::Relu);
            let inner = match node.op_type == "Celu" {
                true => with(x, Binary::Div, alpha(1.0)),
                false => x,
            };
            let under = with(below(inner), Binary::Sub, number(1.0));
            with(over, Binary::Add, with(under, Binary::Mul, alpha(1.0)))
        }
        "Selu" => {
            let (alpha, gamma) = (alpha(1.673_263_2), float(node, "gamma", 1.050_701));
            let over = x.clone().then(Function::Relu);
            let under = with(below(x), Binary::Sub, number(1.0));
            let sum = with(over, Binary::Add, with(under, Binary::Mul, alpha));
            with(sum, Binary::Mul, number(gamma))
        }
        _ => return None,
    })
}

impl Reader<'_> {
    /// A lazy operand whose curve has room for more steps.
    fn roomy(&mut self, node: &NodeProto, operand: usize) -> Result<Lazy, String> {
        match self.lazy(node, operand)? {
            lazy if lazy.curve.length() * 2 < MAX_STEPS => Ok(lazy),
            _ => Ok(Lazy::of(self.view(node, operand)?)),
        }
    }

    /// A function of one value; none if the operator is none.
    pub(super) fn unary(&mut self, node: &NodeProto) -> Result<Option<Known>, String> {
        if function(node, Curve::identity()).is_none() {
            return Ok(None);
        }
        let lazy = self.roomy(node, 0)?;
        let curve = function(node, lazy.curve.clone()).ok_or("it is not taken")?;
        Ok(Some(Known::Lazy(lazy.curved(|_| curve))))
    }

    pub(super) fn clip(&mut self, node: &NodeProto) -> Result<Known, String> {
        let bound = |at: usize, attribute: &str, default: f32| match self.optional(node, at)? {
            Some(constant) => constant.uniform().ok_or("a bound is no number".to_owned()),
            None => Ok(float(node, attribute, default)),
        };
        let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
        if low.is_nan() || high.is_nan() || low > high {
            return Err(format!("its bounds are {low} and {high}"));
        }
        let lazy = self.roomy(node, 0)?;
        Ok(Known::Lazy(lazy.curved(|x| x.then(Function::Clip(low, high)))))
    }

    /// An operator of two values, of which one may be a constant. Sums may have more.
    pub(super) fn binary(&mut self, node: &NodeProto) -> Result<Known, String> {
        let of = operator(&node.op_type).ok_or("it is not taken")?;
        match node.input.len() {
            2 => {}
            1 => return Ok(self.known(node, 0)?.clone()),
            count @ 3..=MAX_TERMS if node.op_type == "Sum" => return self.sum(node, count),
            count @ 3..=MAX_TERMS if matches!(of, Binary::Max | Binary::Min) => {
                return self.extremes(node, of, count);
            }
            count => return Err(format!("it has {count} operands")),
        }
        match (self.known(node, 0)?.clone(), self.known(node, 1)?.clone()) {
            (Known::Scores(scores), Known::Constant(constant)) => {
                self.score_with(&scores, of, &constant).map(Known::Scores)
            }
            (Known::Constant(constant), Known::Scores(scores))
                if matches!(of, Binary::Add | Binary::Mul) =>
            {
                self.score_with(&scores, of, &constant).map(Known::Scores)
            }
            (Known::Lazy(_), Known::Constant(constant)) => {
                self.beside(node, 0, (of, &constant), false)
            }
            (Known::Constant(constant), Known::Lazy(_)) => {
                self.beside(node, 1, (of, &constant), true)
            }
            _ => self.both(node, of),
        }
    }

    fn sum(&mut self, node: &NodeProto, count: usize) -> Result<Known, String> {
        let mut sum = self.view(node, 0)?;
        for operand in 1..count {
            let next = self.view(node, operand)?;
            sum = self.cell_by_cell(name(node), Op::Add, (&sum, &next))?;
        }
        Ok(Known::Lazy(Lazy::of(sum)))
    }

    fn extremes(&mut self, node: &NodeProto, of: Binary, count: usize) -> Result<Known, String> {
        let mut found = self.view(node, 0)?;
        for operand in 1..count {
            let next = self.view(node, operand)?;
            found = self.extreme(name(node), of, (&found, &next))?;
        }
        Ok(Known::Lazy(Lazy::of(found)))
    }

    /// Two computed values.
    pub(super) fn both(&mut self, node: &NodeProto, of: Binary) -> Result<Known, String> {
        let (a, b) = (self.roomy(node, 0)?, self.roomy(node, 1)?);
        if a.alike(&b) {
            return Ok(Known::Lazy(a.curved(|x| x.with(of, b.curve))));
        }
        if let Some(normed) = self.normed(node, of, (&a, &b))? {
            return Ok(normed);
        }
        let (a, b) = (self.view(node, 0)?, self.view(node, 1)?);
        let name = name(node);
        let made = match of {
            Binary::Add => self.cell_by_cell(name, Op::Add, (&a, &b))?,
            Binary::Mul => self.cell_by_cell(name, Op::Mul, (&a, &b))?,
            Binary::Sub => {
                let alone = self.is_last_use(node, 1);
                let minus = self.affine(name, &b, (&[-1.0], &[0.0]), alone)?;
                self.cell_by_cell(name, Op::Add, (&a, &minus))?
            }
            Binary::Div => {
                let one = Curve::number(1.0).with(Binary::Div, Curve::identity());
                let inverse = self.apply(name, &b, one.function())?;
                self.cell_by_cell(name, Op::Mul, (&a, &inverse))?
            }
            Binary::Max | Binary::Min => self.extreme(name, of, (&a, &b))?,
            _ => return Err("a computed value is taken to the power of another".into()),
        };
        Ok(Known::Lazy(Lazy::of(made)))
    }

    /// An operator of two views, brought to the same axes first.
    pub(super) fn cell_by_cell(
        &mut self,
        name: &str,
        op: Op,
        (a, b): (&View, &View),
    ) -> Result<View, String> {
        let dims = broadcast(&a.dims(self.rows), &b.dims(self.rows))?;
        let (a, b) = (self.expand(name, a, &dims)?, self.expand(name, b, &dims)?);
        if a.axes == b.axes {
            let dims = self.graph.node(a.value).dims.clone();
            let right = self.shaped(name, b.value, &dims)?;
            return Ok(a.of(self.add(name, op, &[a.value, right])?));
        }
        if a.rows_axis() != b.rows_axis() {
            return Err(
                "one operand has a value for each row of the run, and the other has not".into()
            );
        }
        let dims = rank_three(&dims_without_rows(&a));
        let (left, right) = (self.arrange(name, &a, &dims)?, self.arrange(name, &b, &dims)?);
        let value = self.add(name, op, &[left, right])?;
        Ok(a.laid(value, None))
    }

    /// A computed value and a constant.
    pub(super) fn beside(
        &mut self,
        node: &NodeProto,
        operand: usize,
        (of, constant): (Binary, &Constant),
        constant_first: bool,
    ) -> Result<Known, String> {
        let lazy = self.roomy(node, operand)?;
        let dims = lazy.dims(self.rows);
        let grown = broadcast(&dims, &constant.dims)?;
        let joined = |x: Curve, c: Curve| match constant_first {
            true => c.with(of, x),
            false => x.with(of, c),
        };
        let uniform = constant.uniform();
        if let (Some(number), true) = (uniform, grown == dims || lazy.base != Base::Value) {
            return Ok(Known::Lazy(lazy.curved(|x| joined(x, Curve::number(number)))));
        }
        if constant_first && of == Binary::Div {
            let view = self.view(node, operand)?;
            let one = Curve::number(1.0).with(Binary::Div, Curve::identity());
            let view = self.apply(name(node), &view, one.function())?;
            return self.spread_on(node, &view, (Binary::Mul, constant), (false, false));
        }
        let view = self.view(node, operand)?;
        let alone = self.is_last_use(node, operand);
        self.spread_on(node, &view, (of, constant), (constant_first, alone))
    }

    /// Constants for each cell of a view.
    pub(super) fn spread_on(
        &mut self,
        node: &NodeProto,
        view: &View,
        (of, constant): (Binary, &Constant),
        (constant_first, alone): (bool, bool),
    ) -> Result<Known, String> {
        let name = name(node);
        let grown = broadcast(&view.dims(self.rows), &constant.dims)?;
        let same = grown == view.dims(self.rows);
        let view = self.expand(name, view, &grown)?;
        let mut lists = spread(constant, &view, self.rows)?;
        lists
            .iter_mut()
            .flatten()
            .filter(|x| **x < MASKED && of == Binary::Add)
            .for_each(|x| *x = HIDDEN);
        let [list] = &lists[..] else {
            return self.by_row(name, &view, of, lists);
        };
        let minus = || list.iter().map(|x| -x).collect::<Vec<_>>();
        let (scale, shift) = match (of, constant_first) {
            (Binary::Add, _) => (vec![1.0], list.clone()),
            (Binary::Sub, true) => (vec![-1.0], list.clone()),
            (Binary::Sub, false) => (vec![1.0], minus()),
            (Binary::Mul, _) => (list.clone(), vec![0.0]),
            (Binary::Div, false) => (list.iter().map(|x| 1.0 / x).collect(), vec![0.0]),
            (Binary::Max | Binary::Min, _) => {
                let list = list.clone();
                let less = self.affine(name, &view, (&[1.0], &minus()), false)?;
                let beyond = self.apply(name, &less, super::logic::beyond(of))?;
                // Below a bound the difference is cut, and the bound is left.
                let made = self.affine(name, &beyond, (&[1.0], &list), false)?;
                return Ok(Known::Lazy(Lazy::of(made)));
            }
            _ => return Err("its constants are different numbers, only one is taken".into()),
        };
        let made = self.affine(name, &view, (&scale, &shift), alone && same)?;
        Ok(Known::Lazy(Lazy::of(made)))
    }

    /// Constants that differ from row to row: positions.
    fn by_row(
        &mut self,
        name: &str,
        view: &View,
        of: Binary,
        lists: Vec<Vec<f32>>,
    ) -> Result<Known, String> {
        let op = match of {
            Binary::Add => Op::Add,
            Binary::Mul => Op::Mul,
            _ => return Err("constants that differ by row are only added or multiplied".into()),
        };
        let dims = self.graph.node(view.value).dims.clone();
        let width = self.graph.node(view.value).width();
        let cells: Vec<f32> = match lists.iter().all(|list| list.len() == 1) {
            true => lists.iter().flat_map(|list| vec![list[0]; width]).collect(),
            false => lists.concat(),
        };
        if !cells.iter().all(|x| x.is_finite()) {
            return Err("a constant is not a finite number".into());
        }
        let table = Op::Position(crate::Matrix::new(width, cells));
        let table = self.add(&format!("{name}.positions"), table, &[])?;
        let table = self.shaped(name, table, &dims)?;
        let value = self.add(name, op, &[view.value, table])?;
        Ok(Known::Lazy(Lazy::of(view.of(value))))
    }

    /// A value with axes of length 1 made longer by repeating them.
    pub(super) fn expand(
        &mut self,
        name: &str,
        view: &View,
        dims: &[usize],
    ) -> Result<View, String> {
        let own = view.dims(self.rows);
        if own == dims {
            return Ok(view.clone());
        }
        if broadcast(&own, dims)? != dims {
            return Err(format!("the shape {own:?} cannot become {dims:?}"));
        }
        let mut view = view.clone();
        (own.len()..dims.len()).for_each(|_| view.axes.insert(0, vec![]));
        let found = view.dims(self.rows);
        for axis in (0..dims.len()).filter(|axis| found[*axis] != dims[*axis]) {
            // The axis is the last while it is repeated, so that copies follow each other.
            let outer = view.width();
            let value = self.arrange(name, &view, &[outer, 1])?;
            let value = self.repeated(name, value, (outer, dims[axis]))?;
            let laid = view.laid(value, None);
            let times = dims[axis];
            let scaled = |atom: &Atom| match *atom {
                Atom::Cells { size, stride } => Atom::Cells { size, stride: stride * times },
                Atom::Rows => Atom::Rows,
            };
            view.axes = laid.axes.iter().map(|axis| axis.iter().map(scaled).collect()).collect();
            view.axes[axis].extend(cells(&[times]).concat());
            view.value = value;
        }
        Ok(view)
    }

    /// `[outer, 1]` as `[outer, times]`, in joins of as many operands as a node may have.
    fn repeated(
        &mut self,
        name: &str,
        value: crate::Value,
        (outer, times): (usize, usize),
    ) -> Result<crate::Value, String> {
        const MOST: usize = neura_int8::MAX_OPERANDS;
        if times <= MOST {
            return match times {
                1 => Ok(value),
                _ => self.add(name, Op::Concat(1), &vec![value; times]),
            };
        }
        if outer.saturating_mul(times) > super::MAX_CELLS {
            return Err(format!("{times} times {outer} cells are more than a row may have"));
        }
        let part = self.repeated(name, value, (outer, times / MOST))?;
        let whole = self.add(name, Op::Concat(1), &[part; MOST])?;
        match times % MOST {
            0 => Ok(whole),
            rest => {
                let rest = self.repeated(name, value, (outer, rest))?;
                self.add(name, Op::Concat(1), &[whole, rest])
            }
        }
    }

    /// A slope of its own for each channel below zero.
    pub(super) fn prelu(&mut self, node: &NodeProto) -> Result<Known, String> {
        let slope = self.constant(node, 1)?;
        if let Some(slope) = slope.uniform() {
            let lazy = self.roomy(node, 0)?;
            return Ok(Known::Lazy(lazy.curved(|x| x.then(Function::LeakyRelu(slope)))));
        }
        let (view, name) = (self.view(node, 0)?, name(node));
        let above = self.apply(name, &view, Function::Relu)?;
        let below = self.apply(name, &view, Function::Clip(f32::MIN, 0.0))?;
        let below = self.spread_on(node, &below, (Binary::Mul, &slope), (false, false))?;
        let Known::Lazy(below) = below else { return Err("it is not taken".into()) };
        let sum = self.cell_by_cell(name, Op::Add, (&above, &below.view))?;
        Ok(Known::Lazy(Lazy::of(sum)))
    }
}

/// Lengths of a view's axes without its rows.
fn dims_without_rows(view: &View) -> Vec<usize> {
    view.dims(1).into_iter().filter(|dim| *dim > 1).collect()
}

/// Axes of the same cells, three at most.
pub(super) fn rank_three(dims: &[usize]) -> Vec<usize> {
    match dims {
        [] => vec![1],
        [outer @ .., b, c] if outer.len() > 1 => vec![outer.iter().product(), *b, *c],
        dims => dims.to_vec(),
    }
}

/// A constant's number for each cell of a row, in the order of the value's cells; a list for each
/// row if they differ.
pub(super) fn spread(
    constant: &Constant,
    view: &View,
    rows: usize,
) -> Result<Vec<Vec<f32>>, String> {
    let values = constant.to_floats();
    if let Some(one) = constant.uniform() {
        return Ok(vec![vec![one]]);
    }
    let missing = view.axes.len().checked_sub(constant.dims.len());
    let missing = missing.ok_or("its constant has more axes than its operand")?;
    // Of each part of an axis: its length, its step through a row, its step through the constant.
    let (mut parts, mut by_row) = (Vec::new(), 0);
    for (axis, (dim, step)) in constant.dims.iter().zip(strides(&constant.dims)).enumerate() {
        let mut step = if *dim > 1 { step } else { 0 };
        for atom in view.axes[axis + missing].iter().rev() {
            match atom {
                Atom::Rows => {
                    by_row = step;
                    step *= rows;
                }
                Atom::Cells { size, stride } => {
                    parts.push((*size, *stride, step));
                    step *= size;
                }
            }
        }
    }
    // Axes that the constant does not have.
    for atom in view.axes[..missing].iter().flatten() {
        if let Atom::Cells { size, stride } = atom {
            parts.push((*size, *stride, 0));
        }
    }
    let width = view.width();
    let lists = if by_row == 0 { 1 } else { rows };
    if lists.saturating_mul(width) > super::MAX_CELLS {
        return Err(format!("its constants are {lists} times {width} numbers"));
    }
    let row = |row: usize| {
        let place = |at: usize| {
            let steps = parts.iter().map(|(size, stride, step)| at / stride % size * step);
            values.get(row * by_row + steps.sum::<usize>()).copied()
        };
        (0..width).map(place).collect::<Option<Vec<f32>>>().ok_or("its constant does not fit")
    };
    let mut found = (0..lists).map(row).collect::<Result<Vec<_>, _>>()?;
    if found.iter().all(|list| *list == found[0]) {
        found.truncate(1);
    }
    Ok(found)
}
