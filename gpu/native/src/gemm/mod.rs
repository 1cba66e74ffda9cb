//! Multiply matrices of int8 values: `C = A · Bᵀ`, rows in parallel.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::Level;
use neura_int8::Product;
use rayon::prelude::*;

/// Rows of `A` up to which `B` is read once as it is: packing it would cost as much.
const FEW: usize = 12;
/// Steps of work below which one thread does it all: waking others takes longer.
const LEAST_PARALLEL: usize = 1 << 17;
/// Greatest number of rows that a thread takes at once: they stay in its nearer caches.
const MOST_ROWS: usize = 96;
/// Rows are taken in multiples of this, which every kernel's tile divides.
const TILE_ROWS: usize = 24;

/// Calls `act` for each item, on all cores if there are `work` steps worth it.
pub(crate) fn each<T: Send>(
    work: usize,
    items: impl Iterator<Item = T>,
    act: impl Fn(T) + Sync + Send,
) {
    if work < LEAST_PARALLEL {
        items.for_each(act);
    } else {
        items.collect::<Vec<T>>().into_par_iter().for_each(act);
    }
}

/// Rows that a thread takes at once, of `rows`.
pub(crate) fn share(rows: usize) -> usize {
    let fair = rows.div_ceil(2 * rayon::current_num_threads());
    fair.next_multiple_of(TILE_ROWS).min(MOST_ROWS)
}

/// `B`, laid out for a level's kernel.
#[derive(Debug)]
pub(crate) enum Packed<'a> {
    Portable(&'a [i8]),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Packed),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Packed),
}

impl<'a> Packed<'a> {
    /// `b` is rows of `depth` values. The level must be available.
    pub(crate) fn new(level: Level, b: &'a [i8], depth: usize) -> Self {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => Packed::Avx512(avx512::Packed::new(b, depth)),
            _ => Packed::for_wide(level, b, depth),
        }
    }

    /// The same for rows of `A` of 16-bit values.
    pub(crate) fn for_wide(level: Level, b: &'a [i8], depth: usize) -> Self {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni | Level::Avx2 => Packed::Avx2(avx2::Packed::new(b, depth)),
            _ => Packed::Portable(b),
        }
    }

    /// Writes the product with some rows of `a` into `c`, which is zeros.
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn rows(&self, a: &[i8], depth: usize, c: &mut [i32]) {
        match self {
            Packed::Portable(b) => portable::rows(a, b, depth, c),
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(b) => unsafe { avx2::rows(a, depth, b, c) },
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(b) => unsafe { avx512::rows(a, depth, b, c) },
        }
    }

    /// Adds the product with some rows of 16-bit values, packed [for them](Self::for_wide).
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn add_wide_rows(&self, a: &[i16], depth: usize, c: &mut [i32]) {
        match self {
            Packed::Portable(b) => portable::rows(a, b, depth, c),
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(b) => unsafe { avx2::rows(a, depth, b, c) },
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(_) => {}
        }
    }
}

/// The product, row after row.
pub(crate) fn product(level: Level, product: Product<'_>) -> Vec<i32> {
    let Product { a, b, depth } = product;
    let depth = depth.max(1);
    let (rows, columns) = (a.len() / depth, b.len() / depth);
    let mut c = vec![0; rows * columns];
    if c.is_empty() {
        return c;
    }
    if rows <= FEW && level == Level::Avx512Vnni {
        return few_rows(product, rows, columns);
    }
    let packed = Packed::new(level, b, depth);
    let taken = share(rows);
    let parts = a.chunks(taken * depth).zip(c.chunks_mut(taken * columns));
    each(rows * b.len(), parts, |(a, c)| packed.rows(a, depth, c));
    c
}

/// The product with few rows of `A`: bound by how fast `B` is read, once, from where it lies.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "instructions that were found to be there")]
fn few_rows(Product { a, b, depth }: Product<'_>, rows: usize, columns: usize) -> Vec<i32> {
    let a = avx512::prepared(a, depth);
    let mut transposed = vec![0; rows * columns];
    let taken = columns.div_ceil(4 * rayon::current_num_threads());
    let parts = b.chunks(taken * depth).zip(transposed.chunks_mut(taken * rows));
    // SAFETY: a level is used only where its instructions are available.
    each(rows * b.len(), parts, |(b, c)| unsafe { avx512::dots(&a, b, depth, c) });
    if rows == 1 {
        return transposed;
    }
    (0..rows * columns).map(|at| transposed[at % columns * rows + at / columns]).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn few_rows(_: Product<'_>, _: usize, _: usize) -> Vec<i32> {
    unreachable!("the level is of x86-64 alone")
}
