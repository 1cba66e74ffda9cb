//! Multiply with AVX-512 VNNI: sixteen sums, four products each, with one instruction.
//!
//! The instruction takes unsigned by signed bytes. `B` is packed with 128 added to each value,
//! which the sums begin with the opposite of. All sums wrap; what they end at is exact.

use std::arch::x86_64::*;

/// Columns of a panel: the sums of one vector.
const LANES: usize = 16;
/// Values of depth that one instruction sums.
const STEP: usize = 4;
/// Panels computed together, and rows: 24 sums stay in registers.
const PANELS: usize = 3;
const ROWS: usize = 8;

/// Four values of each of sixteen columns.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Quads([u8; LANES * STEP]);

/// `B`, panel after panel of sixteen columns, each in steps of four values of depth.
#[derive(Debug)]
pub(crate) struct Packed {
    columns: usize,
    steps: usize,
    quads: Vec<Quads>,
}

impl Packed {
    /// Packs rows of `depth` values; what is missing to whole panels and steps is padding.
    pub(crate) fn new(b: &[i8], depth: usize) -> Self {
        let (columns, steps) = (b.len() / depth, depth.div_ceil(STEP));
        let mut quads = vec![Quads([0; LANES * STEP]); columns.div_ceil(LANES) * steps];
        let panels = b.chunks(LANES * depth).zip(quads.chunks_mut(steps));
        super::each(b.len(), panels, |(rows, panel)| {
            for (lane, row) in rows.chunks_exact(depth).enumerate() {
                let (whole, rest) = row.as_chunks::<STEP>();
                for (values, quads) in whole.iter().zip(panel.iter_mut()) {
                    let word = u32::from_le_bytes(values.map(i8::cast_unsigned)) ^ 0x8080_8080;
                    quads.0[lane * STEP..][..STEP].copy_from_slice(&word.to_le_bytes());
                }
                if let (false, Some(last)) = (rest.is_empty(), panel.last_mut()) {
                    for (to, value) in last.0[lane * STEP..].iter_mut().zip(rest) {
                        *to = value.cast_unsigned() ^ 0x80;
                    }
                }
            }
        });
        Packed { columns, steps, quads }
    }
}

/// `C = A · Bᵀ` for some rows of `A`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn rows(a: &[i8], depth: usize, b: &Packed, c: &mut [i32]) {
    for (a, c) in a.chunks(ROWS * depth).zip(c.chunks_mut(ROWS * b.columns)) {
        let tile = Tile::new(a, depth);
        for (index, panels) in b.quads.chunks(PANELS * b.steps).enumerate() {
            let first = index * PANELS * LANES;
            let (one, rest) = panels.split_at(b.steps);
            let (two, three) = rest.split_at(rest.len().min(b.steps));
            match (two.is_empty(), three.is_empty()) {
                (true, _) => tile.multiply([one], c, (b.columns, first)),
                (false, true) => tile.multiply([one, two], c, (b.columns, first)),
                (false, false) => tile.multiply([one, two, three], c, (b.columns, first)),
            }
        }
    }
}

/// Up to [`ROWS`] rows of `A`.
struct Tile {
    /// For each step of depth, four values of each row, zeros where there are none.
    steps: Vec<[[i8; STEP]; ROWS]>,
    /// What the sums begin with: -128 times the sum of the row.
    start: [i32; ROWS],
}

impl Tile {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn new(a: &[i8], depth: usize) -> Self {
        let mut steps = vec![[[0; STEP]; ROWS]; depth.div_ceil(STEP)];
        let mut start = [0; ROWS];
        for (row, values) in a.chunks_exact(depth).enumerate().take(ROWS) {
            let (whole, rest) = values.as_chunks();
            for (values, step) in whole.iter().zip(&mut steps) {
                step[row] = *values;
            }
            if let (false, Some(last)) = (rest.is_empty(), steps.last_mut()) {
                last[row][..rest.len()].copy_from_slice(rest);
            }
            let sum = values.iter().fold(0_i32, |sum, x| sum.wrapping_add(i32::from(*x)));
            start[row] = sum.wrapping_mul(-128);
        }
        Tile { steps, start }
    }

    /// Computes these panels' columns, the first of which is `first` of `columns`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn multiply<const P: usize>(
        &self,
        panels: [&[Quads]; P],
        c: &mut [i32],
        (columns, first): (usize, usize),
    ) {
        let panels = panels.map(|panel| &panel[..self.steps.len()]);
        let mut sums = [[_mm512_setzero_si512(); P]; ROWS];
        for (sums, start) in sums.iter_mut().zip(self.start) {
            *sums = [_mm512_set1_epi32(start); P];
        }
        for (step, a) in self.steps.iter().enumerate() {
            let mut b = [_mm512_setzero_si512(); P];
            for panel in 0..P {
                b[panel] = load(&panels[panel][step].0);
            }
            for row in 0..ROWS {
                let a = broadcast(a[row]);
                for panel in 0..P {
                    sums[row][panel] = _mm512_dpbusd_epi32(sums[row][panel], b[panel], a);
                }
            }
        }
        for (sums, c) in sums.iter().zip(c.chunks_exact_mut(columns)) {
            for (sums, c) in sums.iter().zip(c[first..].chunks_mut(LANES)) {
                store(*sums, c);
            }
        }
    }
}

/// Bytes of a vector.
const WIDTH: usize = 64;

/// Rows of `A` of [`dots`], padded to whole vectors with zeros, 128 added to each value.
pub(crate) fn prepared(a: &[i8], depth: usize) -> Vec<[u8; WIDTH]> {
    let vectors = depth.div_ceil(WIDTH);
    let mut padded = vec![[0x80; WIDTH]; a.len() / depth * vectors];
    for (row, padded) in a.chunks_exact(depth).zip(padded.chunks_exact_mut(vectors)) {
        for (to, value) in padded.as_flattened_mut().iter_mut().zip(row) {
            *to = value.cast_unsigned() ^ 0x80;
        }
    }
    padded
}

/// `Cᵀ = B · Aᵀ` for few rows of `A`, as [`prepared`], and some rows of `B`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn dots(a: &[[u8; WIDTH]], b: &[i8], depth: usize, c: &mut [i32]) {
    let vectors = depth.div_ceil(WIDTH);
    let rows = a.len() / vectors;
    for (column, c) in b.chunks_exact(depth).zip(c.chunks_exact_mut(rows)) {
        for (a, c) in a.chunks(4 * vectors).zip(c.chunks_mut(4)) {
            let all: [&[[u8; WIDTH]]; 4] =
                std::array::from_fn(|row| a.chunks_exact(vectors).nth(row).unwrap_or(a));
            let sums = dots_of_four(all, column);
            c.copy_from_slice(&sums[..c.len()]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn dots_of_four(a: [&[[u8; WIDTH]]; 4], column: &[i8]) -> [i32; 4] {
    let (whole, rest) = column.as_chunks::<WIDTH>();
    let mut last = [0_i8; WIDTH];
    last[..rest.len()].copy_from_slice(rest);
    let last = if rest.is_empty() { None } else { Some(&last) };
    let mut sums = [_mm512_setzero_si512(); 4];
    let mut offset = _mm512_setzero_si512();
    for (step, values) in whole.iter().chain(last).enumerate() {
        let b = load(&values.map(i8::cast_unsigned));
        offset = _mm512_dpbusd_epi32(offset, _mm512_set1_epi8(-128), b);
        for row in 0..4 {
            sums[row] = _mm512_dpbusd_epi32(sums[row], load(&a[row][step]), b);
        }
    }
    sums.map(|sum| _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, offset)))
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "loads take pointers")]
fn load(values: &[u8; WIDTH]) -> __m512i {
    // SAFETY: the pointer is to 64 bytes that can be read, and needs no alignment.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn broadcast(values: [i8; STEP]) -> __m512i {
    _mm512_set1_epi32(i32::from_le_bytes(values.map(i8::cast_unsigned)))
}

/// Writes as many of the sums as there is place for.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "stores take pointers")]
fn store(sums: __m512i, to: &mut [i32]) {
    let places = u16::MAX >> (LANES - to.len().min(LANES));
    // SAFETY: only the lanes of `places` are written: those that `to` has.
    unsafe { _mm512_mask_storeu_epi32(to.as_mut_ptr(), places, sums) }
}
