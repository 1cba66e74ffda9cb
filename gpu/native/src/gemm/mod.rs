//! Multiply matrices of int8 values: `C = A · Bᵀ`, rows in parallel.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(target_arch = "x86_64")]
mod transpose;

use crate::{Level, view::View};
use neura_int8::Product;
use rayon::prelude::*;

/// Rows of `A` up to which `B` is read once as it is: packing it would cost as much.
const FEW: usize = 12;
/// Steps of work below which one thread does it all: waking others takes longer.
const LEAST_PARALLEL: usize = 1 << 17;
/// Greatest number of rows that a thread takes at once: they stay in its nearer caches.
const MOST_ROWS: usize = 96;
/// Parts that work is cut into for each thread, so that one that was held up takes fewer.
const PARTS: usize = 2;

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

/// Items that a thread takes at once, of `items`; at least 1.
pub(crate) fn parts(items: usize) -> usize {
    items.div_ceil(PARTS * rayon::current_num_threads()).max(1)
}

/// Rows of a product that a thread takes at once, of `rows`: whole tiles.
pub(crate) fn share(level: Level, rows: usize) -> usize {
    let tile = match level {
        Level::Portable => 1,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::ROWS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => avx512::ROWS,
        #[cfg(not(target_arch = "x86_64"))]
        _ => 1,
    };
    parts(rows).next_multiple_of(tile).min(MOST_ROWS)
}

/// Whether so few rows are multiplied that `B` is not worth packing.
pub(crate) fn is_few(level: Level, rows: usize) -> bool {
    rows <= FEW && level == Level::Avx512Vnni
}

/// `B`, laid out for a level's kernel.
#[derive(Debug)]
pub(crate) enum Packed<'a> {
    Portable(View<'a, i8>),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Packed),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Packed),
}

impl<'a> Packed<'a> {
    /// Each row of `b` makes a column of sums. The level must be available.
    pub(crate) fn new(level: Level, b: View<'a, i8>) -> Self {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => Packed::Avx512(avx512::Packed::new(b)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Packed::Avx2(avx2::Packed::new(b)),
            _ => Packed::Portable(b),
        }
    }

    /// Writes the product with some rows of `a` into rows of `c`, `stride` apart, which is zeros.
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn rows(&self, a: View<'_, i8>, c: &mut [i32], stride: usize) {
        match self {
            Packed::Portable(b) => portable::rows(a, *b, c, stride),
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Packed::Avx2(b) => unsafe { avx2::rows(a, b, c, stride) },
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Packed::Avx512(b) => unsafe { avx512::rows(a, b, c, stride) },
        }
    }
}

/// A matrix by which rows of 16-bit values are multiplied.
#[derive(Debug)]
pub(crate) enum Wide {
    /// The columns, one after another, each so long.
    Portable(Vec<i8>, usize),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Packed),
}

impl Wide {
    /// Each column of `b` makes a column of sums. The level must be available.
    pub(crate) fn new(level: Level, b: View<'_, i8>) -> Self {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni | Level::Avx2 => Wide::Avx2(avx2::Packed::of_columns(b)),
            _ => {
                let (depth, mut columns) = (b.count(), vec![0; b.count() * b.width()]);
                for (at, row) in b.rows().enumerate() {
                    let column = columns.iter_mut().skip(at).step_by(depth);
                    column.zip(row).for_each(|(to, value)| *to = *value);
                }
                Wide::Portable(columns, depth)
            }
        }
    }

    /// Adds the product with some rows to rows of `c`, `stride` apart.
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn add_rows(&self, a: View<'_, i16>, c: &mut [i32], stride: usize) {
        match self {
            Wide::Portable(b, depth) => portable::rows(a, View::whole(b, *depth), c, stride),
            // SAFETY: a level is used only where its instructions are available.
            #[cfg(target_arch = "x86_64")]
            Wide::Avx2(b) => unsafe { avx2::rows(a, b, c, stride) },
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
    if is_few(level, rows) {
        return few_rows(product, rows, columns);
    }
    let packed = Packed::new(level, View::whole(b, depth));
    let taken = share(level, rows);
    let parts = View::whole(a, depth).blocks(taken).zip(c.chunks_mut(taken * columns));
    each(rows * b.len(), parts, |(a, c)| packed.rows(a, c, columns));
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
