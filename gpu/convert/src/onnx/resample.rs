//! Read operators that make images of other sizes: resizing, and transposed convolutions.

use neura_int8::{MAX_WINDOW, ops::conv::Window};
use tract_onnx::pb::NodeProto;

use super::{
    fold_layout::Cut,
    image::Kernel,
    known::{Known, Lazy},
    name,
    proto::{attribute, float, int, ints, text},
    reader::Reader,
    view::View,
};
use crate::{Matrix, Op};

/// Greatest factor that an axis grows or shrinks by.
const MAX_FACTOR: f32 = 64.0;
/// Most stretches of an axis that are taken apart rather than multiplied by a matrix.
const MAX_STRETCHES: usize = 64;

/// What resizing does to an axis.
#[derive(Debug, Clone, PartialEq)]
enum Resized {
    /// Each cell so many times.
    Repeated(usize),
    /// Cells at these places.
    Picked(Vec<usize>),
    /// Sums of cells: a row of weights for each new one.
    Mixed(Matrix),
}

/// How places of a resized axis lie on the old one.
struct Resizing {
    mode: String,
    places: String,
    nearest: String,
    cubic: f32,
}

impl Reader<'_> {
    /// An image of another size: along each axis by repeating, picking or mixing its cells.
    pub(super) fn resize(&mut self, node: &NodeProto) -> Result<Known, String> {
        let mut view = self.view(node, 0)?;
        let dims = view.dims(self.rows);
        let (lengths, scales) = self.sizes(node, &dims)?;
        let resizing = resizing(node, self.opset)?;
        for axis in 0..dims.len() {
            if lengths[axis] == dims[axis] {
                continue;
            }
            if view.axes[axis].contains(&super::view::Atom::Rows) {
                return Err("it resizes the batch".into());
            }
            let made = resizing.along(dims[axis], lengths[axis], scales[axis])?;
            view = match made {
                Resized::Repeated(times) => self.thickened(node, &view, axis, times)?,
                Resized::Picked(places) => self.picked(name(node), &view, axis, &places)?,
                Resized::Mixed(weights) => self.mixed_along(node, &view, axis, weights)?,
            };
        }
        Ok(Known::Lazy(Lazy::of(view)))
    }

    /// The new lengths of all axes, and the factors that they come from.
    fn sizes(&self, node: &NodeProto, dims: &[usize]) -> Result<(Vec<usize>, Vec<f32>), String> {
        let keeping = text(node, "keep_aspect_ratio_policy");
        if !(keeping.is_empty() || keeping == "stretch") {
            return Err(format!("it keeps proportions ('{keeping}')"));
        }
        // Version 9 of Upsample has the factors second; Resize third, or sizes fourth.
        let at = if node.op_type == "Upsample" || self.opset < 11 { 1 } else { 2 };
        let (mut lengths, mut scales) = (dims.to_vec(), vec![1.0; dims.len()]);
        let (given, sizes) = match (self.optional(node, at)?, self.optional(node, 3)?) {
            (Some(found), _) if found.len() > 0 => (found.to_floats(), false),
            (_, Some(found)) => (found.to_floats(), true),
            _ => (attribute(node, "scales").map(|a| a.floats.clone()).unwrap_or_default(), false),
        };
        let axes: Vec<usize> = match *ints(node, "axes") {
            [] => (0..dims.len()).collect(),
            ref list => super::fold::axes(node, None, dims.len())?
                .filter(|axes| axes.len() == list.len())
                .ok_or("its axes are not in order")?,
        };
        if given.len() != axes.len() {
            return Err("what it scales by is not known".into());
        }
        for (given, axis) in given.into_iter().zip(axes) {
            let old = dims[axis] as f32;
            let (length, scale) = match sizes {
                true => (given, given / old),
                false => ((old * given + 1e-4).floor(), given),
            };
            let most = neura_int8::MAX_DIM as f32;
            if !(1.0 / MAX_FACTOR..=MAX_FACTOR).contains(&scale) || !(1.0..=most).contains(&length)
            {
                return Err(format!("it scales by {scale}: up to {MAX_FACTOR} is taken"));
            }
            (lengths[axis], scales[axis]) = (length as usize, scale);
        }
        Ok((lengths, scales))
    }

    /// Each cell of an axis as an axis of its own, made longer, and joined with the one before.
    fn thickened(
        &mut self,
        node: &NodeProto,
        view: &View,
        axis: usize,
        times: usize,
    ) -> Result<View, String> {
        let mut split = view.dims(self.rows);
        split.insert(axis + 1, 1);
        let thin = view.reshaped(&split, self.rows).ok_or("its axes cannot be split")?;
        split[axis + 1] = times;
        let mut thick = self.expand(name(node), &thin, &split)?;
        let inner = thick.axes.remove(axis + 1);
        thick.axes[axis].extend(inner);
        Ok(thick)
    }

    /// Weights along any axis.
    pub(super) fn mixed_along(
        &mut self,
        node: &NodeProto,
        view: &View,
        axis: usize,
        weights: Matrix,
    ) -> Result<View, String> {
        let rank = view.axes.len();
        let mut order: Vec<usize> = (0..rank).filter(|at| *at != axis).collect();
        order.push(axis);
        let last = view.transposed(&order).ok_or("its axes are not in order")?;
        let bias = vec![0.0; weights.height()];
        let Known::Lazy(made) = self.linear(node, &last, weights, bias)? else {
            return Err("its cells cannot be mixed".into());
        };
        let mut back: Vec<usize> = (0..rank - 1).collect();
        back.insert(axis, rank - 1);
        made.view.transposed(&back).ok_or_else(|| "its axes are not in order".into())
    }

    /// A transposed convolution. Cells that lie a stride apart are one convolution of the image, so
    /// it is one that makes those of all offsets as channels, which are then interleaved.
    pub(super) fn conv_transposed(&mut self, node: &NodeProto) -> Result<Known, String> {
        let weights = self.constant(node, 1)?;
        let (inputs, outputs, size) = match weights.dims[..] {
            [inputs, outputs, height, width] => (inputs, outputs, [height, width]),
            [inputs, outputs, length] => (inputs, outputs, [1, length]),
            _ => {
                return Err(format!(
                    "only images are convolved, its weights have {:?}",
                    weights.dims
                ));
            }
        };
        let (view, value, [channels, height, width]) = self.image(node)?;
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        if channels != inputs || groups == 0 || !inputs.is_multiple_of(groups) {
            return Err(format!("weights of {inputs} channels, {groups} groups, for {channels}"));
        }
        if size.contains(&0) || outputs == 0 {
            return Err("its weights are none".into());
        }
        let by = self.pair(node, "dilations", 1)?;
        let cells = Kernel { cells: weights.finite()?, size, by }.dilated()?;
        let size = [0, 1].map(|axis| size[axis].saturating_sub(1) * by[axis] + 1);
        let stride = self.pair(node, "strides", 1)?;
        let spans = spans(node, size, stride, [height, width])?;
        let taps = spans.map(|span| span.taps);
        let offsets = stride[0] * stride[1];
        let mut sides = [inputs, outputs, offsets, taps[0], taps[1]].into_iter();
        let made = sides.try_fold(1_usize, |all, side| all.checked_mul(side));
        if made.is_none_or(|made| made > 16 * super::MAX_CELLS) {
            return Err(format!("with strides of {stride:?} it comes to too many weights"));
        }
        let bias = match self.optional(node, 2)? {
            Some(bias) => bias.channels(outputs * groups)?,
            None => vec![0.0; outputs * groups],
        };
        let bias = bias.iter().flat_map(|b| vec![*b; offsets]).collect();
        let kernel = Interleaved { cells: &cells, size, stride, taps, outputs };
        let matrix = kernel.weights(groups, inputs / groups);
        let before = taps.map(|taps| taps - 1);
        let window = Window { size: taps, stride: [1; 2], before, after: before };
        let value = self.add(name(node), Op::Conv(matrix, bias, window, groups), &[value])?;
        let &[_, down, right] = &self.graph.node(value).dims[..] else {
            return Err("its image has no axes".into());
        };
        let deep = outputs * groups;
        let split = [self.rows, deep, stride[0], stride[1], down, right];
        let whole = View::plain(value, &[deep * offsets, down, right]);
        let moved = whole.reshaped(&split, self.rows);
        let moved = moved.and_then(|view| view.transposed(&[0, 1, 4, 2, 5, 3]));
        let joined = [self.rows, deep, down * stride[0], right * stride[1]];
        let mut made = moved
            .and_then(|view| view.reshaped(&joined, self.rows))
            .ok_or("its axes cannot be split")?;
        for (axis, span) in spans.into_iter().enumerate() {
            if (span.start, span.length) != (0, joined[axis + 2]) {
                let cut = Cut { start: span.start, length: span.length, step: 1 };
                made = self.cut(name(node), &made, axis + 2, cut)?;
            }
        }
        if view.axes.len() == 3 {
            made.axes.remove(2);
        }
        Ok(Known::Lazy(Lazy::of(made)))
    }
}

/// Along an axis of a transposed convolution: weights that meet a cell, and what is kept of all.
#[derive(Debug, Clone, Copy)]
struct Span {
    taps: usize,
    start: usize,
    length: usize,
}

fn spans(
    node: &NodeProto,
    size: [usize; 2],
    stride: [usize; 2],
    sides: [usize; 2],
) -> Result<[Span; 2], String> {
    // A signal has one number where an image has two.
    let number = |list: &[i64], axis: usize, default: i64| match *list {
        [] => Ok(default),
        [one] => Ok(if axis == 1 { one } else { default }),
        [first, second] => Ok([first, second][axis]),
        _ => Err("only images and signals are taken".to_owned()),
    };
    let auto = text(node, "auto_pad");
    let mut spans = [Span { taps: 1, start: 0, length: 0 }; 2];
    for (axis, span) in spans.iter_mut().enumerate() {
        let [side, step, window] = [sides[axis], stride[axis], size[axis]].map(|n| n as i64);
        let more = number(ints(node, "output_padding"), axis, 0)?;
        let whole = (side - 1) * step + window + more;
        let same = if auto.starts_with("SAME") { side * step } else { -1 };
        let asked = number(ints(node, "output_shape"), axis, same)?;
        let (before, length) = match (asked, ints(node, "pads")) {
            (1.., _) => {
                let padding = (whole - asked).max(0);
                let less = padding / 2;
                (if auto == "SAME_UPPER" { less } else { padding - less }, asked)
            }
            (_, []) => (0, whole),
            (_, [left, right]) if axis == 1 => (*left, whole - left - right),
            (_, [_, _]) => (0, whole),
            (_, [top, left, bottom, right]) => {
                let (before, after) = [(*top, *bottom), (*left, *right)][axis];
                (before, whole - before - after)
            }
            _ => return Err("its pads are not those of an image".into()),
        };
        let taps = (window + step - 1) / step;
        let taps = taps.max((before + length + step - 1) / step - side + 1);
        let fits = |x: i64, most: usize| usize::try_from(x).ok().filter(|x| *x <= most);
        let found = fits(taps, MAX_WINDOW)
            .zip(fits(before, neura_int8::MAX_DIM))
            .zip(fits(length, neura_int8::MAX_DIM).filter(|length| *length > 0));
        let ((taps, start), length) =
            found.ok_or_else(|| format!("it makes {length} cells of {side}, from {before} on"))?;
        *span = Span { taps, start, length };
    }
    Ok(spans)
}

/// The weights of a transposed convolution.
struct Interleaved<'a> {
    cells: &'a [f32],
    size: [usize; 2],
    stride: [usize; 2],
    taps: [usize; 2],
    outputs: usize,
}

impl Interleaved<'_> {
    /// As weights of a convolution whose channels are outputs, offset down, offset right.
    fn weights(&self, groups: usize, inner: usize) -> Matrix {
        let [taps_down, taps_right] = self.taps;
        let mut made = Vec::new();
        for group in 0..groups {
            for output in 0..self.outputs {
                for offset in 0..self.stride[0] * self.stride[1] {
                    let (down, right) = (offset / self.stride[1], offset % self.stride[1]);
                    for channel in 0..inner {
                        let from = (group * inner + channel) * self.outputs + output;
                        for tap in 0..taps_down * taps_right {
                            // The first weight meets the furthest cell.
                            let row = (taps_down - 1 - tap / taps_right) * self.stride[0] + down;
                            let col = (taps_right - 1 - tap % taps_right) * self.stride[1] + right;
                            let inside = row < self.size[0] && col < self.size[1];
                            let at = (from * self.size[0] + row) * self.size[1] + col;
                            made.push(if inside { self.cells[at] } else { 0.0 });
                        }
                    }
                }
            }
        }
        Matrix::new(inner * taps_down * taps_right, made)
    }
}

fn resizing(node: &NodeProto, opset: i64) -> Result<Resizing, String> {
    let or = |found: String, default: &str| if found.is_empty() { default.into() } else { found };
    let old = node.op_type == "Upsample" || opset < 11;
    let mode = or(text(node, "mode"), "nearest");
    let made = Resizing {
        mode: if mode == "bilinear" { "linear".into() } else { mode },
        places: match old {
            true => "asymmetric".into(),
            false => or(text(node, "coordinate_transformation_mode"), "half_pixel"),
        },
        nearest: if old {
            "floor".into()
        } else {
            or(text(node, "nearest_mode"), "round_prefer_floor")
        },
        cubic: float(node, "cubic_coeff_a", -0.75),
    };
    if !matches!(&made.mode[..], "nearest" | "linear" | "cubic") {
        return Err(format!("it interpolates in an unknown way ('{}')", made.mode));
    }
    if int(node, "antialias", 0) != 0 || int(node, "exclude_outside", 0) != 0 {
        return Err(
            "it smooths what it makes smaller (antialias), or leaves out what lies outside".into(),
        );
    }
    Ok(made)
}

impl Resizing {
    /// What becomes of an axis of some length.
    fn along(&self, old: usize, new: usize, scale: f32) -> Result<Resized, String> {
        let places = (0..new).map(|at| self.place(at, (old, new), scale));
        let places = places.collect::<Result<Vec<f32>, String>>()?;
        let last = old as isize - 1;
        let weights = || match old.checked_mul(new).filter(|cells| *cells <= super::MAX_CELLS) {
            Some(cells) => Ok(vec![0.0; cells]),
            None => Err(format!("it makes {new} cells of {old}, each a sum of all")),
        };
        if self.mode != "nearest" {
            let mut weights = weights()?;
            for (row, place) in weights.chunks_exact_mut(old).zip(&places) {
                let base = place.floor();
                for (offset, weight) in self.weights(place - base) {
                    let at = (base as isize + offset).clamp(0, last);
                    row[at as usize] += weight;
                }
            }
            return Ok(Resized::Mixed(Matrix::new(old, weights)));
        }
        let nearest = places.iter().map(|place| {
            let whole = match &self.nearest[..] {
                "floor" => place.floor(),
                "ceil" => place.ceil(),
                "round_prefer_ceil" => (place + 0.5).floor(),
                _ => (place - 0.5).ceil(),
            };
            (whole as isize).clamp(0, last) as usize
        });
        let nearest: Vec<usize> = nearest.collect();
        let times = new / old;
        let repeated = new.is_multiple_of(old);
        if repeated && nearest.iter().enumerate().all(|(at, place)| *place == at / times) {
            return Ok(Resized::Repeated(times));
        }
        let stretches = 1 + nearest.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        if stretches <= MAX_STRETCHES {
            return Ok(Resized::Picked(nearest));
        }
        let mut weights = weights()?;
        weights.chunks_exact_mut(old).zip(nearest).for_each(|(row, place)| row[place] = 1.0);
        Ok(Resized::Mixed(Matrix::new(old, weights)))
    }

    /// Where the cell `at` of the new axis lies on the old one.
    fn place(&self, at: usize, (old, new): (usize, usize), scale: f32) -> Result<f32, String> {
        let x = at as f32;
        let half = (x + 0.5) / scale - 0.5;
        Ok(match &self.places[..] {
            "half_pixel" => half,
            "pytorch_half_pixel" if new > 1 => half,
            "align_corners" if new > 1 => x * (old as f32 - 1.0) / (new as f32 - 1.0),
            "pytorch_half_pixel" | "align_corners" => 0.0,
            "asymmetric" => x / scale,
            "half_pixel_symmetric" => {
                let centre = old as f32 / 2.0;
                centre * (1.0 - new as f32 / (old as f32 * scale)) + half
            }
            other => return Err(format!("its places are '{other}', which is not taken")),
        })
    }

    /// The cells near a place, from the one before it, and their weights.
    fn weights(&self, rest: f32) -> Vec<(isize, f32)> {
        if self.mode == "linear" {
            return vec![(0, 1.0 - rest), (1, rest)];
        }
        let a = self.cubic;
        let near = |x: f32| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
        let far = |x: f32| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
        vec![(-1, far(rest + 1.0)), (0, near(rest)), (1, near(1.0 - rest)), (2, far(2.0 - rest))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mode: &str, places: &str, nearest: &str) -> Resizing {
        let [mode, places, nearest] = [mode, places, nearest].map(str::to_owned);
        Resizing { mode, places, nearest, cubic: -0.75 }
    }

    #[test]
    fn a_row_is_doubled_halved_and_interpolated_as_onnx_says() {
        let doubled = of("nearest", "half_pixel", "round_prefer_floor").along(3, 6, 2.0);
        assert_eq!(doubled, Ok(Resized::Repeated(2)));
        let thirds = of("nearest", "asymmetric", "round_prefer_floor").along(2, 6, 3.0);
        assert_eq!(thirds, Ok(Resized::Picked(vec![0, 0, 1, 1, 1, 1])));
        let halved = of("nearest", "asymmetric", "floor").along(6, 3, 0.5);
        assert_eq!(halved, Ok(Resized::Picked(vec![0, 2, 4])));
        let linear = of("linear", "half_pixel", "").along(2, 4, 2.0);
        let weights = vec![1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0];
        assert_eq!(linear, Ok(Resized::Mixed(Matrix::new(2, weights))));
        let corners = of("linear", "align_corners", "").along(2, 3, 1.5);
        let weights = vec![1.0, 0.0, 0.5, 0.5, 0.0, 1.0];
        assert_eq!(corners, Ok(Resized::Mixed(Matrix::new(2, weights))));
        assert!(of("linear", "tf_crop_and_resize", "").along(2, 4, 2.0).is_err());
    }

    #[test]
    fn weights_of_every_new_cell_sum_to_one() {
        for mode in ["linear", "cubic"] {
            for (old, new) in [(3, 8), (9, 4), (1, 5)] {
                let scale = new as f32 / old as f32;
                let Ok(Resized::Mixed(weights)) = of(mode, "half_pixel", "").along(old, new, scale)
                else {
                    panic!("no weights");
                };
                for row in weights.rows() {
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{mode} {old} {new}");
                }
            }
        }
    }
}
