//! Multiply int8 matrices, in plain code that compilers make vectors of.

use crate::Product;

/// Rows of `B` that are widened and used together: they stay in the nearest cache.
const BLOCK: usize = 16;

/// `C = A · Bᵀ`, sums in 32 bits.
pub(crate) fn product(Product { a, b, depth }: Product<'_>) -> Vec<i32> {
    let depth = depth.max(1);
    let columns = b.chunks_exact(depth).len();
    let mut sums = vec![0; a.chunks_exact(depth).len().saturating_mul(columns)];
    let rows: Vec<i16> = widened(a);
    for (block, b) in b.chunks(depth.saturating_mul(BLOCK)).enumerate() {
        let b = widened(b);
        let first = block.saturating_mul(BLOCK);
        let outputs = sums.chunks_exact_mut(columns.max(1));
        for (row, output) in rows.chunks_exact(depth).zip(outputs) {
            let output = output.iter_mut().skip(first);
            for (column, sum) in b.chunks_exact(depth).zip(output) {
                *sum = dot(row, column);
            }
        }
    }
    sums
}

fn widened(values: &[i8]) -> Vec<i16> {
    values.iter().map(|x| i16::from(*x)).collect()
}

fn dot(a: &[i16], b: &[i16]) -> i32 {
    let products = a.iter().zip(b).map(|(x, y)| i32::from(*x).wrapping_mul(i32::from(*y)));
    products.fold(0, i32::wrapping_add)
}
