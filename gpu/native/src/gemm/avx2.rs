//! Multiply with AVX2: eight sums of two products of 16-bit values with one instruction.
//!
//! No product of values of 8 and 16 bits, and no sum of two, leaves 32 bits.

use std::arch::x86_64::*;

/// Columns of a panel: the sums of one vector.
const LANES: usize = 8;
/// Values of depth that one instruction sums.
const STEP: usize = 2;
/// Panels computed together, and rows: 12 sums stay in registers.
const PANELS: usize = 2;
const ROWS: usize = 6;

/// Two values of each of eight columns.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Pairs([i16; LANES * STEP]);

/// `B`, two panels after two of eight columns, each in steps of two values of depth.
#[derive(Debug)]
pub(crate) struct Packed {
    columns: usize,
    steps: usize,
    pairs: Vec<Pairs>,
}

impl Packed {
    /// Packs rows of `depth` values; what is missing to whole panels and steps is zero.
    pub(crate) fn new(b: &[i8], depth: usize) -> Self {
        let (columns, steps) = (b.len() / depth, depth.div_ceil(STEP));
        let panels = columns.div_ceil(LANES * PANELS) * PANELS;
        let mut pairs = vec![Pairs([0; LANES * STEP]); panels * steps];
        let panels = b.chunks(LANES * depth).zip(pairs.chunks_mut(steps));
        super::each(b.len(), panels, |(rows, panel)| {
            for (lane, row) in rows.chunks_exact(depth).enumerate() {
                for (values, pairs) in row.chunks(STEP).zip(panel.iter_mut()) {
                    for (to, value) in pairs.0[lane * STEP..].iter_mut().zip(values) {
                        *to = i16::from(*value);
                    }
                }
            }
        });
        Packed { columns, steps, pairs }
    }
}

/// `C += A · Bᵀ` for some rows of `A`, of values of 8 or 16 bits.
#[target_feature(enable = "avx2")]
pub(crate) fn rows<T: Copy + Into<i16>>(a: &[T], depth: usize, b: &Packed, c: &mut [i32]) {
    for (a, c) in a.chunks(ROWS * depth).zip(c.chunks_mut(ROWS * b.columns)) {
        let mut tile = vec![[[0_i16; STEP]; ROWS]; b.steps];
        for (row, values) in a.chunks_exact(depth).enumerate() {
            for (values, step) in values.chunks(STEP).zip(&mut tile) {
                for (to, value) in step[row].iter_mut().zip(values) {
                    *to = (*value).into();
                }
            }
        }
        for (index, panels) in b.pairs.chunks_exact(PANELS * b.steps).enumerate() {
            let sums = multiply(&tile, panels);
            let first = index * PANELS * LANES;
            for (sums, c) in sums.iter().zip(c.chunks_exact_mut(b.columns)) {
                for (sum, c) in sums.as_flattened().iter().zip(&mut c[first..]) {
                    *c = c.wrapping_add(*sum);
                }
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn multiply(tile: &[[[i16; STEP]; ROWS]], panels: &[Pairs]) -> [[[i32; LANES]; PANELS]; ROWS] {
    let (left, right) = panels.split_at(tile.len());
    let mut sums = [[_mm256_setzero_si256(); PANELS]; ROWS];
    for ((a, left), right) in tile.iter().zip(left).zip(right) {
        let b = [load(&left.0), load(&right.0)];
        for row in 0..ROWS {
            let [low, high] = a[row].map(i16::cast_unsigned).map(u32::from);
            let a = _mm256_set1_epi32((low | (high << 16)).cast_signed());
            for panel in 0..PANELS {
                let products = _mm256_madd_epi16(b[panel], a);
                sums[row][panel] = _mm256_add_epi32(sums[row][panel], products);
            }
        }
    }
    let mut values = [[[0; LANES]; PANELS]; ROWS];
    for (values, sums) in values.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
        store(*sums, values);
    }
    values
}

#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "loads take pointers")]
fn load(values: &[i16; LANES * STEP]) -> __m256i {
    // SAFETY: the pointer is to 32 bytes that can be read, and needs no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "stores take pointers")]
fn store(sums: __m256i, to: &mut [i32; LANES]) {
    // SAFETY: the pointer is to 32 bytes that can be written, and needs no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), sums) }
}
