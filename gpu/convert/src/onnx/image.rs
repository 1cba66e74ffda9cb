//! Read operators of images: convolutions, pools, padding, resizing, norms over batches.

use neura_int8::{MAX_WINDOW, ops::conv::Window};
use tract_onnx::pb::NodeProto;

use super::{
    known::{Known, Lazy},
    name,
    proto::{float, int, ints, text},
    reader::Reader,
    view::View,
};
use crate::{Curve, Function, Matrix, Op, Value};

impl Reader<'_> {
    /// An operand as an image of `[channels, height, width]`; signals have a height of 1.
    fn image(&mut self, node: &NodeProto) -> Result<(View, Value, [usize; 3]), String> {
        let view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        let sides = match dims[..] {
            [_, channels, height, width] => [channels, height, width],
            [_, channels, length] => [channels, 1, length],
            _ => return Err(format!("only images and signals are taken, its operand is {dims:?}")),
        };
        if view.rows_axis() != Some(0) {
            return Err("the first axis of its operand is not the batch's".into());
        }
        let value = self.arrange(name(node), &view, &sides)?;
        Ok((view, value, sides))
    }

    /// An image that was made, with the axes of the operand.
    fn imaged(&self, value: Value, signal: bool) -> Known {
        let dims = &self.graph.node(value).dims;
        let dims = if signal { vec![dims[0], dims[2]] } else { dims.clone() };
        Known::Lazy(Lazy::of(View::plain(value, &dims)))
    }

    pub(super) fn conv(&mut self, node: &NodeProto) -> Result<Known, String> {
        let weights = self.constant(node, 1)?;
        let (outputs, inner, size) = match weights.dims[..] {
            [outputs, inner, height, width] => (outputs, inner, [height, width]),
            [outputs, inner, length] => (outputs, inner, [1, length]),
            _ => {
                return Err(format!(
                    "only images are convolved, its weights have {:?}",
                    weights.dims
                ));
            }
        };
        let (view, value, sides) = self.image(node)?;
        let dilations = self.pair(node, "dilations", 1)?;
        let (cells, size) = dilated(&weights.finite()?, size, dilations)?;
        let bias = match self.optional(node, 2)? {
            Some(bias) => bias.channels(outputs)?,
            None => vec![0.0; outputs],
        };
        let window = self.window(node, size, sides)?;
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        let weights = Matrix::new(inner * size[0] * size[1], cells);
        let value = self.add(name(node), Op::Conv(weights, bias, window, groups), &[value])?;
        Ok(self.imaged(value, view.axes.len() == 3))
    }

    /// Two sides of a list that has one for signals.
    fn pair(&self, node: &NodeProto, list: &str, default: usize) -> Result<[usize; 2], String> {
        let side = |x: i64| {
            let side = usize::try_from(x).ok().filter(|side| (1..=MAX_WINDOW).contains(side));
            side.ok_or_else(|| format!("its {list} hold {x}, from 1 to {MAX_WINDOW} are taken"))
        };
        match *ints(node, list) {
            [] => Ok([default; 2]),
            [width] => Ok([1, side(width)?]),
            [height, width] => Ok([side(height)?, side(width)?]),
            _ => Err("only images and signals are taken".into()),
        }
    }

    /// The window of a node that moves one over an image.
    fn window(
        &self,
        node: &NodeProto,
        size: [usize; 2],
        [_, height, width]: [usize; 3],
    ) -> Result<Window, String> {
        if size.iter().any(|side| *side == 0 || *side > MAX_WINDOW) {
            return Err(format!("its window is {size:?}, sides from 1 to {MAX_WINDOW} are taken"));
        }
        let stride = self.pair(node, "strides", 1)?;
        let side = |x: i64| {
            let side = usize::try_from(x).ok().filter(|side| *side <= MAX_WINDOW);
            side.ok_or_else(|| format!("its pads hold {x}, from 0 to {MAX_WINDOW} are taken"))
        };
        let (mut before, mut after) = match *ints(node, "pads") {
            [] => ([0; 2], [0; 2]),
            [left, right] => ([0, side(left)?], [0, side(right)?]),
            [top, left, bottom, right] => {
                ([side(top)?, side(left)?], [side(bottom)?, side(right)?])
            }
            _ => return Err("its pads are not those of an image".into()),
        };
        let auto = text(node, "auto_pad");
        for (axis, length) in [height, width].into_iter().enumerate() {
            let (size, step) = (size[axis], stride[axis]);
            if auto.starts_with("SAME") {
                let whole = (length.div_ceil(step) - 1) * step + size;
                let padding = whole.saturating_sub(length);
                let (less, more) = (padding / 2, padding.div_ceil(2));
                let lower = auto == "SAME_LOWER";
                (before[axis], after[axis]) = if lower { (more, less) } else { (less, more) };
            }
            let room = (length + before[axis] + after[axis]).saturating_sub(size);
            if int(node, "ceil_mode", 0) != 0 && !room.is_multiple_of(step) {
                // One more window, as long as it begins on the image or in front of it.
                let start = (room / step + 1) * step;
                if start < length + before[axis] {
                    after[axis] += step - room % step;
                }
            }
        }
        Ok(Window { size, stride, before, after })
    }

    pub(super) fn pool(&mut self, node: &NodeProto) -> Result<Known, String> {
        let size = self.pair(node, "kernel_shape", 1)?;
        let dilations = self.pair(node, "dilations", 1)?;
        if dilations != [1; 2] {
            return Err("its window is dilated".into());
        }
        if node.output.iter().skip(1).any(|output| !output.is_empty()) {
            return Err("it also gives the places of what is greatest".into());
        }
        let (view, value, sides) = self.image(node)?;
        let window = self.window(node, size, sides)?;
        let padded = window.before != [0; 2] || window.after != [0; 2];
        let op = match &node.op_type[..] {
            "MaxPool" => Op::MaxPool(window),
            _ if padded && int(node, "count_include_pad", 0) != 0 => {
                if int(node, "ceil_mode", 0) != 0 {
                    return Err("it counts cells outside the image and rounds sizes up".into());
                }
                // Cells outside are zeros that count: a convolution by equal weights.
                let count = size[0] * size[1];
                let weights = Matrix::new(count, vec![1.0 / count as f32; sides[0] * count]);
                Op::Conv(weights, vec![0.0; sides[0]], window, sides[0])
            }
            _ => Op::AvgPool(window),
        };
        let value = self.add(name(node), op, &[value])?;
        Ok(self.imaged(value, view.axes.len() == 3))
    }

    pub(super) fn global_pool(&mut self, node: &NodeProto) -> Result<Known, String> {
        let (view, value, [_, height, width]) = self.image(node)?;
        let window =
            Window { size: [height, width], stride: [1; 2], before: [0; 2], after: [0; 2] };
        let op = match &node.op_type[..] {
            "GlobalMaxPool" => Op::MaxPool(window),
            _ => Op::AvgPool(window),
        };
        let value = self.add(name(node), op, &[value])?;
        Ok(self.imaged(value, view.axes.len() == 3))
    }

    pub(super) fn batch_norm(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        let &[_, count, ..] = &dims[..] else {
            return Err("its operand has no channels".into());
        };
        let mut lists = Vec::new();
        for operand in 1..5 {
            lists.push(self.constant(node, operand)?.channels(count)?);
        }
        let epsilon = float(node, "epsilon", 1e-5);
        let scale: Vec<f32> =
            (0..count).map(|at| lists[0][at] / (lists[3][at] + epsilon).sqrt()).collect();
        let shift: Vec<f32> =
            (0..count).map(|at| lists[1][at] - lists[2][at] * scale[at]).collect();
        let rank = dims.len();
        let along = |list: Vec<f32>| {
            let dims = (0..rank).map(|at| if at == 1 { count } else { 1 }).collect();
            super::constant::Constant::floats(dims, list)
        };
        let cells = |list: Vec<f32>| -> Result<Vec<f32>, String> {
            let lists = super::arithmetic::spread(&along(list), &view, self.rows)?;
            lists.into_iter().next().ok_or_else(|| "it has no channels".into())
        };
        let (scale, shift) = (cells(scale)?, cells(shift)?);
        let alone = self.is_last_use(node, 0);
        let view = self.affine(name(node), &view, (&scale, &shift), alone)?;
        Ok(Known::Lazy(Lazy::of(view)))
    }

    /// Constants around a value.
    pub(super) fn pad(&mut self, node: &NodeProto) -> Result<Known, String> {
        super::fold::expect_text(node, "mode", "constant")?;
        let mut view = self.view(node, 0)?;
        let rank = view.axes.len();
        let pads = match self.optional(node, 1)? {
            Some(list) => list.to_integers(),
            None => ints(node, "pads").to_vec(),
        };
        if self.has(node, 3) || pads.len() != rank * 2 {
            return Err(format!("it pads {} sides of {rank} axes", pads.len()));
        }
        let number = match self.optional(node, 2)? {
            Some(value) => value.uniform().ok_or("what it pads with is no number")?,
            None => float(node, "value", 0.0),
        };
        if !number.is_finite() {
            return Err("it pads with what is not a finite number".into());
        }
        for axis in 0..rank {
            let side = |x: i64| match usize::try_from(x) {
                Ok(side) if side <= neura_int8::MAX_DIM => Ok(side),
                _ => Err(format!("it pads by {x}: take a slice instead")),
            };
            let (before, after) = (side(pads[axis])?, side(pads[axis + rank])?);
            if before + after > 0 {
                view = self.padded(node, &view, (axis, before, after), number)?;
            }
        }
        Ok(Known::Lazy(Lazy::of(view)))
    }

    /// An axis with numbers before and after it.
    fn padded(
        &mut self,
        node: &NodeProto,
        view: &View,
        (axis, before, after): (usize, usize, usize),
        number: f32,
    ) -> Result<View, String> {
        let dims = view.dims(self.rows);
        let mut parts = Vec::new();
        for (length, own) in [(before, false), (dims[axis], true), (after, false)] {
            if own {
                parts.push(view.clone());
            } else if length > 0 {
                let mut sides = view.dims(1);
                sides[axis] = length;
                let count: usize = sides.iter().product();
                if count > super::MAX_CELLS || view.axes[axis].contains(&super::view::Atom::Rows) {
                    return Err("it pads the batch, or by too much".into());
                }
                let cells = Op::Constant(vec![number; count]);
                let value = self.add(&format!("{}.padding", name(node)), cells, &[view.value])?;
                let mut padding = View { value, axes: super::view::cells(&sides) };
                if let Some(rows) = view.rows_axis() {
                    padding.axes[rows].insert(0, super::view::Atom::Rows);
                }
                parts.push(padding);
            }
        }
        self.join(name(node), &parts, axis)
    }

    /// An image made greater by repeating its cells.
    pub(super) fn resize(&mut self, node: &NodeProto) -> Result<Known, String> {
        let mode = text(node, "mode");
        if !(mode.is_empty() || mode == "nearest") {
            return Err(format!("it interpolates ({mode}), only 'nearest' is taken"));
        }
        let mut view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        // Version 9 of Upsample has the factors second; Resize third, or sizes fourth.
        let at = if node.op_type == "Upsample" || self.opset < 11 { 1 } else { 2 };
        let wanted: Vec<f32> = match (self.optional(node, at)?, self.optional(node, 3)?) {
            (Some(scales), _) if scales.len() > 0 => scales.to_floats(),
            (_, Some(sizes)) => {
                sizes.to_floats().iter().zip(&dims).map(|(size, dim)| size / *dim as f32).collect()
            }
            _ => super::proto::attribute(node, "scales")
                .map(|a| a.floats.clone())
                .unwrap_or_default(),
        };
        if wanted.len() != dims.len() {
            return Err("what it scales by is not known".into());
        }
        let whole = |by: &f32| (1.0..=64.0).contains(by) && by.fract() == 0.0;
        if let Some(by) = wanted.iter().find(|by| !whole(by)) {
            return Err(format!("it scales by {by}: whole numbers up to 64 are taken"));
        }
        for (axis, by) in wanted.iter().enumerate().filter(|(_, by)| **by > 1.0) {
            // Each cell as an axis of its own, made longer, and joined with the one before.
            let mut split = view.dims(self.rows);
            split.insert(axis + 1, 1);
            let thin = view.reshaped(&split, self.rows).ok_or("its axes cannot be split")?;
            split[axis + 1] = *by as usize;
            let thick = self.expand(name(node), &thin, &split)?;
            let mut joined = thick.clone();
            let inner = joined.axes.remove(axis + 1);
            joined.axes[axis].extend(inner);
            view = joined;
        }
        Ok(Known::Lazy(Lazy::of(view)))
    }

    /// Channels over those near them: `x / (bias + alpha / size * sum of squares) ^ beta`.
    pub(super) fn local_norm(&mut self, node: &NodeProto) -> Result<Known, String> {
        let (view, value, [channels, ..]) = self.image(node)?;
        let size = usize::try_from(int(node, "size", 1)).unwrap_or(0);
        if size == 0 || size > channels.saturating_mul(2) {
            return Err(format!("its window over {channels} channels is {size}"));
        }
        let (alpha, beta) = (float(node, "alpha", 1e-4), float(node, "beta", 0.75));
        let bias = float(node, "bias", 1.0);
        let near = |at: usize| {
            let (out, from) = (at / channels, at % channels);
            from + (size - 1) / 2 >= out && from <= out + size / 2
        };
        let weight = alpha / size as f32;
        let weights = (0..channels * channels).map(|at| if near(at) { weight } else { 0.0 });
        let weights = Matrix::new(channels, weights.collect());
        let name = name(node);
        let square = Curve::identity().with(crate::Binary::Mul, Curve::identity()).function();
        let squares = self.add(name, Op::Apply(square), &[value])?;
        let sum = Op::Conv(weights, vec![bias; channels], Window::square(1, 1, 0), 1);
        let sum = self.add(name, sum, &[squares])?;
        let power = Curve::identity().with(crate::Binary::Pow, Curve::number(-beta));
        let under = self.add(name, Op::Apply(Function::Curve(power)), &[sum])?;
        let made = self.add(name, Op::Mul, &[value, under])?;
        Ok(self.imaged(made, view.axes.len() == 3))
    }
}

/// Weights with zeros between them, and the window that these make.
fn dilated(
    weights: &[f32],
    size: [usize; 2],
    by: [usize; 2],
) -> Result<(Vec<f32>, [usize; 2]), String> {
    let side = |axis: usize| size[axis].saturating_sub(1).saturating_mul(by[axis]) + 1;
    let wide = [side(0), side(1)];
    let plane = size[0] * size[1];
    let cells = (weights.len() / plane.max(1)).saturating_mul(wide[0]).saturating_mul(wide[1]);
    if plane == 0 || wide.iter().any(|side| *side > MAX_WINDOW) || cells > super::MAX_CELLS * 16 {
        return Err(format!("its window, dilated, is {wide:?}: sides to {MAX_WINDOW} are taken"));
    }
    if by == [1; 2] {
        return Ok((weights.to_vec(), size));
    }
    let mut made = vec![0.0; cells];
    for (kernel, from) in weights.chunks_exact(plane).enumerate() {
        for (at, weight) in from.iter().enumerate() {
            let (row, col) = (at / size[1] * by[0], at % size[1] * by[1]);
            made[(kernel * wide[0] + row) * wide[1] + col] = *weight;
        }
    }
    Ok((made, wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dilation_puts_zeros_between_weights() {
        let (made, size) = dilated(&[1.0, 2.0, 3.0, 4.0], [2, 2], [1, 2]).unwrap();
        assert_eq!((made, size), (vec![1.0, 0.0, 2.0, 3.0, 0.0, 4.0], [2, 3]));
        assert!(dilated(&[1.0; 9], [3, 3], [200, 1]).is_err());
    }
}
