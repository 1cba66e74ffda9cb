//! Multiply in plain Rust, which compilers make vectors of.

/// Columns that are used together: they stay in the nearest cache.
const BLOCK: usize = 16;

/// `C += A · Bᵀ` for some rows of `A`; `b` has `columns` rows of `depth` values.
pub(crate) fn rows<T: Copy + Into<i32>>(a: &[T], b: &[i8], depth: usize, c: &mut [i32]) {
    let columns = b.len() / depth;
    let a: Vec<i32> = a.iter().map(|x| (*x).into()).collect();
    for (block, b) in b.chunks(BLOCK * depth).enumerate() {
        let b: Vec<i32> = b.iter().map(|x| i32::from(*x)).collect();
        for (row, c) in a.chunks_exact(depth).zip(c.chunks_exact_mut(columns)) {
            for (column, sum) in b.chunks_exact(depth).zip(&mut c[block * BLOCK..]) {
                let products = row.iter().zip(column).map(|(x, y)| x.wrapping_mul(*y));
                *sum = products.fold(*sum, i32::wrapping_add);
            }
        }
    }
}
