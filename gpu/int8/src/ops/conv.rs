//! Convolve images.

use super::{
    Call, Cells, Operator, Ranging, Site, Typing,
    linear::{
        bias_cell, channels_range, check_finish, decode_bias, decode_finish, encode_bias,
        encode_finish, factors, finish_cell, finish_rows, finished,
    },
};
use crate::{
    DType, Data, Kernels, MAX_DIM, MAX_WINDOW, ModelError, NodeProblem, ParamId, Product, Requant,
    codec::{Reader, Writer},
    error::within,
    graph::ValueType,
    num,
    range::Interval,
};

/// A window over the two last axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub size: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Rows and columns before the image: above, to the left.
    pub before: [usize; 2],
    /// Rows and columns after the image: below, to the right.
    pub after: [usize; 2],
}

impl Window {
    /// A window of equal sides that moves by `stride`, with `padding` on every side.
    #[must_use]
    pub fn square(size: usize, stride: usize, padding: usize) -> Self {
        Window { size: [size; 2], stride: [stride; 2], before: [padding; 2], after: [padding; 2] }
    }

    /// Height and width of what moving over an image makes.
    pub(super) fn over(&self, height: usize, width: usize) -> Result<[usize; 2], NodeProblem> {
        let most = num::signed(MAX_WINDOW);
        let mut made = [0; 2];
        for (axis, (made, length)) in made.iter_mut().zip([height, width]).enumerate() {
            let side = |sides: [usize; 2]| sides.get(axis).copied().unwrap_or(0);
            let size = side(self.size);
            within("the window's side", num::signed(size), 1, most)?;
            within("the stride", num::signed(side(self.stride)), 1, most)?;
            for padding in [side(self.before), side(self.after)] {
                // Less than the window, so that each position sees some of the image.
                within("the padding", num::signed(padding), 0, num::signed(size).wrapping_sub(1))?;
            }
            let padded = length.saturating_add(side(self.before)).saturating_add(side(self.after));
            let room = padded.checked_sub(size).ok_or(NodeProblem::Dims {
                what: "the window, on the padded image,",
                found: vec![size],
                expected: vec![padded],
            })?;
            *made = num::split(room, side(self.stride)).0.saturating_add(1);
        }
        Ok(made)
    }

    /// The cell of the image under cell (`down`, `right`) of the window at (`y`, `x`).
    pub(super) fn under(
        &self,
        (y, x): (usize, usize),
        (down, right): (usize, usize),
        (height, width): (usize, usize),
    ) -> Option<usize> {
        let [step_down, step_right] = self.stride;
        let [above, left] = self.before;
        let row = num::join(y, step_down, down).checked_sub(above).filter(|row| *row < height)?;
        let col = num::join(x, step_right, right).checked_sub(left).filter(|col| *col < width)?;
        Some(num::join(row, width, col))
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        for sides in [self.size, self.stride, self.before, self.after] {
            sides.iter().for_each(|side| out.count(*side));
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let mut pair = || Ok::<_, ModelError>([reader.count()?, reader.count()?]);
        Ok(Window { size: pair()?, stride: pair()?, before: pair()?, after: pair()? })
    }
}

/// A two-dimensional convolution.
///
/// The operand, i8, has rows `[C, H, W]`; the output `[O, H', W']`, with
/// `H' = (H + above + below - height) / stride + 1`, rounded down, and `W'` likewise.
/// `z[o][y][x] = bias[o] + sum over c, i, j of w[o][c][i][j] * x[g + c][y * sy + i - above]
/// [x * sx + j - left]`, in 32 bits, where cells outside the image are 0, and `g` is the first
/// channel of the group of `o`; `finish(z)` with the factor of channel `o`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv2d {
    /// i8, O × C/groups × height × width.
    pub weights: ParamId,
    /// i32, O; zeros if there is none.
    pub bias: Option<ParamId>,
    /// The window; its size is the weights'.
    pub window: Window,
    /// Groups of channels; divides C and O.
    pub groups: usize,
    /// How accumulators become values; i32 accumulators themselves if not given.
    pub finish: Option<Requant>,
}

/// The lengths of a convolution.
struct Sides {
    channels: usize,
    image: (usize, usize),
    outputs: usize,
    made: (usize, usize),
    group_inputs: usize,
    group_outputs: usize,
}

impl Conv2d {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Ok(Conv2d {
            weights: ParamId(reader.u32()?),
            bias: decode_bias(reader)?,
            window: Window::decode(reader)?,
            groups: reader.count()?,
            finish: decode_finish(reader)?,
        })
    }

    fn sides(&self, site: &Site<'_>) -> Sides {
        let axes = |dims: &[usize]| match dims {
            [channels, height, width] => (*channels, (*height, *width)),
            _ => (0, (0, 0)),
        };
        let (channels, image) = axes(site.dims(0));
        let (outputs, made) = axes(&site.output.dims);
        Sides {
            channels,
            image,
            outputs,
            made,
            group_inputs: num::split(channels, self.groups).0,
            group_outputs: num::split(outputs, self.groups).0,
        }
    }

    /// Products that one output sums.
    fn depth(&self, sides: &Sides) -> usize {
        num::volume(&self.window.size).saturating_mul(sides.group_inputs)
    }

    /// For each position, what lies under the window in the channels of a group: a row of a matrix.
    fn unrolled(&self, image: &[i8], sides: &Sides, group: usize) -> Vec<i8> {
        let (rows, cols) = sides.made;
        let [height, width] = self.window.size;
        let plane = sides.image.0.saturating_mul(sides.image.1);
        let first = group.saturating_mul(sides.group_inputs);
        let mut matrix = Vec::with_capacity(num::volume(&[rows, cols, self.depth(sides)]));
        for position in 0..rows.saturating_mul(cols) {
            let at = num::split(position, cols);
            for channel in first..first.saturating_add(sides.group_inputs) {
                for cell in 0..height.saturating_mul(width) {
                    let under = self.window.under(at, num::split(cell, width), sides.image);
                    let x = under.and_then(|under| image.get(num::join(channel, plane, under)));
                    matrix.push(x.copied().unwrap_or(0));
                }
            }
        }
        matrix
    }
}

impl Operator for Conv2d {
    fn output(&self, typing: &Typing<'_>) -> Result<ValueType, NodeProblem> {
        let [x] = typing.operands()?;
        x.expect(0, &[DType::I8])?;
        let dims = x.plain()?;
        let &[channels, height, width] = dims else {
            let (what, found) = ("an image [C, H, W]", dims.to_vec());
            return Err(NodeProblem::Dims { what, found, expected: vec![1, 1, 1] });
        };
        let outputs = typing.params.find(self.weights, "weights")?.dims.first().copied();
        let outputs = outputs.unwrap_or(0);
        within("the number of groups", num::signed(self.groups), 1, num::signed(MAX_DIM))?;
        let (group_inputs, odd_inputs) = num::split(channels, self.groups);
        let (_, odd_outputs) = num::split(outputs, self.groups);
        within("channels modulo groups", num::signed(odd_inputs.max(odd_outputs)), 0, 0)?;
        let made = self.window.over(height, width)?;
        let [window_height, window_width] = self.window.size;
        let shape = [outputs, group_inputs, window_height, window_width];
        typing.params.expect(self.weights, "weights", DType::I8, &shape)?;
        check_finish(typing.params, self.bias, self.finish.as_ref(), outputs)?;
        let dims = [&[outputs], &made[..]].concat();
        Ok(ValueType { dtype: finished(self.finish.as_ref()), dims, ..x.clone() })
    }

    fn range(&self, ranging: &Ranging<'_>) -> Result<Interval, NodeProblem> {
        let depth = self.depth(&self.sides(&ranging.site));
        let padded = [self.window.before, self.window.after].concat().iter().any(|side| *side > 0);
        let input = ranging.operand(0);
        let input = if padded { input.with_zero() } else { input };
        let padded = Ranging { site: ranging.site, ranges: &[input], params: ranging.params };
        channels_range(&padded, (self.weights, depth), self.bias, self.finish.as_ref())
    }

    fn cell(
        &self,
        site: &Site<'_>,
        index: usize,
        cells: &mut dyn Cells,
    ) -> Result<i32, ModelError> {
        let sides = self.sides(site);
        let (plane, image_plane) = (
            sides.made.0.saturating_mul(sides.made.1),
            sides.image.0.saturating_mul(sides.image.1),
        );
        let (outer, position) = num::split(index, plane);
        let (row, output) = num::split(outer, sides.outputs);
        let at = num::split(position, sides.made.1);
        let (group, _) = num::split(output, sides.group_outputs);
        let first = num::join(row, sides.channels, group.saturating_mul(sides.group_inputs));
        let [height, width] = self.window.size;
        let mut z = bias_cell(self.bias, output, cells)?;
        for channel in 0..sides.group_inputs {
            for cell in 0..height.saturating_mul(width) {
                let under = self.window.under(at, num::split(cell, width), sides.image);
                let Some(under) = under else { continue };
                let plane = first.saturating_add(channel);
                let x = cells.input(0, num::join(plane, image_plane, under))?;
                let weight = num::join(output, sides.group_inputs, channel);
                let weight = num::join(weight, height.saturating_mul(width), cell);
                z = z.wrapping_add(x.wrapping_mul(cells.param(self.weights, weight)?));
            }
        }
        finish_cell(self.finish.as_ref(), z, output, cells)
    }

    fn run(&self, call: &Call<'_>, kernels: &dyn Kernels) -> Result<Data, ModelError> {
        let sides = self.sides(&call.site);
        let depth = self.depth(&sides);
        let weights = call.params.i8s(self.weights);
        let bias = self.bias.map(|bias| call.params.i32s(bias));
        let factors = factors(self.finish.as_ref(), call)?;
        let group_weights = sides.group_outputs.saturating_mul(depth).max(1);
        let mut made = Data::collect(call.site.output.dtype, []);
        for image in call.data(0)?.i8s().chunks_exact(call.site.width(0).max(1)) {
            for (group, weights) in weights.chunks_exact(group_weights).enumerate() {
                let matrix = self.unrolled(image, &sides, group);
                // Outputs are the product's rows: channel after channel, as the output is.
                let sums = kernels.product(Product { a: weights, b: &matrix, depth })?;
                let plane = sides.made.0.saturating_mul(sides.made.1).max(1);
                for (channel, sums) in sums.chunks_exact(plane).enumerate() {
                    let channel = num::join(group, sides.group_outputs, channel);
                    let bias = bias.and_then(|bias| bias.get(channel)).map(std::slice::from_ref);
                    let factor = factors.get(channel).or(factors.first());
                    let factor = factor.map_or(&[][..], std::slice::from_ref);
                    let finish = self.finish.as_ref();
                    made.append(&finish_rows(sums.to_vec(), 1, bias, finish, factor));
                }
            }
        }
        Ok(made)
    }

    fn work(&self, site: &Site<'_>) -> u64 {
        let depth = self.depth(&self.sides(site));
        num::wide(site.output.cells(site.rows, site.rows)).saturating_mul(num::wide(depth))
    }

    fn encode(&self, out: &mut Writer) {
        out.u32(self.weights.0);
        encode_bias(self.bias, out);
        self.window.encode(out);
        out.count(self.groups);
        encode_finish(self.finish.as_ref(), out);
    }
}
