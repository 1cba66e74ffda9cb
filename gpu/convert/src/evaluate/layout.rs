//! Move cells of rows, in floats.

/// The cells before an axis, of it, and after it.
fn around(dims: &[usize], axis: usize) -> (usize, usize, usize) {
    (dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product())
}

/// Part of an axis of every row: the axis, its first place, its length.
pub(super) fn sliced(
    x: &[f32],
    dims: &[usize],
    (axis, start, length): (usize, usize, usize),
) -> Vec<f32> {
    let (_, whole, inner) = around(dims, axis);
    let blocks = x.chunks_exact((whole * inner).max(1));
    blocks.flat_map(|block| &block[start * inner..(start + length) * inner]).copied().collect()
}

/// Rows joined along an axis.
pub(super) fn joined(parts: &[(&[f32], &[usize])], axis: usize) -> Vec<f32> {
    let block = |dims: &[usize]| dims[axis..].iter().product::<usize>().max(1);
    let blocks = parts.first().map_or(0, |(x, dims)| x.len() / block(dims));
    let mut made = Vec::new();
    for at in 0..blocks {
        for (x, dims) in parts {
            made.extend_from_slice(&x[at * block(dims)..(at + 1) * block(dims)]);
        }
    }
    made
}

/// The axes of every row in another order.
pub(super) fn transposed(x: &[f32], dims: &[usize], order: &[usize]) -> Vec<f32> {
    let stride = |axis: usize| dims[axis + 1..].iter().product::<usize>();
    let steps: Vec<(usize, usize)> =
        order.iter().map(|axis| (dims[*axis], stride(*axis))).collect();
    let width: usize = dims.iter().product();
    let place = |mut at: usize| {
        let mut from = 0;
        for (length, stride) in steps.iter().rev() {
            from += at % length * stride;
            at /= length;
        }
        from
    };
    let places: Vec<usize> = (0..width).map(place).collect();
    x.chunks_exact(width.max(1)).flat_map(|row| places.iter().map(|at| row[*at])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_moved_row_by_row() {
        let x: Vec<f32> = (0..12).map(|x| x as f32).collect();
        assert_eq!(sliced(&x, &[2, 3], (1, 1, 2)), [1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 10.0, 11.0]);
        assert_eq!(transposed(&x[..6], &[2, 3], &[1, 0]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let dims = [1, 3];
        let parts = [(&x[..6], &dims[..]), (&x[6..], &dims[..])];
        let made = joined(&parts, 0);
        assert_eq!(made, [0.0, 1.0, 2.0, 6.0, 7.0, 8.0, 3.0, 4.0, 5.0, 9.0, 10.0, 11.0]);
    }
}
