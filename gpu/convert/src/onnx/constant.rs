//! Hold constants: what is stored in the file, and what is computed from that while it is read.

use std::rc::Rc;

/// Most cells of a constant that is computed: 64 MiB of floats.
pub(super) const MAX_FOLDED: usize = 1 << 24;

/// Why a constant is not taken for weights.
pub(super) const NOT_FINITE: &str = "a constant holds a value that is not a finite number";

/// The values of a constant, the last axis contiguous.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cells {
    /// Weights and numbers.
    Floats(Rc<Vec<f32>>),
    /// Shapes, positions, truths.
    Integers(Rc<Vec<i64>>),
}

/// A constant of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) cells: Cells,
}

/// The cells that axes ask for, if they are not too many.
pub(super) fn volume(dims: &[usize]) -> Result<usize, String> {
    let cells = dims.iter().try_fold(1_usize, |cells, dim| cells.checked_mul(*dim));
    cells.filter(|cells| *cells <= MAX_FOLDED).ok_or_else(|| {
        format!("a constant of the shape {dims:?} is computed, of more than {MAX_FOLDED} values")
    })
}

/// The axes that two operands are brought to, as NumPy does.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let side = |dims: &[usize], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
    };
    let axis = |axis: usize| match (side(a, axis), side(b, axis)) {
        (a, b) if a == b || b == 1 => Ok(a),
        (1, b) => Ok(b),
        _ => Err(format!("the shapes {a:?} and {b:?} do not fit each other")),
    };
    (0..rank).map(axis).collect()
}

/// Cells from one step along each axis to the next.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

impl Constant {
    pub(super) fn floats(dims: Vec<usize>, values: Vec<f32>) -> Self {
        Constant { dims, cells: Cells::Floats(Rc::new(values)) }
    }

    pub(super) fn integers(dims: Vec<usize>, values: Vec<i64>) -> Self {
        Constant { dims, cells: Cells::Integers(Rc::new(values)) }
    }

    /// A list of integers.
    pub(super) fn list(values: impl IntoIterator<Item = usize>) -> Self {
        let values: Vec<i64> = values.into_iter().map(|x| x as i64).collect();
        Constant::integers(vec![values.len()], values)
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match &self.cells {
            Cells::Floats(list) => list.len(),
            Cells::Integers(list) => list.len(),
        }
    }

    /// The values as floats.
    pub(super) fn to_floats(&self) -> Vec<f32> {
        match &self.cells {
            Cells::Floats(list) => list.to_vec(),
            Cells::Integers(list) => list.iter().map(|x| *x as f32).collect(),
        }
    }

    /// The values as integers.
    pub(super) fn to_integers(&self) -> Vec<i64> {
        match &self.cells {
            Cells::Floats(list) => list.iter().map(|x| *x as i64).collect(),
            Cells::Integers(list) => list.to_vec(),
        }
    }

    /// The values as lengths or places, none of them negative.
    pub(super) fn to_sizes(&self) -> Result<Vec<usize>, String> {
        let size = |x: i64| usize::try_from(x).map_err(|_| format!("{x} is no length"));
        self.to_integers().into_iter().map(size).collect()
    }

    /// The values as floats that can be quantised.
    pub(super) fn finite(&self) -> Result<Vec<f32>, String> {
        let values = self.to_floats();
        match values.iter().all(|x| x.is_finite()) {
            true => Ok(values),
            false => Err(NOT_FINITE.into()),
        }
    }

    /// Whether it holds what is no number at all, which no model means.
    pub(super) fn has_nan(&self) -> bool {
        matches!(&self.cells, Cells::Floats(list) if list.iter().any(|x| x.is_nan()))
    }

    /// The only value that all cells have.
    pub(super) fn uniform(&self) -> Option<f32> {
        let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
        match &self.cells {
            Cells::Floats(list) => {
                list.first().copied().filter(|first| list.iter().all(|x| same(*x, *first)))
            }
            Cells::Integers(list) => list
                .first()
                .filter(|first| list.iter().all(|x| x == *first))
                .map(|first| *first as f32),
        }
    }

    /// One value for each of `count` channels: as many values, or one for all.
    pub(super) fn channels(&self, count: usize) -> Result<Vec<f32>, String> {
        match self.finite()? {
            list if list.len() == count => Ok(list),
            list if list.len() == 1 => Ok(vec![list[0]; count]),
            list => Err(format!("{} constants do not fit {count} channels", list.len())),
        }
    }

    /// A constant of some of these cells: for each of its own the place of one here.
    pub(super) fn picked(
        &self,
        dims: Vec<usize>,
        places: impl Iterator<Item = usize>,
    ) -> Result<Self, String> {
        volume(&dims)?;
        let missing = || "a place outside the constant is taken".to_owned();
        let cells = match &self.cells {
            Cells::Floats(list) => {
                let cells = places.map(|at| list.get(at).copied().ok_or_else(missing));
                Cells::Floats(Rc::new(cells.collect::<Result<_, _>>()?))
            }
            Cells::Integers(list) => {
                let cells = places.map(|at| list.get(at).copied().ok_or_else(missing));
                Cells::Integers(Rc::new(cells.collect::<Result<_, _>>()?))
            }
        };
        let made = Constant { dims, cells };
        match made.len() == volume(&made.dims)? {
            true => Ok(made),
            false => Err("its shape asks for another number of values".into()),
        }
    }

    /// The constant by other steps through its cells: axes with a length and a step each.
    pub(super) fn stepped(&self, axes: &[(usize, isize)], start: usize) -> Result<Self, String> {
        let dims: Vec<usize> = axes.iter().map(|(length, _)| *length).collect();
        let count = volume(&dims)?;
        let mut at: Vec<usize> = vec![0; axes.len()];
        let mut place = start as isize;
        let places = (0..count).map(|_| {
            let here = place as usize;
            for axis in (0..at.len()).rev() {
                let (length, step) = axes[axis];
                at[axis] += 1;
                place += step;
                if at[axis] < length {
                    break;
                }
                place -= step * length as isize;
                at[axis] = 0;
            }
            here
        });
        self.picked(dims.clone(), places)
    }

    /// The same values with other axes.
    pub(super) fn reshaped(&self, dims: Vec<usize>) -> Result<Self, String> {
        match dims.iter().try_fold(1_usize, |cells, dim| cells.checked_mul(*dim)) {
            Some(cells) if cells == self.len() => Ok(Constant { dims, cells: self.cells.clone() }),
            _ => Err(format!("a constant of the shape {:?} cannot become {dims:?}", self.dims)),
        }
    }

    /// The axes in another order.
    pub(super) fn transposed(&self, order: &[usize]) -> Result<Self, String> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..self.dims.len()) {
            return Err(format!("{order:?} is no order of its axes"));
        }
        let strides = strides(&self.dims);
        let axes: Vec<(usize, isize)> =
            order.iter().map(|axis| (self.dims[*axis], strides[*axis] as isize)).collect();
        self.stepped(&axes, 0)
    }

    /// The same for axes that the shape is brought to, as NumPy does.
    pub(super) fn expanded(&self, dims: &[usize]) -> Result<Self, String> {
        if self.dims == dims {
            return Ok(self.clone());
        }
        if broadcast(&self.dims, dims)? != dims {
            return Err(format!("the shape {:?} cannot become {dims:?}", self.dims));
        }
        let (own, missing) = (strides(&self.dims), dims.len() - self.dims.len());
        let axis = |axis: usize| match axis.checked_sub(missing) {
            Some(from) if self.dims[from] > 1 => (dims[axis], own[from] as isize),
            _ => (dims[axis], 0),
        };
        self.stepped(&(0..dims.len()).map(axis).collect::<Vec<_>>(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_moved_as_numpy_moves_them() {
        let x = Constant::integers(vec![2, 3], vec![0, 1, 2, 3, 4, 5]);
        assert_eq!(x.transposed(&[1, 0]).unwrap().to_integers(), [0, 3, 1, 4, 2, 5]);
        let row = Constant::integers(vec![3], vec![7, 8, 9]);
        assert_eq!(row.expanded(&[2, 3]).unwrap().to_integers(), [7, 8, 9, 7, 8, 9]);
        let column = Constant::integers(vec![2, 1], vec![7, 8]);
        assert_eq!(column.expanded(&[2, 2]).unwrap().to_integers(), [7, 7, 8, 8]);
        let back = x.stepped(&[(2, 3), (3, -1)], 2).unwrap();
        assert_eq!(back.to_integers(), [2, 1, 0, 5, 4, 3]);
    }

    #[test]
    fn shapes_that_do_not_fit_or_are_too_great_are_refused() {
        let x = Constant::integers(vec![2, 3], vec![0; 6]);
        assert!(x.expanded(&[3, 3]).is_err() && x.reshaped(vec![4]).is_err());
        assert!(x.transposed(&[0, 0]).is_err() && x.expanded(&[1 << 22, 2, 3]).is_err());
        assert!(broadcast(&[2, 3], &[2]).is_err());
    }
}
