//! Run a graph in floats: correct, not fast. This is the original that conversion is measured against.

use neura_int8::ops::{attention::Heads, conv::Window};

mod layout;

use crate::{ConvertError, Graph, Matrix, Node, Op, Sample, Value};

/// What a node made, for all rows.
pub(crate) type Cells = Vec<f32>;

impl Graph {
    /// The outputs for a sample, in their order.
    ///
    /// # Errors
    /// [`ConvertError::Sample`] if the sample does not fit the input, [`ConvertError::Infinite`] if a value grows past
    /// all numbers or is none.
    pub fn evaluate(&self, sample: &Sample) -> Result<Vec<Vec<f32>>, ConvertError> {
        let values = self.values(sample)?;
        Ok(self.outputs.iter().map(|(_, value)| values[value.0].clone()).collect())
    }

    /// Every value of a run.
    pub(crate) fn values(&self, sample: &Sample) -> Result<Vec<Cells>, ConvertError> {
        let rows = self.rows(sample)?;
        let mut values: Vec<Cells> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let made = self.cells(node, sample, rows, &values);
            if !made.iter().all(|x| x.is_finite()) {
                let (node, op) = (node.name.clone(), node.op.name());
                return Err(ConvertError::Infinite { index: 0, node, op });
            }
            values.push(made);
        }
        Ok(values)
    }

    /// The rows of a sample, if it fits.
    pub(crate) fn rows(&self, sample: &Sample) -> Result<usize, ConvertError> {
        let refused = |reason: String| ConvertError::Sample { index: 0, reason };
        let input = &self.nodes[0];
        let whole = |found: usize, width: usize| match found == width {
            true => Ok(1),
            false => Err(refused(format!("it has {found} tokens, the model takes {width}"))),
        };
        let rows = match (sample, &input.op) {
            (Sample::Tokens(tokens), Op::Tokens(vocabulary)) => {
                let known = |token: i32| usize::try_from(token).is_ok_and(|t| t < *vocabulary);
                if let Some(token) = tokens.iter().find(|token| !known(**token)) {
                    return Err(refused(format!("token {token} is not below {vocabulary}")));
                }
                let width = input.width();
                if input.dims.is_empty() { tokens.len() } else { whole(tokens.len(), width)? }
            }
            (Sample::Features { values, .. }, Op::Features) => {
                let width = input.width().max(1);
                if values.len() % width != 0 {
                    let length = values.len();
                    return Err(refused(format!("{length} numbers are no rows of {width}")));
                }
                if !values.iter().all(|x| x.is_finite()) {
                    return Err(refused("a value is not a finite number".into()));
                }
                values.len() / width
            }
            (Sample::Tokens(_), _) => return Err(refused("the model takes numbers (.npy)".into())),
            (_, _) => return Err(refused("the model takes lists of tokens (JSON lines)".into())),
        };
        if rows == 0 || rows > self.max_rows {
            return Err(refused(format!("{rows} rows, from 1 to {} are taken", self.max_rows)));
        }
        Ok(rows)
    }

    fn cells(&self, node: &Node, sample: &Sample, rows: usize, values: &[Cells]) -> Cells {
        let operand = |at: usize| &values[node.inputs[at].0][..];
        let width = |at: usize| self.nodes[node.inputs[at].0].width();
        let zip = |f: fn(f32, f32) -> f32| {
            operand(0).iter().zip(operand(1)).map(|(a, b)| f(*a, *b)).collect()
        };
        match &node.op {
            Op::Tokens(_) | Op::Features => match sample {
                Sample::Tokens(tokens) => tokens.iter().map(|token| *token as f32).collect(),
                Sample::Features { values, .. } => values.clone(),
            },
            Op::Embed(table) => {
                let row =
                    |token: &f32| &table.values[*token as usize * table.width..][..table.width];
                operand(0).iter().flat_map(row).copied().collect()
            }
            Op::Position(table) => table.values[..rows * table.width].to_vec(),
            Op::Linear(weights, bias) => linear(operand(0), weights, bias),
            Op::Conv(weights, bias, window, groups) => {
                let image = &self.nodes[node.inputs[0].0].dims;
                convolve(operand(0), image, &node.dims, (weights, bias, window, *groups))
            }
            Op::MaxPool(window) => self.pool(node, window, operand(0), |seen| {
                seen.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            }),
            Op::AvgPool(window) => self.pool(node, window, operand(0), |seen| {
                seen.iter().sum::<f32>() / seen.len().max(1) as f32
            }),
            Op::Add => zip(|a, b| a + b),
            Op::Mul => zip(|a, b| a * b),
            Op::LayerNorm(..) | Op::RmsNorm(..) | Op::UnitLength => self.norm(node, operand(0)),
            Op::Apply(function) => operand(0).iter().map(|x| function.of(*x)).collect(),
            Op::Scale(factor) => operand(0).iter().map(|x| x * factor).collect(),
            Op::Rope(heads, cos, sin) => rope(operand(0), width(0) / heads, cos, sin, *heads),
            Op::Attention(heads, scale) => {
                let widths = (width(0), width(1));
                attention((*heads, *scale), (operand(0), operand(1), operand(2)), widths)
            }
            Op::Product => {
                let (a, b) = (&self.node(node.inputs[0]).dims, &self.node(node.inputs[1]).dims);
                products((operand(0), operand(1)), (a[1], b[1], a[2]))
            }
            Op::MeanRows => {
                let mut mean = vec![0.0; width(0)];
                for row in operand(0).chunks_exact(width(0).max(1)) {
                    mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / rows as f32);
                }
                mean
            }
            Op::Softmax => by_row(operand(0), self.last(node.inputs[0]), |row| softmax(row, 1.0)),
            Op::Argmax | Op::Sample => {
                let rows = operand(0).chunks_exact(self.last(node.inputs[0]));
                rows.map(|row| greatest(row) as f32).collect()
            }
            Op::Constant(_)
            | Op::Slice(..)
            | Op::Concat(_)
            | Op::Transpose(_)
            | Op::TakeRow(_)
            | Op::Reshape => self.moved(node, values),
        }
    }

    /// Norms of the last axis.
    fn norm(&self, node: &Node, cells: &[f32]) -> Cells {
        match &node.op {
            Op::LayerNorm(gain, bias, epsilon) => by_row(cells, gain.len(), |row| {
                let count = row.len() as f32;
                let mean = row.iter().sum::<f32>() / count;
                let spread = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
                let factor = 1.0 / (spread + epsilon).sqrt();
                let scaled = row.iter().map(|x| (x - mean) * factor);
                scaled.zip(gain.iter().zip(bias)).map(|(x, (g, b))| x * g + b).collect()
            }),
            Op::RmsNorm(gain, epsilon) => by_row(cells, gain.len(), |row| {
                let square = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
                let factor = 1.0 / (square + epsilon).sqrt();
                row.iter().zip(gain).map(|(x, g)| x * factor * g).collect()
            }),
            _ => by_row(cells, self.last(node.inputs[0]), |row| {
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
                row.iter().map(|x| x / length).collect()
            }),
        }
    }

    /// What operators make that only move cells.
    fn moved(&self, node: &Node, values: &[Cells]) -> Cells {
        let operand = |at: usize| &values[node.inputs[at].0][..];
        let width = |at: usize| self.nodes[node.inputs[at].0].width();
        match &node.op {
            Op::Constant(cells) => cells.repeat(operand(0).len() / width(0).max(1)),
            Op::Slice(axis, start, length) => layout::sliced(
                operand(0),
                &self.node(node.inputs[0]).dims,
                (*axis, *start, *length),
            ),
            Op::Concat(axis) => {
                let part = |at: usize| (operand(at), &self.node(node.inputs[at]).dims[..]);
                layout::joined(&(0..node.inputs.len()).map(part).collect::<Vec<_>>(), *axis)
            }
            Op::Transpose(order) => {
                layout::transposed(operand(0), &self.node(node.inputs[0]).dims, order)
            }
            Op::TakeRow(last) => {
                let start = if *last { operand(0).len() - width(0) } else { 0 };
                operand(0)[start..start + width(0)].to_vec()
            }
            _ => operand(0).to_vec(),
        }
    }

    /// The length of the last axis.
    pub(crate) fn last(&self, value: Value) -> usize {
        self.node(value).dims.last().copied().unwrap_or(1).max(1)
    }

    fn pool(&self, node: &Node, window: &Window, x: &[f32], of: fn(&[f32]) -> f32) -> Cells {
        let image = &self.nodes[node.inputs[0].0].dims;
        let (height, width) = (image[1], image[2]);
        let mut made = Vec::new();
        for plane in x.chunks_exact((height * width).max(1)) {
            for (y, x) in places(&node.dims) {
                let seen: Vec<f32> = under(window, (y, x), (height, width))
                    .into_iter()
                    .filter_map(|at| at.map(|at| plane[at]))
                    .collect();
                made.push(of(&seen));
            }
        }
        made
    }
}

/// The index of the first greatest cell.
pub(crate) fn greatest(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
}

fn by_row(x: &[f32], width: usize, of: impl Fn(&[f32]) -> Vec<f32>) -> Cells {
    x.chunks_exact(width.max(1)).flat_map(of).collect()
}

fn softmax(row: &[f32], scale: f32) -> Vec<f32> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|x| ((x - most) * scale).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|x| x / sum).collect()
}

/// A product of sixteen sums side by side, which a compiler can keep in vector registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (left, right) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + rest
}

fn linear(x: &[f32], weights: &Matrix, bias: &[f32]) -> Cells {
    let rows: Vec<&[f32]> = x.chunks_exact(weights.width.max(1)).collect();
    let outputs = bias.len();
    let mut made = vec![0.0; rows.len() * outputs];
    for (channel, (weights, bias)) in weights.rows().zip(bias).enumerate() {
        for (row, x) in rows.iter().enumerate() {
            made[row * outputs + channel] = dot(x, weights) + bias;
        }
    }
    made
}

/// Places of an image of axes `[.., height, width]`.
fn places(dims: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let (height, width) = (dims[1], dims[2]);
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// The cells under a window at a place, in order; `None` for those outside the image.
fn under(
    window: &Window,
    (y, x): (usize, usize),
    (height, width): (usize, usize),
) -> Vec<Option<usize>> {
    let mut cells = Vec::with_capacity(window.size[0] * window.size[1]);
    for down in 0..window.size[0] {
        for right in 0..window.size[1] {
            let row = (y * window.stride[0] + down).checked_sub(window.before[0]);
            let col = (x * window.stride[1] + right).checked_sub(window.before[1]);
            let inside = row.filter(|row| *row < height).zip(col.filter(|col| *col < width));
            cells.push(inside.map(|(row, col)| row * width + col));
        }
    }
    cells
}

fn convolve(
    x: &[f32],
    image: &[usize],
    made: &[usize],
    (weights, bias, window, groups): (&Matrix, &[f32], &Window, usize),
) -> Cells {
    let (channels, height, width) = (image[0], image[1], image[2]);
    let plane = height * width;
    let (depth, outputs) = (channels / groups, bias.len() / groups);
    let mut cells = Vec::new();
    for image in x.chunks_exact((channels * plane).max(1)) {
        for (channel, (weights, bias)) in weights.rows().zip(bias).enumerate() {
            let first = channel / outputs * depth;
            for place in places(made) {
                let seen = under(window, place, (height, width));
                let mut sum = *bias;
                for (inner, weights) in weights.chunks_exact(seen.len().max(1)).enumerate() {
                    let image = &image[(first + inner) * plane..][..plane];
                    for (at, weight) in seen.iter().zip(weights) {
                        sum += at.map_or(0.0, |at| image[at] * weight);
                    }
                }
                cells.push(sum);
            }
        }
    }
    cells
}

fn rope(x: &[f32], head: usize, cos: &Matrix, sin: &Matrix, heads: usize) -> Cells {
    let (mut made, half) = (x.to_vec(), cos.width);
    for (row, cells) in made.chunks_exact_mut((head * heads).max(1)).enumerate() {
        for cells in cells.chunks_exact_mut(head) {
            for pair in 0..half {
                let (c, s) = (cos.values[row * half + pair], sin.values[row * half + pair]);
                let (x, y) = (cells[pair], cells[pair + half]);
                cells[pair] = x * c - y * s;
                cells[pair + half] = x * s + y * c;
            }
        }
    }
    made
}

/// For each pair of a row of `m` and a row of `n` their product of depth `k`, batch by batch.
fn products((a, b): (&[f32], &[f32]), (m, n, k): (usize, usize, usize)) -> Cells {
    let batches = a.chunks_exact((m * k).max(1)).zip(b.chunks_exact((n * k).max(1)));
    let mut made = Vec::new();
    for (a, b) in batches {
        for a in a.chunks_exact(k.max(1)) {
            made.extend(b.chunks_exact(k.max(1)).map(|b| dot(a, b)));
        }
    }
    made
}

fn attention(
    (heads, scale): (Heads, f32),
    (q, k, v): (&[f32], &[f32], &[f32]),
    (queries, keys): (usize, usize),
) -> Cells {
    let (head, rows) = (queries / heads.heads, q.len() / queries.max(1));
    let mut made = vec![0.0; q.len()];
    for row in 0..rows {
        let seen = if heads.causal { row + 1 } else { rows };
        for h in 0..heads.heads {
            let from = h / (heads.heads / heads.kv_heads) * head;
            let query = &q[row * queries + h * head..][..head];
            let scores: Vec<f32> =
                (0..seen).map(|s| dot(query, &k[s * keys + from..][..head])).collect();
            let out = &mut made[row * queries + h * head..][..head];
            for (s, share) in softmax(&scores, scale).into_iter().enumerate() {
                let value = &v[s * keys + from..][..head];
                out.iter_mut().zip(value).for_each(|(sum, v)| *sum += share * v);
            }
        }
    }
    made
}
