//! Multiply in plain Rust, which compilers make vectors of.

use crate::view::View;

/// Columns that are used together: they stay in the nearest cache.
const BLOCK: usize = 16;

/// `C += A · Bᵀ` for some rows of `A`; those of `c` are `stride` apart.
pub(crate) fn rows<T: Copy + Into<i32>>(
    a: View<'_, T>,
    b: View<'_, i8>,
    c: &mut [i32],
    stride: usize,
) {
    let depth = b.width();
    let a: Vec<i32> = a.rows().flatten().map(|x| (*x).into()).collect();
    for (block, b) in b.blocks(BLOCK).enumerate() {
        let b: Vec<i32> = b.rows().flatten().map(|x| i32::from(*x)).collect();
        for (row, c) in a.chunks_exact(depth).zip(c.chunks_mut(stride)) {
            for (column, sum) in b.chunks_exact(depth).zip(&mut c[block * BLOCK..]) {
                let products = row.iter().zip(column).map(|(x, y)| x.wrapping_mul(*y));
                *sum = products.fold(*sum, i32::wrapping_add);
            }
        }
    }
}
