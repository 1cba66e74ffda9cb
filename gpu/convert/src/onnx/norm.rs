//! Read means, sums and norms: as one operator, or as the several nodes that exporters make of it.

use tract_onnx::pb::NodeProto;

use neura_int8::{MAX_WINDOW, ops::conv::Window};

use super::{
    arithmetic::rank_three,
    fold::axes,
    known::{Base, Known, Lazy},
    name,
    proto::{axis, float, int},
    reader::Reader,
    view::{Atom, View, cells},
};
use crate::{Binary, Curve, Function, Matrix, Op, Value};

/// How a norm scales: a row over `sqrt(slope * mean of squares + epsilon)`.
struct Norm {
    centred: bool,
    slope: f32,
    epsilon: f32,
}

impl Reader<'_> {
    pub(super) fn reduce(&mut self, node: &NodeProto) -> Result<Known, String> {
        let lazy = match self.lazy(node, 0)? {
            lazy if matches!(lazy.base, Base::Value | Base::Centred) => lazy,
            // What is a mean already has fewer axes than its base.
            _ => Lazy::of(self.view(node, 0)?),
        };
        let rank = lazy.view.axes.len();
        let named = self.optional(node, 1)?;
        let found = axes(node, named.as_ref(), rank)?.filter(|axes| !axes.is_empty());
        let found = found.unwrap_or_else(|| (0..rank).collect());
        let keeps = int(node, "keepdims", 1) != 0;
        let dims = lazy.view.dims(self.rows);
        let count = found.iter().map(|axis| dims[*axis] as f32).product::<f32>();
        let scaled = |x: Curve, by: f32| x.with(Binary::Mul, Curve::number(by));
        let root = |x: Curve| scaled(x, count).then(Function::Sqrt);
        match &node.op_type[..] {
            "ReduceMean" => self.mean(node, (found, keeps)),
            "ReduceSum" => {
                let mean = self.mean(node, (found, keeps))?;
                Ok(curved(mean, |x| scaled(x, count)))
            }
            "ReduceL2" | "ReduceSumSquare" => {
                let view = self.view(node, 0)?;
                let squares = Lazy { base: Base::Squares, axes: found, keeps, ..Lazy::of(view) };
                Ok(Known::Lazy(squares.curved(|x| match &node.op_type[..] {
                    "ReduceL2" => root(x),
                    _ => scaled(x, count),
                })))
            }
            "ReduceMax" | "ReduceMin" => {
                let view = self.view(node, 0)?;
                let negative = node.op_type == "ReduceMin";
                let minus = |reader: &mut Self, view: &View| match negative {
                    true => reader.affine(name(node), view, (&[-1.0], &[0.0]), false),
                    false => Ok(view.clone()),
                };
                let view = minus(self, &view)?;
                let made = self.window_over(name(node), &view, (&found, keeps), Op::MaxPool)?;
                Ok(Known::Lazy(Lazy::of(minus(self, &made)?)))
            }
            other => Err(format!("of reductions, {other} is not taken")),
        }
    }

    /// A mean over axes, not made yet: it may be part of a norm.
    fn mean(
        &mut self,
        node: &NodeProto,
        (axes, keeps): (Vec<usize>, bool),
    ) -> Result<Known, String> {
        let lazy = self.lazy(node, 0)?;
        let base = match lazy.base {
            Base::Value if lazy.curve == Curve::identity() => Some(Base::Mean),
            Base::Value if lazy.curve.is_square() => Some(Base::Squares),
            Base::Centred if lazy.axes == axes && lazy.curve.is_square() => Some(Base::Variance),
            _ => None,
        };
        let (base, view) = match base {
            Some(base) => (base, lazy.view),
            None => (Base::Mean, self.view(node, 0)?),
        };
        Ok(Known::Lazy(Lazy { base, axes, keeps, ..Lazy::of(view) }))
    }

    /// What two values make together if they are the parts of a norm.
    pub(super) fn normed(
        &mut self,
        node: &NodeProto,
        of: Binary,
        (a, b): (&Lazy, &Lazy),
    ) -> Result<Option<Known>, String> {
        let plain = |x: &Lazy| x.curve == Curve::identity();
        let same = |a: &Lazy, b: &Lazy| a.view == b.view && plain(a);
        if of == Binary::Sub
            && a.base == Base::Value
            && b.base == Base::Mean
            && plain(b)
            && same(a, b)
        {
            return Ok(Some(Known::Lazy(Lazy { base: Base::Centred, ..b.clone() })));
        }
        let (row, size, inverse) = match (of, a.base, b.base) {
            (Binary::Div, _, Base::Variance | Base::Squares) => (a, b, false),
            (Binary::Mul, _, Base::Variance | Base::Squares) => (a, b, true),
            (Binary::Mul, Base::Variance | Base::Squares, _) => (b, a, true),
            _ => return Ok(None),
        };
        let centred = match (row.base, size.base) {
            (Base::Centred, Base::Variance) if row.axes == size.axes => true,
            (Base::Value, Base::Squares) => false,
            _ => return Ok(None),
        };
        let Some((slope, epsilon)) = size.curve.root(inverse).filter(|_| same(row, size)) else {
            return Ok(None);
        };
        let norm = Norm { centred, slope, epsilon };
        let view = self.norm(name(node), &row.view, &size.axes, &norm)?;
        Ok(Some(Known::Lazy(Lazy::of(view))))
    }

    /// A norm over some axes of a row.
    fn norm(
        &mut self,
        name: &str,
        view: &View,
        axes: &[usize],
        norm: &Norm,
    ) -> Result<View, String> {
        let (order, moved, [outer, count]) = self.apart(view, axes)?;
        let dims = if outer == 1 { vec![count] } else { vec![outer, count] };
        let value = self.arrange(name, &moved, &dims)?;
        let unit = !norm.centred && (norm.slope / count as f32 - 1.0).abs() < 1e-3;
        let epsilon = norm.epsilon / norm.slope;
        let gain = vec![1.0 / norm.slope.sqrt(); count];
        let op = match norm.centred {
            true => Op::LayerNorm(gain, vec![0.0; count], epsilon),
            false if unit && norm.epsilon < 1e-4 => Op::UnitLength,
            false => Op::RmsNorm(gain, epsilon),
        };
        let value = self.add(name, op, &[value])?;
        let laid = moved.laid(value, None);
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, axis)| back[*axis] = at);
        laid.transposed(&back).ok_or_else(|| "its axes are not in order".into())
    }

    /// A view with some axes behind the others, their order, and the cells of both.
    fn apart(&self, view: &View, axes: &[usize]) -> Result<(Vec<usize>, View, [usize; 2]), String> {
        let kept: Vec<usize> = (0..view.axes.len()).filter(|at| !axes.contains(at)).collect();
        let rows = axes.iter().any(|axis| view.axes[*axis].contains(&Atom::Rows));
        if rows {
            return Err(
                "it runs along the rows of the run: images of a batch, tokens of a text".into()
            );
        }
        let order = [&kept[..], axes].concat();
        let moved = view.transposed(&order).ok_or("its axes are not in order")?;
        let dims = view.dims(1);
        let volume = |of: &[usize]| of.iter().map(|axis| dims[*axis]).product();
        Ok((order, moved, [volume(&kept), volume(axes)]))
    }

    /// Makes the base of a lazy value.
    pub(super) fn settle_base(&mut self, name: &str, lazy: &Lazy) -> Result<View, String> {
        let Lazy { base, view, axes, keeps, curve } = lazy;
        let square = Curve::identity().with(Binary::Mul, Curve::identity()).function();
        match base {
            Base::Value => Ok(view.clone()),
            Base::Mean => {
                self.check_sum(view, axes, curve)?;
                self.average(name, view, (axes, *keeps))
            }
            Base::Squares => {
                self.check_sum(view, axes, curve)?;
                let squares = self.apply(name, view, square)?;
                self.average(name, &squares, (axes, *keeps))
            }
            Base::Centred => {
                let mean = self.average(name, view, (axes, true))?;
                let minus = self.affine(name, &mean, (&[-1.0], &[0.0]), true)?;
                self.cell_by_cell(name, Op::Add, (view, &minus))
            }
            Base::Variance => {
                let centred = Lazy { base: Base::Centred, ..Lazy::of(view.clone()) };
                let centred = Lazy { axes: axes.clone(), ..centred };
                let centred = self.settle_base(name, &centred)?;
                let squares = self.apply(name, &centred, square)?;
                self.average(name, &squares, (axes, *keeps))
            }
        }
    }

    /// A sum over rows has a meaning for runs of other lengths only if it is divided by theirs.
    fn check_sum(&self, view: &View, axes: &[usize], curve: &Curve) -> Result<(), String> {
        let over_rows = axes.iter().any(|axis| view.axes[*axis].contains(&Atom::Rows));
        let sums = curve.affine().is_some_and(|(scale, _)| {
            self.rows > 1 && scale != 0.0 && (scale / self.rows as f32).fract() == 0.0
        });
        match over_rows && sums {
            true => {
                Err("rows of the run are summed and not divided by their number: use the mean"
                    .into())
            }
            false => Ok(()),
        }
    }

    pub(super) fn average(
        &mut self,
        name: &str,
        view: &View,
        (axes, keeps): (&[usize], bool),
    ) -> Result<View, String> {
        let rows = |axis: &usize| view.axes[*axis].contains(&Atom::Rows);
        let within: Vec<usize> = axes.iter().filter(|axis| !rows(axis)).copied().collect();
        let mut view = match within.is_empty() {
            true => view.clone(),
            false => self.window_over(name, view, (&within, true), Op::AvgPool)?,
        };
        if let Some(over) = axes.iter().find(|axis| rows(axis)) {
            let [Atom::Rows] = view.axes[*over][..] else {
                return Err("it takes the mean over rows of the run and their cells at once".into());
            };
            view = view.of(self.add(name, Op::MeanRows, &[view.value])?);
            view.axes[*over].clear();
        }
        if !keeps {
            let kept = view.axes.into_iter().enumerate().filter(|(at, _)| !axes.contains(at));
            view.axes = kept.map(|(_, axis)| axis).collect();
        }
        Ok(view)
    }

    /// One value for all cells of some axes, by pooling.
    pub(super) fn window_over(
        &mut self,
        name: &str,
        view: &View,
        (axes, keeps): (&[usize], bool),
        op: fn(Window) -> Op,
    ) -> Result<View, String> {
        let (_, moved, [outer, count]) = self.apart(view, axes)?;
        let side = (1..=MAX_WINDOW).rev().find(|side| count.is_multiple_of(*side)).unwrap_or(1);
        let sides = [count / side, side];
        if sides[0] > MAX_WINDOW {
            return Err(format!(
                "it takes {count} values together, in windows of at most {MAX_WINDOW}"
            ));
        }
        let value = self.arrange(name, &moved, &[outer, sides[0], sides[1]])?;
        let window = Window { size: sides, stride: [1; 2], before: [0; 2], after: [0; 2] };
        let value: Value = self.add(name, op(window), &[value])?;
        let kept = view.axes.len() - axes.len();
        let mut made = View { value, axes: moved.axes[..kept].to_vec() };
        made = made.laid(value, None);
        if keeps {
            axes.iter().for_each(|axis| made.axes.insert(*axis, vec![]));
        }
        Ok(made)
    }

    pub(super) fn layer_norm(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let rank = view.axes.len();
        let first = axis(int(node, "axis", -1), rank)?;
        let axes: Vec<usize> = (first..rank).collect();
        let epsilon = float(node, "epsilon", 1e-5);
        let centred =
            !matches!(&node.op_type[..], "RMSNormalization" | "SimplifiedLayerNormalization");
        let made = self.norm(name(node), &view, &axes, &Norm { centred, slope: 1.0, epsilon })?;
        self.gains(node, made, (1, 2))
    }

    /// A gain and a bias for every cell, by the operands that hold them.
    fn gains(
        &mut self,
        node: &NodeProto,
        view: View,
        (gain, bias): (usize, usize),
    ) -> Result<Known, String> {
        let count = self.graph.node(view.value).dims.last().copied().unwrap_or(1);
        let constants = |found: Option<super::constant::Constant>, default: f32| match found {
            Some(constant) => constant.channels(count),
            None => Ok(vec![default; count]),
        };
        let gain = constants(self.optional(node, gain)?, 1.0)?;
        let bias = constants(self.optional(node, bias)?, 0.0)?;
        let width = self.graph.node(view.value).width();
        let all = |list: &[f32]| -> Vec<f32> { (0..width).map(|at| list[at % count]).collect() };
        let view = self.affine(name(node), &view, (&all(&gain), &all(&bias)), true)?;
        Ok(Known::Lazy(Lazy::of(view)))
    }

    /// A norm of every channel, or group of channels, of an image by itself.
    pub(super) fn instance_norm(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        let &[rows, channels, ..] = &dims[..] else {
            return Err("only images are normed so".into());
        };
        let groups = match &node.op_type[..] {
            "GroupNormalization" => usize::try_from(int(node, "num_groups", 1)).unwrap_or(0),
            _ => channels,
        };
        let plane: usize = dims[2..].iter().product();
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(format!("{channels} channels are not {groups} groups"));
        }
        let grouped = view.reshaped(&[rows, groups, channels / groups * plane], self.rows);
        let grouped = grouped.ok_or("its axes are not those of images")?;
        let norm = Norm { centred: true, slope: 1.0, epsilon: float(node, "epsilon", 1e-5) };
        let made = self.norm(name(node), &grouped, &[2], &norm)?;
        let made = made.reshaped(&dims, self.rows).ok_or("its axes are not those of images")?;
        let value =
            self.shaped(name(node), made.value, &[channels, dims[2], plane / dims[2].max(1)])?;
        let made = made.of(value);
        let constants = |found: Option<super::constant::Constant>, default: f32| match found {
            Some(list) if list.len() == groups => {
                let list = list.finite()?;
                Ok((0..channels).map(|at| list[at * groups / channels]).collect::<Vec<_>>())
            }
            Some(list) => list.channels(channels),
            None => Ok(vec![default; channels]),
        };
        let scale = constants(self.optional(node, 1)?, 1.0)?;
        let shift = constants(self.optional(node, 2)?, 0.0)?;
        let all = |list: &[f32]| -> Vec<f32> {
            (0..channels * plane).map(|at| list[at / plane]).collect()
        };
        let made = self.affine(name(node), &made, (&all(&scale), &all(&shift)), false)?;
        Ok(Known::Lazy(Lazy::of(made)))
    }

    /// The axes that a softmax or a search runs over: before version 13 a softmax ran over all from
    /// one on.
    fn softmax_axes(
        &self,
        node: &NodeProto,
        softmax: bool,
        rank: usize,
    ) -> Result<Vec<usize>, String> {
        let old = softmax && self.opset < 13;
        let default = match (softmax, old) {
            (true, false) => -1,
            (true, true) => 1,
            _ => 0,
        };
        let first = axis(int(node, "axis", default), rank)?;
        Ok((first..if old { rank } else { first + 1 }).collect())
    }

    /// Logarithms of probabilities, and of the sum that these are shares of:
    /// `l = m + log(sum of e^(x - m))` of the greatest `m`, and `x - l`.
    pub(super) fn logarithms(&mut self, node: &NodeProto) -> Result<Known, String> {
        let (view, name) = (self.view(node, 0)?, name(node));
        let rank = view.axes.len();
        let sum = node.op_type == "ReduceLogSumExp";
        let found = match sum {
            true => axes(node, self.optional(node, 1)?.as_ref(), rank)?.unwrap_or_default(),
            false => self.softmax_axes(node, true, rank)?,
        };
        let found = if found.is_empty() { (0..rank).collect() } else { found };
        let dims = view.dims(self.rows);
        let count: usize = found.iter().map(|axis| dims[*axis]).product();
        let most = self.window_over(name, &view, (&found, true), Op::MaxPool)?;
        let minus = self.affine(name, &most, (&[-1.0], &[0.0]), false)?;
        let below = self.cell_by_cell(name, Op::Add, (&view, &minus))?;
        let powers = self.apply(name, &below, Function::Exp)?;
        let mean = self.average(name, &powers, (&found, true))?;
        let scaled = Curve::identity().with(Binary::Mul, Curve::number(count as f32));
        let log = self.apply(name, &mean, Function::Curve(scaled.then(Function::Log)))?;
        let made = match sum {
            true => {
                let mut made = self.cell_by_cell(name, Op::Add, (&log, &most))?;
                if int(node, "keepdims", 1) == 0 {
                    let kept = made.axes.into_iter().enumerate();
                    let kept = kept.filter(|(at, _)| !found.contains(at));
                    made.axes = kept.map(|(_, axis)| axis).collect();
                }
                made
            }
            false => {
                let minus = self.affine(name, &log, (&[-1.0], &[0.0]), true)?;
                self.cell_by_cell(name, Op::Add, (&below, &minus))?
            }
        };
        Ok(Known::Lazy(Lazy::of(made)))
    }

    /// Sums of all cells up to each one of an axis: a product by ones and zeros.
    pub(super) fn cumulated(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let along = self.constant(node, 1)?.to_integers();
        let &[along] = &along[..] else { return Err("it names no axis".into()) };
        let along = axis(along, view.axes.len())?;
        let count = view.dims(self.rows)[along];
        let (without, backwards) = (int(node, "exclusive", 0) != 0, int(node, "reverse", 0) != 0);
        let summed = |at: usize| {
            let (new, old) = (at / count, at % count);
            let (near, far) = if backwards { (new, old) } else { (old, new) };
            f32::from(near < far || near == far && !without)
        };
        if count > MAX_WINDOW * 16 {
            return Err(format!("it sums along {count} cells"));
        }
        let weights = Matrix::new(count, (0..count * count).map(summed).collect());
        Ok(Known::Lazy(Lazy::of(self.mixed_along(node, &view, along, weights)?)))
    }

    /// Probabilities, or the place of the greatest, along an axis.
    pub(super) fn along(&mut self, node: &NodeProto, op: Op) -> Result<Known, String> {
        let softmax = op == Op::Softmax;
        let mut view = self.view(node, 0)?;
        if node.op_type == "ArgMin" {
            view = self.affine(name(node), &view, (&[-1.0], &[0.0]), false)?;
        }
        let rank = view.axes.len();
        let axes = self.softmax_axes(node, softmax, rank)?;
        let first = axes[0];
        let (order, moved, [outer, count]) = self.apart(&view, &axes)?;
        let kept = order.len() - axes.len();
        let mut dims: Vec<usize> = match &moved.dims(1)[..kept] {
            _ if outer == 1 => vec![],
            dims => rank_three(&dims.iter().copied().filter(|dim| *dim > 1).collect::<Vec<_>>()),
        };
        if dims.len() > 2 {
            dims = vec![outer];
        }
        dims.push(count);
        let value = self.arrange(name(node), &moved, &dims)?;
        let value = self.add(name(node), op, &[value])?;
        if softmax {
            let mut back = vec![0; order.len()];
            order.iter().enumerate().for_each(|(at, axis)| back[*axis] = at);
            let laid = moved.laid(value, None);
            let view = laid.transposed(&back).ok_or("its axes are not in order")?;
            return Ok(Known::Lazy(Lazy::of(view)));
        }
        let mut made = View { value, axes: moved.axes[..kept].to_vec() }.laid(value, None);
        if int(node, "keepdims", 1) != 0 {
            made.axes.insert(first, cells(&[1]).concat());
        }
        Ok(Known::Lazy(Lazy::of(made)))
    }
}

fn curved(known: Known, of: impl FnOnce(Curve) -> Curve) -> Known {
    match known {
        Known::Lazy(lazy) => Known::Lazy(lazy.curved(of)),
        other => other,
    }
}
