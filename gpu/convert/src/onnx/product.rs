//! Read products: by weights, between values of a row, and attention between tokens.

use neura_int8::ops::attention::Heads;
use tract_onnx::pb::NodeProto;

use super::{
    arithmetic::MASKED,
    constant::{Constant, broadcast},
    fold::select_truth,
    known::{Base, Known, Lazy, Scores},
    name,
    proto::{axis, float, int},
    reader::Reader,
    view::{Atom, View},
};
use crate::{Binary, Matrix, Op};

/// What to do about attention that is not recognised.
const USUAL: &str = "the usual form of attention is softmax(scale * Q K + mask) V";

impl Reader<'_> {
    pub(super) fn matmul(&mut self, node: &NodeProto) -> Result<Known, String> {
        match (self.known(node, 0)?.clone(), self.known(node, 1)?.clone()) {
            (Known::Lazy(_), Known::Constant(weights)) => {
                let view = self.view(node, 0)?;
                let &[inner, outputs] = &weights.dims[..] else {
                    return Err(format!(
                        "its weights have the axes {:?}, two are taken",
                        weights.dims
                    ));
                };
                let weights = Matrix::new(inner, weights.transposed(&[1, 0])?.finite()?);
                self.linear(node, &view, weights, vec![0.0; outputs])
            }
            (Known::Constant(weights), Known::Lazy(_)) => {
                let view = self.view(node, 1)?;
                let &[outputs, inner] = &weights.dims[..] else {
                    return Err(format!(
                        "its weights have the axes {:?}, two are taken",
                        weights.dims
                    ));
                };
                // W X is (X' W')', and the weights are outputs by inputs as they are.
                let view = swapped(&view).ok_or("its operand has no two axes")?;
                let weights = Matrix::new(inner, weights.finite()?);
                let made = self.linear(node, &view, weights, vec![0.0; outputs])?;
                let Known::Lazy(made) = made else { return Ok(made) };
                let view = swapped(&made.view).ok_or("its operand has no two axes")?;
                Ok(Known::Lazy(Lazy::of(view)))
            }
            (Known::Scores(scores), Known::Lazy(_)) => self.mixed(node, &scores),
            (Known::Lazy(a), Known::Lazy(b)) => self.between(node, (a, b)),
            _ => Err(format!("its operands cannot be multiplied here; {USUAL}")),
        }
    }

    pub(super) fn gemm(&mut self, node: &NodeProto) -> Result<Known, String> {
        let mut view = self.view(node, 0)?;
        if int(node, "transA", 0) != 0 {
            view = swapped(&view).ok_or("its operand has no two axes")?;
        }
        let weights = self.constant(node, 1)?;
        let weights = match int(node, "transB", 0) {
            0 if weights.dims.len() == 2 => weights.transposed(&[1, 0])?,
            _ => weights,
        };
        let &[outputs, inner] = &weights.dims[..] else {
            return Err(format!("its weights have the axes {:?}, two are taken", weights.dims));
        };
        let mut weights = Matrix::new(inner, weights.finite()?);
        let (alpha, beta) = (float(node, "alpha", 1.0), float(node, "beta", 1.0));
        weights.values.iter_mut().for_each(|w| *w *= alpha);
        let bias = match self.optional(node, 2)? {
            Some(bias) => bias.channels(outputs)?,
            None => vec![0.0; outputs],
        };
        let bias = bias.into_iter().map(|b| b * beta).collect();
        self.linear(node, &view, weights, bias)
    }

    /// Weights along the last axis.
    pub(super) fn linear(
        &mut self,
        node: &NodeProto,
        view: &View,
        weights: Matrix,
        bias: Vec<f32>,
    ) -> Result<Known, String> {
        let last = view.axes.last().ok_or("its operand has no axes")?;
        let (inner, outputs) = (weights.width, bias.len());
        if last.contains(&Atom::Rows) && self.rows > 1 {
            return Err(
                "its weights run along the rows: images of a batch, tokens of a text".into()
            );
        }
        if view.dims(self.rows).last() != Some(&inner) || inner == 0 || outputs == 0 {
            return Err(format!(
                "weights for {inner} inputs, given are {:?}",
                view.dims(self.rows)
            ));
        }
        let outer = view.width() / inner;
        let dims = if outer == 1 { vec![inner] } else { vec![outer, inner] };
        let value = self.arrange(name(node), view, &dims)?;
        let value = self.add(name(node), Op::Linear(weights, bias), &[value])?;
        let mut laid = view.laid(value, Some(outputs));
        if last.contains(&Atom::Rows)
            && let Some(axis) = laid.axes.first_mut()
        {
            axis.insert(0, Atom::Rows);
        }
        Ok(Known::Lazy(Lazy::of(laid)))
    }

    /// Two computed values: within each row, or between tokens.
    fn between(&mut self, node: &NodeProto, (a, b): (Lazy, Lazy)) -> Result<Known, String> {
        let rank = a.view.axes.len();
        if rank < 2 || b.view.axes.len() != rank {
            return Err("its operands have another number of axes".into());
        }
        let on_rows = |view: &View, axis: usize| view.axes[axis].contains(&Atom::Rows);
        if on_rows(&a.view, rank - 2) && on_rows(&b.view, rank - 1) {
            return self.scores(node, (a, b));
        }
        let (a, b) = (self.view(node, 0)?, self.view(node, 1)?);
        let (dims, other) = (a.dims(self.rows), b.dims(self.rows));
        if dims[rank - 1] != other[rank - 2] {
            return Err(format!("the shapes {dims:?} and {other:?} do not fit each other"));
        }
        let outer = broadcast(&dims[..rank - 2], &other[..rank - 2])?;
        let name = name(node);
        let a = self.expand(name, &a, &[&outer[..], &dims[rank - 2..]].concat())?;
        let b = self.expand(name, &b, &[&outer[..], &other[rank - 2..]].concat())?;
        let b = swapped(&b).ok_or("its operand has no two axes")?;
        let fits = a.rows_axis() == b.rows_axis() && a.rows_axis().is_none_or(|at| at + 2 < rank);
        if !fits {
            return Err(format!("it multiplies rows of the run by each other; {USUAL}"));
        }
        let (m, k, n) = (dims[rank - 2], dims[rank - 1], other[rank - 1]);
        let batch = a.width() / (m * k).max(1);
        let left = self.arrange(name, &a, &[batch, m, k])?;
        let right = self.arrange(name, &b, &[batch, n, k])?;
        let value = self.add(name, Op::Product, &[left, right])?;
        Ok(Known::Lazy(Lazy::of(a.laid(value, Some(n)))))
    }

    /// The agreement of tokens: `[.., heads, rows, D]` by `[.., heads, D, rows]`.
    fn scores(&mut self, node: &NodeProto, (a, b): (Lazy, Lazy)) -> Result<Known, String> {
        let rank = a.view.axes.len();
        let mut scale = 1.0;
        let mut views = Vec::new();
        for (operand, lazy) in [&a, &b].into_iter().enumerate() {
            // A factor of queries or keys is one of their agreement.
            match lazy.curve.affine() {
                Some((factor, 0.0)) if lazy.base == Base::Value => {
                    scale *= factor;
                    views.push(lazy.view.clone());
                }
                _ => views.push(self.view(node, operand)?),
            }
        }
        let (queries, keys) = (&views[0], swapped(&views[1]).ok_or("its operand has no two axes")?);
        let (query, heads, width) = self.heads(node, queries)?;
        let (key, key_heads, key_width) = self.heads(node, &keys)?;
        if (heads, width) != (key_heads, key_width) {
            return Err(format!(
                "{heads} heads of {width} queries do not fit {key_heads} of {key_width} keys; {USUAL}"
            ));
        }
        let mut dims = queries.dims(self.rows);
        dims[rank - 1] = self.rows;
        let heads = Heads { heads, kv_heads: heads, causal: false };
        Ok(Known::Scores(Scores { queries: query, keys: key, heads, scale, shares: false, dims }))
    }

    /// A value `[.., heads, rows, D]` as rows of heads, and how many of what width.
    fn heads(
        &mut self,
        node: &NodeProto,
        view: &View,
    ) -> Result<(crate::Value, usize, usize), String> {
        let rank = view.axes.len();
        if view.axes[rank - 2] != [Atom::Rows] {
            return Err(format!("tokens are mixed with other axes; {USUAL}"));
        }
        let width = view.dims(1)[rank - 1];
        let whole = view.width();
        let value = self.arrange(name(node), view, &[whole])?;
        Ok((value, whole / width.max(1), width))
    }

    /// Values mixed by the shares that tokens have in each other.
    fn mixed(&mut self, node: &NodeProto, scores: &Scores) -> Result<Known, String> {
        let view = self.view(node, 1)?;
        let rank = view.axes.len();
        if !scores.shares || rank != scores.dims.len() || rank < 2 {
            return Err(format!("no softmax was taken before it; {USUAL}"));
        }
        let (values, heads, width) = self.heads(node, &view)?;
        if heads != scores.heads.heads {
            return Err(format!("{heads} heads of values, {} of queries", scores.heads.heads));
        }
        let inputs = [scores.queries, scores.keys, values];
        if self.graph.node(inputs[0]).width() != heads * width {
            return Err("heads of values are not as wide as those of queries".into());
        }
        let op = Op::Attention(scores.heads, scores.scale);
        let value = self.add(name(node), op, &inputs)?;
        Ok(Known::Lazy(Lazy::of(view.laid(value, None))))
    }

    /// Scores times a number, or with a mask.
    pub(super) fn score_with(
        &mut self,
        scores: &Scores,
        of: Binary,
        constant: &Constant,
    ) -> Result<Scores, String> {
        let mut scores = scores.clone();
        let uniform = constant.uniform();
        match (of, uniform) {
            (Binary::Mul, Some(factor)) if scores.shares && factor == 1.0 => {}
            (Binary::Mul, Some(factor)) if !scores.shares => scores.scale *= factor,
            (Binary::Div, Some(factor)) if !scores.shares => scores.scale /= factor,
            (Binary::Add | Binary::Sub, Some(_)) if !scores.shares => {}
            // A bound that keeps masks finite.
            (Binary::Max, Some(bound)) if !scores.shares && bound < MASKED => {}
            (Binary::Add, None) if !scores.shares => {
                let hidden = constant.to_floats().iter().map(|x| *x < MASKED).collect::<Vec<_>>();
                let plain = constant.to_floats().iter().all(|x| *x < MASKED || *x == 0.0);
                if !plain || !self.is_causal(&constant.dims, &hidden) {
                    return Err(format!(
                        "its mask is neither open nor one that hides later tokens; {USUAL}"
                    ));
                }
                scores.heads.causal = true;
            }
            _ => return Err(format!("agreements of tokens are not changed so; {USUAL}")),
        }
        match scores.scale.is_finite() && scores.scale > 0.0 {
            true => Ok(scores),
            false => Err(format!("agreements are multiplied by {}; {USUAL}", scores.scale)),
        }
    }

    /// Whether what is hidden is, for each token, those after it.
    fn is_causal(&self, dims: &[usize], hidden: &[bool]) -> bool {
        let rows = self.rows;
        let square = dims.len() >= 2 && dims[dims.len() - 2..] == [rows, rows];
        let one = dims.iter().product::<usize>() == rows * rows;
        let later = |at: usize| at % rows > at / rows;
        square && one && hidden.iter().enumerate().all(|(at, hidden)| *hidden == later(at))
    }

    /// A choice between scores and a number, by a constant.
    pub(super) fn choice(&mut self, node: &NodeProto) -> Result<Known, String> {
        if matches!(self.known(node, 0)?, Known::Lazy(_)) {
            return self.computed_choice(node);
        }
        let truths = self.constant(node, 0)?;
        let chosen = truths.to_integers();
        let all = |truth: bool| chosen.iter().all(|x| (*x != 0) == truth);
        match (self.known(node, 1)?.clone(), self.known(node, 2)?.clone()) {
            (known, _) if all(true) => Ok(known),
            (_, known) if all(false) => Ok(known),
            (Known::Scores(mut scores), Known::Constant(other))
            | (Known::Constant(other), Known::Scores(mut scores)) => {
                let first = matches!(self.known(node, 1)?, Known::Scores(_));
                let hidden: Vec<bool> = chosen.iter().map(|x| (*x != 0) != first).collect();
                let lowest = other.uniform().is_some_and(|x| x < MASKED);
                if scores.shares || !lowest || !self.is_causal(&truths.dims, &hidden) {
                    return Err(format!("its mask does not hide later tokens; {USUAL}"));
                }
                scores.heads.causal = true;
                Ok(Known::Scores(scores))
            }
            (Known::Lazy(_), Known::Constant(other)) => self.masked(node, (&truths, &other), 1),
            (Known::Constant(other), Known::Lazy(_)) => self.masked(node, (&truths, &other), 2),
            (Known::Lazy(_), Known::Lazy(_)) => self.chosen_cells(node, &truths),
            _ => Err("it chooses between agreements of tokens".into()),
        }
    }

    /// A computed value where a constant says so, a constant elsewhere: `x * truth + other`.
    fn masked(
        &mut self,
        node: &NodeProto,
        (truths, other): (&Constant, &Constant),
        operand: usize,
    ) -> Result<Known, String> {
        let (keep, rest) = select_truth(truths, other, operand == 1)?;
        let view = self.view(node, operand)?;
        let kept = self.spread_on(node, &view, (Binary::Mul, &keep), (false, false))?;
        let Known::Lazy(kept) = kept else { return Ok(kept) };
        self.spread_on(node, &kept.view, (Binary::Add, &rest), (false, false))
    }

    /// Two computed values, by a constant: each where it is wanted, and their sum.
    fn chosen_cells(&mut self, node: &NodeProto, truths: &Constant) -> Result<Known, String> {
        let mut parts = Vec::new();
        for (operand, first) in [(1, true), (2, false)] {
            let wanted = truths.to_integers().into_iter().map(|x| f32::from((x != 0) == first));
            let wanted = Constant::floats(truths.dims.clone(), wanted.collect());
            let view = self.view(node, operand)?;
            let part = self.spread_on(node, &view, (Binary::Mul, &wanted), (false, false))?;
            let Known::Lazy(part) = part else { return Err("it chooses constants".into()) };
            parts.push(part.view);
        }
        let sum = self.cell_by_cell(name(node), Op::Add, (&parts[0], &parts[1]))?;
        Ok(Known::Lazy(Lazy::of(sum)))
    }

    /// Softmax: of scores the last step before values are mixed.
    pub(super) fn softmax(&mut self, node: &NodeProto) -> Result<Known, String> {
        let Known::Scores(scores) = self.known(node, 0)?.clone() else {
            return self.along(node, Op::Softmax);
        };
        let rank = scores.dims.len();
        let at = axis(int(node, "axis", if self.opset < 13 { 1 } else { -1 }), rank)?;
        match at + 1 == rank && !scores.shares {
            true => Ok(Known::Scores(Scores { shares: true, ..scores })),
            false => Err(format!("it runs along axis {at} of {rank}; {USUAL}")),
        }
    }

    /// Other axes for scores: those of the tokens stay the last two.
    pub(super) fn reshaped_scores(
        &self,
        scores: &Scores,
        dims: Vec<usize>,
    ) -> Result<Known, String> {
        let tokens = dims.len() >= 2 && dims[dims.len() - 2..] == [self.rows; 2];
        let heads = dims.iter().product::<usize>() == scores.dims.iter().product::<usize>();
        match tokens && heads {
            true => Ok(Known::Scores(Scores { dims, ..scores.clone() })),
            false => Err(format!("agreements of tokens get the shape {dims:?}; {USUAL}")),
        }
    }
}

/// A view with its last two axes exchanged.
fn swapped(view: &View) -> Option<View> {
    let rank = view.axes.len();
    let mut axes = view.axes.clone();
    axes.swap(rank.checked_sub(2)?, rank - 1);
    Some(View { value: view.value, axes })
}
