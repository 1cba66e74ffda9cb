//! Multiply with AVX2: eight sums of two products of 16-bit values with one instruction.
//!
//! No product of values of 8 and 16 bits, and no sum of two, leaves 32 bits.

use crate::view::View;
use std::arch::x86_64::*;

/// Columns of a panel: the sums of one vector.
const LANES: usize = 8;
/// Values of depth that one instruction sums.
const STEP: usize = 2;
/// Panels computed together, and rows: 12 sums stay in registers.
const PANELS: usize = 2;
pub(crate) const ROWS: usize = 6;

/// Two values of each of eight columns.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Pairs([i16; LANES * STEP]);

/// `B`, two panels after two of eight columns: for each step of two values of depth, one vector of
/// each panel.
#[derive(Debug)]
pub(crate) struct Packed {
    columns: usize,
    steps: usize,
    pairs: Vec<Pairs>,
}

impl Packed {
    /// Packs rows, each of which makes a column of sums; what is missing to whole panels and steps
    /// is zero.
    pub(crate) fn new(b: View<'_, i8>) -> Self {
        let mut packed = Packed::empty(b.count(), b.width());
        let group = PANELS * packed.steps;
        let groups = b.blocks(PANELS * LANES).zip(packed.pairs.chunks_mut(group));
        super::each(b.count() * b.width(), groups, |(rows, group)| {
            for (column, row) in rows.rows().enumerate() {
                let (panel, lane) = (column / LANES, column % LANES);
                let pairs = group.iter_mut().skip(panel).step_by(PANELS);
                for (values, pairs) in row.chunks(STEP).zip(pairs) {
                    for (to, value) in pairs.0[lane * STEP..].iter_mut().zip(values) {
                        *to = i16::from(*value);
                    }
                }
            }
        });
        packed
    }

    /// Packs columns: each row is a value of depth of every column.
    pub(crate) fn of_columns(b: View<'_, i8>) -> Self {
        let mut packed = Packed::empty(b.width(), b.count());
        let group = PANELS * packed.steps;
        for (at, row) in b.rows().enumerate() {
            for (panel, values) in row.chunks(LANES).enumerate() {
                let place = panel / PANELS * group + at / STEP * PANELS + panel % PANELS;
                let pairs = packed.pairs[place].0.iter_mut().skip(at % STEP).step_by(STEP);
                pairs.zip(values).for_each(|(to, value)| *to = i16::from(*value));
            }
        }
        packed
    }

    fn empty(columns: usize, depth: usize) -> Self {
        let (panels, steps) = (columns.div_ceil(LANES * PANELS) * PANELS, depth.div_ceil(STEP));
        Packed { columns, steps, pairs: vec![Pairs([0; LANES * STEP]); panels * steps] }
    }
}

/// `C += A · Bᵀ` for some rows of `A`, of values of 8 or 16 bits; those of `c` are `stride` apart.
#[target_feature(enable = "avx2")]
pub(crate) fn rows<T: Copy + Into<i16>>(a: View<'_, T>, b: &Packed, c: &mut [i32], stride: usize) {
    let mut tile = vec![[[0_i16; STEP]; ROWS]; b.steps];
    for (a, c) in a.blocks(ROWS).zip(c.chunks_mut(ROWS * stride)) {
        for (row, values) in a.rows().enumerate() {
            for (values, step) in values.chunks(STEP).zip(&mut tile) {
                for (to, value) in step[row].iter_mut().zip(values) {
                    *to = (*value).into();
                }
            }
        }
        for (index, panels) in b.pairs.chunks_exact(PANELS * b.steps).enumerate() {
            let sums = multiply(&tile, panels.as_chunks().0);
            let columns = index * PANELS * LANES..b.columns;
            for (sums, c) in sums.iter().zip(c.chunks_mut(stride)) {
                for (sum, c) in sums.as_flattened().iter().zip(&mut c[columns.clone()]) {
                    *c = c.wrapping_add(*sum);
                }
            }
        }
    }
}

#[target_feature(enable = "avx2")]
fn multiply(
    tile: &[[[i16; STEP]; ROWS]],
    panels: &[[Pairs; PANELS]],
) -> [[[i32; LANES]; PANELS]; ROWS] {
    let mut sums = [[_mm256_setzero_si256(); PANELS]; ROWS];
    for (a, b) in tile.iter().zip(panels) {
        let b = [load(&b[0].0), load(&b[1].0)];
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
    for row in 0..ROWS {
        for panel in 0..PANELS {
            store(sums[row][panel], &mut values[row][panel]);
        }
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
