//! Read operators of images: convolutions, pools, padding, resizing, norms over batches.

use neura_int8::{MAX_WINDOW, ops::conv::Window};
use tract_onnx::pb::NodeProto;

use super::{
    constant::Constant,
    known::{Known, Lazy},
    name,
    proto::{float, int, ints, text},
    reader::Reader,
    view::View,
};
use crate::{Curve, Function, Matrix, Op, Value};

impl Reader<'_> {
    /// An operand as an image of `[channels, height, width]`; signals have a height of 1.
    pub(super) fn image(&mut self, node: &NodeProto) -> Result<(View, Value, [usize; 3]), String> {
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
        let bias = self.optional(node, 2)?;
        self.convolved(node, &weights, bias)
    }

    /// The first operand of a node convolved by weights.
    pub(super) fn convolved(
        &mut self,
        node: &NodeProto,
        weights: &Constant,
        bias: Option<Constant>,
    ) -> Result<Known, String> {
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
        let by = self.pair(node, "dilations", 1)?;
        let spread = [0, 1].map(|axis| size[axis].saturating_sub(1).saturating_mul(by[axis]) + 1);
        let window = self.window(node, spread, sides)?;
        let kernel = Kernel { cells: weights.finite()?, size, by };
        let (kernel, window) = kernel.within(window, [sides[1], sides[2]]);
        let cells = kernel.dilated()?;
        let bias = match bias {
            Some(bias) => bias.channels(outputs)?,
            None => vec![0.0; outputs],
        };
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        let weights = Matrix::new(inner * window.size[0] * window.size[1], cells);
        let value = self.add(name(node), Op::Conv(weights, bias, window, groups), &[value])?;
        Ok(self.imaged(value, view.axes.len() == 3))
    }

    /// Two sides of a list that has one for signals.
    pub(super) fn pair(
        &self,
        node: &NodeProto,
        list: &str,
        default: usize,
    ) -> Result<[usize; 2], String> {
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
            Constant::floats(dims, list)
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

    /// Constants around a value, or its own cells again.
    pub(super) fn pad(&mut self, node: &NodeProto) -> Result<Known, String> {
        let mode = text(node, "mode");
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
            view = match &mode[..] {
                _ if before + after == 0 => view,
                "" | "constant" => self.padded(node, &view, (axis, before, after), number)?,
                mode => {
                    let length = view.dims(self.rows)[axis];
                    let places = around(mode, length, (before, after))?;
                    self.picked(name(node), &view, axis, &places)?
                }
            };
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

    /// Cells of channels as places of the image, or the other way.
    pub(super) fn block(&mut self, node: &NodeProto) -> Result<Known, String> {
        let view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        let &[rows, channels, height, width] = &dims[..] else {
            return Err("only images are taken".into());
        };
        let by = int(node, "blocksize", 0);
        let by = usize::try_from(by).ok().filter(|by| (1..=super::MAX_CELLS).contains(by));
        let by = by.ok_or("its blocksize is no length: give 1 or more")?;
        let deep = node.op_type == "DepthToSpace";
        let column_first = text(node, "mode") == "CRD";
        let fits = match deep {
            true => channels.is_multiple_of(by * by),
            false => height.is_multiple_of(by) && width.is_multiple_of(by),
        };
        if !fits {
            return Err(format!("blocks of {by} do not fit {dims:?}"));
        }
        let (split, order, made) = match (deep, column_first) {
            (true, false) => {
                let depth = channels / (by * by);
                let split = vec![rows, by, by, depth, height, width];
                (split, [0, 3, 4, 1, 5, 2], [rows, depth, height * by, width * by])
            }
            (true, true) => {
                let depth = channels / (by * by);
                let split = vec![rows, depth, by, by, height, width];
                (split, [0, 1, 4, 2, 5, 3], [rows, depth, height * by, width * by])
            }
            (false, _) => {
                let split = vec![rows, channels, height / by, by, width / by, by];
                (split, [0, 3, 5, 1, 2, 4], [rows, channels * by * by, height / by, width / by])
            }
        };
        let moved = view.reshaped(&split, self.rows).and_then(|view| view.transposed(&order));
        let made = moved.and_then(|view| view.reshaped(&made, self.rows));
        let made = made.ok_or("its axes cannot be split")?;
        Ok(Known::Lazy(Lazy::of(made)))
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

/// The places of an axis that padding by its own cells puts side by side.
fn around(
    mode: &str,
    length: usize,
    (before, after): (usize, usize),
) -> Result<Vec<usize>, String> {
    let last = length as isize - 1;
    let place = |at: isize| match mode {
        "edge" => Ok(at.clamp(0, last)),
        "wrap" => Ok(at.rem_euclid(length as isize)),
        "reflect" if (-last..=2 * last).contains(&at) => Ok(last - (last - at.abs()).abs()),
        "reflect" => Err(format!("it pads {length} cells by more than they are")),
        other => Err(format!("its mode is '{other}': constant, reflect, edge, wrap are taken")),
    };
    let from = -(before as isize);
    let places = (from..(length + after) as isize).map(place);
    places.map(|at| at.map(|at| at as usize)).collect()
}

/// Weights of a window, so many cells apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kernel {
    /// Window after window.
    pub(super) cells: Vec<f32>,
    pub(super) size: [usize; 2],
    pub(super) by: [usize; 2],
}

impl Kernel {
    /// Without the weights at an end that lie outside an image wherever the window is.
    fn within(mut self, mut window: Window, sides: [usize; 2]) -> (Self, Window) {
        for axis in [0, 1] {
            let by = self.by[axis];
            let padded = sides[axis] + window.before[axis] + window.after[axis];
            let Some(room) = padded.checked_sub(window.size[axis]) else { continue };
            let last = room / window.stride[axis] * window.stride[axis];
            // The last place of the window reaches furthest up, the first furthest down.
            let size = self.size[axis];
            let above = |tap: &usize| last + tap * by < window.before[axis];
            let below = |tap: &usize| tap * by >= window.before[axis] + sides[axis];
            let first = (0..size.saturating_sub(1)).take_while(above).count();
            let gone = (first + 1..size).rev().take_while(below).count();
            self = self.without(axis, (first, gone));
            window.before[axis] = window.before[axis].saturating_sub(first * by);
            window.after[axis] = window.after[axis].saturating_sub(gone * by);
            window.size[axis] = window.size[axis].saturating_sub((first + gone) * by);
        }
        (self, window)
    }

    /// Without some of the first and the last weights along an axis.
    fn without(self, axis: usize, (first, gone): (usize, usize)) -> Self {
        if (first, gone) == (0, 0) {
            return self;
        }
        let mut size = self.size;
        size[axis] -= first + gone;
        let start = if axis == 0 { [first, 0] } else { [0, first] };
        let plane = self.size[0] * self.size[1];
        let kept = |window: &[f32]| -> Vec<f32> {
            let rows = (start[0]..start[0] + size[0]).map(|row| row * self.size[1] + start[1]);
            rows.flat_map(|at| window[at..at + size[1]].to_vec()).collect()
        };
        let cells = self.cells.chunks_exact(plane).flat_map(kept).collect();
        Kernel { cells, size, by: self.by }
    }

    /// With zeros between the weights.
    pub(super) fn dilated(&self) -> Result<Vec<f32>, String> {
        let (size, by) = (self.size, self.by);
        let wide = [0, 1].map(|axis| size[axis].saturating_sub(1).saturating_mul(by[axis]) + 1);
        let plane = size[0] * size[1];
        let count = (self.cells.len() / plane.max(1)).saturating_mul(wide[0]);
        let count = count.saturating_mul(wide[1]);
        if wide.iter().any(|side| *side > MAX_WINDOW) || count > super::MAX_CELLS * 16 {
            return Err(format!(
                "its window, dilated, is {wide:?}, which makes {count} weights: sides to {MAX_WINDOW} and {} weights are taken",
                super::MAX_CELLS * 16
            ));
        }
        if by == [1; 2] || plane == 0 {
            return Ok(self.cells.clone());
        }
        let mut made = vec![0.0; count];
        for (kernel, from) in self.cells.chunks_exact(plane).enumerate() {
            for (at, weight) in from.iter().enumerate() {
                let (row, col) = (at / size[1] * by[0], at % size[1] * by[1]);
                made[(kernel * wide[0] + row) * wide[1] + col] = *weight;
            }
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(cells: &[f32], size: [usize; 2], by: [usize; 2]) -> Kernel {
        Kernel { cells: cells.to_vec(), size, by }
    }

    #[test]
    fn dilation_puts_zeros_between_weights() {
        let made = kernel(&[1.0, 2.0, 3.0, 4.0], [2, 2], [1, 2]).dilated();
        assert_eq!(made, Ok(vec![1.0, 0.0, 2.0, 3.0, 0.0, 4.0]));
        assert!(kernel(&[1.0; 9], [3, 3], [200, 1]).dilated().is_err());
    }

    #[test]
    fn padding_by_own_cells_mirrors_repeats_or_goes_round() {
        assert_eq!(around("reflect", 3, (2, 2)), Ok(vec![2, 1, 0, 1, 2, 1, 0]));
        assert_eq!(around("edge", 3, (2, 1)), Ok(vec![0, 0, 0, 1, 2, 2]));
        assert_eq!(around("wrap", 3, (1, 1)), Ok(vec![2, 0, 1, 2, 0]));
        assert!(around("reflect", 2, (2, 0)).is_err() && around("other", 2, (1, 0)).is_err());
    }

    #[test]
    fn weights_that_never_meet_the_image_are_left_out() {
        // Three weights a cell of 12 apart over 4 cells: only the middle one sees any.
        let window = Window { size: [1, 25], stride: [1; 2], before: [0, 12], after: [0, 12] };
        let (made, window) = kernel(&[1.0, 2.0, 3.0], [1, 3], [1, 12]).within(window, [1, 4]);
        assert_eq!((made.cells, window), (vec![2.0], Window::square(1, 1, 0)));
        let window = Window { size: [1, 3], stride: [1; 2], before: [0, 1], after: [0, 1] };
        let whole = kernel(&[1.0, 2.0, 3.0], [1, 3], [1, 1]);
        assert_eq!(whole.clone().within(window, [1, 4]), (whole, window));
    }
}
