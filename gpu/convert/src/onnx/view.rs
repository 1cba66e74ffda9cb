//! Look at a value's cells by other axes, without moving them.
//!
//! A graph's value has rows and, within a row, cells. What ONNX calls its axes, their order, and
//! which of them is the rows, is kept apart: a [`View`]. Reshaping, transposing, squeezing only
//! make other views; cells are moved where an operator needs them in order.

use crate::Value;

/// Part of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    /// The rows of the run: images of a batch, tokens of a text.
    Rows,
    /// So many steps through a row's cells.
    Cells {
        /// How many.
        size: usize,
        /// Cells from one to the next.
        stride: usize,
    },
}

/// A value, and its axes: each is of some parts, the last running fastest; of none if of length 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) value: Value,
    pub(super) axes: Vec<Vec<Atom>>,
}

/// The parts of an axis, joined where they follow each other.
fn joined(atoms: impl IntoIterator<Item = Atom>) -> Vec<Atom> {
    let mut joined: Vec<Atom> = Vec::new();
    for atom in atoms {
        match (joined.last_mut(), atom) {
            (_, Atom::Cells { size: 1, .. }) => {}
            (Some(Atom::Cells { size, stride }), Atom::Cells { size: inner, stride: step })
                if *stride == inner * step =>
            {
                (*size, *stride) = (*size * inner, step);
            }
            _ => joined.push(atom),
        }
    }
    joined
}

impl View {
    /// A value whose rows have these axes, in the order of its cells, behind the rows' axis.
    pub(super) fn plain(value: Value, dims: &[usize]) -> Self {
        let mut axes = vec![vec![Atom::Rows]];
        axes.extend(cells(dims));
        View { value, axes }
    }

    /// The same view of another value whose rows have the same cells.
    pub(super) fn of(&self, value: Value) -> Self {
        View { value, axes: self.axes.clone() }
    }

    /// The same axes over the cells of a value that lie in their order; the last of another length
    /// if one is given.
    pub(super) fn laid(&self, value: Value, last: Option<usize>) -> Self {
        let mut axes = self.axes.clone();
        if let (Some(size), Some(axis)) = (last, axes.last_mut()) {
            *axis = vec![Atom::Cells { size, stride: 1 }];
        }
        let mut next = 1;
        for atom in axes.iter_mut().rev().flat_map(|axis| axis.iter_mut().rev()) {
            if let Atom::Cells { size, stride } = atom {
                *stride = next;
                next *= *size;
            }
        }
        View { value, axes: axes.into_iter().map(joined).collect() }
    }

    /// The lengths of the axes, in runs of `rows` rows.
    pub(super) fn dims(&self, rows: usize) -> Vec<usize> {
        let size = |atom: &Atom| match atom {
            Atom::Rows => rows,
            Atom::Cells { size, .. } => *size,
        };
        self.axes.iter().map(|axis| axis.iter().map(size).product()).collect()
    }

    /// The axis that the rows are part of.
    pub(super) fn rows_axis(&self) -> Option<usize> {
        self.axes.iter().position(|axis| axis.contains(&Atom::Rows))
    }

    /// All parts but the rows, in the order of the axes, joined where they follow each other.
    pub(super) fn order(&self) -> Vec<Atom> {
        joined(self.axes.iter().flatten().filter(|atom| **atom != Atom::Rows).copied())
    }

    /// Cells of a row.
    pub(super) fn width(&self) -> usize {
        self.dims(1).iter().product()
    }

    /// Other axes for the same cells; none if an axis would have to cut the rows.
    pub(super) fn reshaped(&self, dims: &[usize], rows: usize) -> Option<Self> {
        let mut left: Vec<Atom> = self.axes.iter().flatten().rev().copied().collect();
        let mut axes = Vec::with_capacity(dims.len());
        for (at, dim) in dims.iter().enumerate() {
            let (mut axis, mut need) = (Vec::new(), *dim);
            // With one row, its axis is the first that has length 1.
            let rows_next = left.last() == Some(&Atom::Rows) && rows == 1;
            if rows_next && (need == 1 || at + 1 == dims.len()) {
                axis.extend(left.pop());
            }
            while need > 1 {
                match left.pop()? {
                    Atom::Rows if need.is_multiple_of(rows) => {
                        need /= rows;
                        axis.push(Atom::Rows);
                    }
                    Atom::Rows => return None,
                    Atom::Cells { size, stride } if need.is_multiple_of(size) => {
                        need /= size;
                        axis.push(Atom::Cells { size, stride });
                    }
                    Atom::Cells { size, stride } if size.is_multiple_of(need) => {
                        let rest = size / need;
                        axis.push(Atom::Cells { size: need, stride: stride * rest });
                        left.push(Atom::Cells { size: rest, stride });
                        need = 1;
                    }
                    Atom::Cells { .. } => return None,
                }
            }
            axes.push(joined(axis));
        }
        // Rows that no axis of theirs was left for are the first axis's.
        if left == [Atom::Rows] && rows == 1 && !axes.is_empty() {
            axes[0].insert(0, Atom::Rows);
            left.clear();
        }
        left.is_empty().then_some(View { value: self.value, axes })
    }

    /// The axes in another order; none if it is no order of theirs.
    pub(super) fn transposed(&self, order: &[usize]) -> Option<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        sorted.iter().copied().eq(0..self.axes.len()).then(|| {
            let axes = order.iter().map(|axis| self.axes[*axis].clone()).collect();
            View { value: self.value, axes }
        })
    }
}

/// Axes of these lengths over cells in order.
pub(super) fn cells(dims: &[usize]) -> Vec<Vec<Atom>> {
    let mut stride = dims.iter().product::<usize>();
    let axis = |size: &usize| {
        stride /= (*size).max(1);
        joined([Atom::Cells { size: *size, stride }])
    };
    dims.iter().map(axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(dims: &[usize]) -> View {
        View::plain(Value(0), dims)
    }

    #[test]
    fn heads_are_split_and_joined_without_moving_a_cell() {
        let hidden = view(&[5, 12]);
        let split = hidden.reshaped(&[7, 5, 3, 4], 7).unwrap();
        let heads = split.transposed(&[0, 2, 1, 3]).unwrap();
        assert_eq!(heads.dims(7), [7, 3, 5, 4]);
        assert_eq!(heads.order().len(), 3, "cells are out of order");
        let back = heads.transposed(&[0, 2, 1, 3]).unwrap().reshaped(&[7, 5, 12], 7).unwrap();
        assert_eq!(back, hidden);
    }

    #[test]
    fn rows_are_merged_with_other_axes_and_never_cut() {
        let flat = view(&[5, 12]).reshaped(&[35, 12], 7).unwrap();
        assert_eq!(flat.reshaped(&[7, 60], 7).unwrap(), view(&[60]));
        assert_eq!(view(&[12]).reshaped(&[84], 7).unwrap().dims(7), [84]);
        assert_eq!(view(&[12]).reshaped(&[6, 14], 7), None);
        assert_eq!(view(&[12]).reshaped(&[7, 5], 7), None);
        assert_eq!(view(&[12]).reshaped(&[7, 24], 7), None);
    }

    #[test]
    fn a_batch_of_one_is_the_first_axis_that_can_be_it() {
        let image = view(&[512, 1, 1]);
        assert_eq!(image.reshaped(&[1, 512], 1).unwrap(), view(&[512]));
        assert_eq!(image.reshaped(&[512], 1).unwrap().axes[0][0], Atom::Rows);
    }

    proptest::proptest! {
        #[test]
        fn any_reshape_and_back_is_the_same_view(dims in proptest::collection::vec(1_usize..7, 1..5)) {
            let (rows, cells) = (11, dims.iter().product::<usize>());
            let flat = view(&[cells]);
            let shape: Vec<usize> = [rows].into_iter().chain(dims.iter().copied()).collect();
            let split = flat.reshaped(&shape, rows).unwrap();
            proptest::prop_assert_eq!(split.dims(rows), shape);
            proptest::prop_assert_eq!(split.reshaped(&[rows, cells], rows).unwrap(), flat);
        }
    }
}
