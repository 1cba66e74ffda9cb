//! Say what a name of the file stands for: a constant, a value not made yet, part of an attention.

use neura_int8::ops::attention::Heads;

use super::{constant::Constant, view::View};
use crate::{Curve, Value};

/// What a lazy value begins with. Norms are written as several nodes: their parts are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The view itself.
    Value,
    /// Its mean over some axes.
    Mean,
    /// What it differs from that mean.
    Centred,
    /// The mean of the squares of that.
    Variance,
    /// The mean of its own squares.
    Squares,
}

/// A value that is made when it is needed: a function of every cell of its base.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lazy {
    pub(super) base: Base,
    pub(super) view: View,
    /// The axes of means, sorted.
    pub(super) axes: Vec<usize>,
    /// Whether means keep their axes, of length 1.
    pub(super) keeps: bool,
    pub(super) curve: Curve,
}

/// How much tokens agree with tokens, before or after softmax: part of an attention.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scores {
    pub(super) queries: Value,
    pub(super) keys: Value,
    pub(super) heads: Heads,
    pub(super) scale: f32,
    /// Whether softmax was taken.
    pub(super) shares: bool,
    /// The lengths of its axes.
    pub(super) dims: Vec<usize>,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub(super) enum Known {
    Constant(Constant),
    Lazy(Lazy),
    Scores(Scores),
}

impl Lazy {
    /// A view as it is.
    pub(super) fn of(view: View) -> Self {
        Lazy { base: Base::Value, view, axes: vec![], keeps: true, curve: Curve::identity() }
    }

    /// The same of another function.
    pub(super) fn curved(mut self, of: impl FnOnce(Curve) -> Curve) -> Self {
        self.curve = of(self.curve);
        self
    }

    /// The lengths of its axes, in runs of `rows` rows.
    pub(super) fn dims(&self, rows: usize) -> Vec<usize> {
        let dims = self.view.dims(rows);
        if matches!(self.base, Base::Value | Base::Centred) {
            return dims;
        }
        let kept =
            dims.into_iter().enumerate().filter_map(|(at, dim)| match self.axes.contains(&at) {
                true => self.keeps.then_some(1),
                false => Some(dim),
            });
        kept.collect()
    }

    /// Whether two are functions of the same.
    pub(super) fn alike(&self, other: &Lazy) -> bool {
        self.base == other.base && self.view == other.view && self.axes == other.axes
    }

    /// Whether it is its view as it is.
    pub(super) fn is_plain(&self) -> bool {
        self.base == Base::Value && self.curve == Curve::identity()
    }
}
