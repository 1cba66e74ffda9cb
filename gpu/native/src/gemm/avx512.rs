//! Multiply with AVX-512 VNNI: sixteen sums, four products each, with one instruction.
//!
//! The instruction takes unsigned by signed bytes. `B` is packed with 128 added to each value,
//! which the sums begin with the opposite of. All sums wrap; what they end at is exact.

use super::transpose::transposed;
use crate::view::View;
use std::arch::x86_64::*;

/// Columns of a panel: the sums of one vector.
const LANES: usize = 16;
/// Values of depth that one instruction sums.
const STEP: usize = 4;
/// Panels computed together, and rows: 24 sums stay in registers.
const PANELS: usize = 3;
pub(crate) const ROWS: usize = 8;
/// Steps after which sums are put down: three panels of so many, and a tile, are 28 KiB, which the
/// nearest cache holds while other tiles are multiplied by them.
const BLOCK: usize = 128;

/// Four values of each of some rows.
type Words = [[i8; STEP]; ROWS];

/// `B`, three panels after three of sixteen columns.
#[derive(Debug)]
pub(crate) struct Packed {
    columns: usize,
    steps: usize,
    /// For each step of four values of depth, a vector of each panel: those values of its columns.
    /// There are fewer panels in the last group.
    groups: Vec<Vec<__m512i>>,
}

impl Packed {
    /// Packs rows, each of which makes a column of sums; what is missing to whole panels and steps
    /// is padding. The level must be available.
    #[allow(unsafe_code, reason = "instructions that were found to be there")]
    pub(crate) fn new(b: View<'_, i8>) -> Self {
        let (columns, steps) = (b.count(), b.width().div_ceil(STEP));
        let mut groups = vec![Vec::new(); columns.div_ceil(PANELS * LANES)];
        let blocks = b.blocks(PANELS * LANES).zip(&mut groups);
        super::each(columns * b.width(), blocks, |(rows, group)| {
            // SAFETY: a level is used only where its instructions are available.
            *group = unsafe { pack(rows) };
        });
        Packed { columns, steps, groups }
    }
}

/// The vectors of up to three panels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn pack(rows: View<'_, i8>) -> Vec<__m512i> {
    let (panels, steps) = (rows.count().div_ceil(LANES), rows.width().div_ceil(STEP));
    let sign = _mm512_set1_epi8(-128);
    let mut group = Vec::with_capacity(panels * steps);
    for part in (0..rows.width()).step_by(WIDTH) {
        let mut block = [[_mm512_setzero_si512(); LANES]; PANELS];
        for (block, rows) in block.iter_mut().zip(rows.blocks(LANES)) {
            let mut words = [_mm512_setzero_si512(); LANES];
            for (words, row) in words.iter_mut().zip(rows.rows()) {
                *words = _mm512_xor_si512(load_part(&row[part..]), sign);
            }
            *block = transposed(words);
        }
        for step in 0..LANES.min(steps - part / STEP) {
            group.extend(block[..panels].iter().map(|panel| panel[step]));
        }
    }
    group
}

/// `C = A · Bᵀ` for some rows of `A`; those of `c` are `stride` apart.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn rows(a: View<'_, i8>, b: &Packed, c: &mut [i32], stride: usize) {
    let tiles = a.count().div_ceil(ROWS);
    let mut words = vec![[[0; STEP]; ROWS]; tiles * b.steps];
    let starts: Vec<_> =
        a.blocks(ROWS).zip(words.chunks_mut(b.steps)).map(|(a, words)| fill(a, words)).collect();
    for (index, group) in b.groups.iter().enumerate() {
        let panels = group.len() / b.steps;
        let columns = index * PANELS * LANES..b.columns.min((index + 1) * PANELS * LANES);
        for (block, group) in group.chunks(BLOCK * panels).enumerate() {
            let tiles = words.chunks(b.steps).zip(&starts).zip(c.chunks_mut(ROWS * stride));
            for ((words, start), c) in tiles {
                let words = &words[block * BLOCK..];
                let start = (block == 0).then_some(start);
                let place = Place { c, stride, columns: (columns.start, columns.end) };
                match panels {
                    1 => multiply::<1>(words, group, start, place),
                    2 => multiply::<2>(words, group, start, place),
                    _ => multiply::<PANELS>(words, group, start, place),
                }
            }
        }
    }
}

/// Lays up to [`ROWS`] rows of `A` out: for each step, four values of each row, zeros where there
/// are none. Gives what the sums begin with: -128 times the sum of each row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn fill(a: View<'_, i8>, words: &mut [Words]) -> [i32; ROWS] {
    let mut start = [0; ROWS];
    for (row, values) in a.rows().enumerate().take(ROWS) {
        let (whole, rest) = values.as_chunks();
        for (values, word) in whole.iter().zip(&mut *words) {
            word[row] = *values;
        }
        if let (false, Some(last)) = (rest.is_empty(), words.last_mut()) {
            last[row][..rest.len()].copy_from_slice(rest);
        }
        let sum = values.iter().fold(0_i32, |sum, x| sum.wrapping_add(i32::from(*x)));
        start[row] = sum.wrapping_mul(-128);
    }
    start
}

/// Where the sums of a tile go.
struct Place<'a> {
    /// The rows of the tile, `stride` apart.
    c: &'a mut [i32],
    stride: usize,
    /// First and end of the columns.
    columns: (usize, usize),
}

/// Adds a tile's products with some steps of `P` panels to what is there, or to a start.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[allow(clippy::needless_range_loop, reason = "an iterator over sums would put them in memory")]
fn multiply<const P: usize>(
    words: &[Words],
    group: &[__m512i],
    start: Option<&[i32; ROWS]>,
    place: Place<'_>,
) {
    let mut sums = [[_mm512_setzero_si512(); P]; ROWS];
    for (words, panels) in words.iter().zip(group.as_chunks::<P>().0) {
        for row in 0..ROWS {
            let a = broadcast(words[row]);
            for panel in 0..P {
                sums[row][panel] = _mm512_dpbusd_epi32(sums[row][panel], panels[panel], a);
            }
        }
    }
    // Of constant indices alone, so that sums never leave the registers.
    let mut rows = place.c.chunks_mut(place.stride);
    for row in 0..ROWS {
        let Some(c) = rows.next() else { return };
        let c = &mut c[place.columns.0..place.columns.1];
        let mut parts = c.chunks_mut(LANES);
        for panel in 0..P {
            let Some(c) = parts.next() else { break };
            let before = match start {
                Some(start) => _mm512_set1_epi32(start[row]),
                None => load_sums(c),
            };
            store_sums(_mm512_add_epi32(before, sums[row][panel]), c);
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
        let b = load_bytes(&values.map(i8::cast_unsigned));
        offset = _mm512_dpbusd_epi32(offset, _mm512_set1_epi8(-128), b);
        for row in 0..4 {
            sums[row] = _mm512_dpbusd_epi32(sums[row], load_bytes(&a[row][step]), b);
        }
    }
    sums.map(|sum| _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, offset)))
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "loads take pointers")]
fn load_bytes(values: &[u8; WIDTH]) -> __m512i {
    // SAFETY: the pointer is to 64 bytes that can be read, and needs no alignment.
    unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
}

/// Up to 64 values, zeros after them.
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "loads take pointers")]
fn load_part(values: &[i8]) -> __m512i {
    let places = match values.len() {
        length @ 0..WIDTH => (1_u64 << length) - 1,
        _ => u64::MAX,
    };
    // SAFETY: only the bytes of `places` are read: those that `values` has.
    unsafe { _mm512_maskz_loadu_epi8(places, values.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn broadcast(values: [i8; STEP]) -> __m512i {
    _mm512_set1_epi32(i32::from_le_bytes(values.map(i8::cast_unsigned)))
}

/// The lanes of a vector that a slice of sums has.
fn places(sums: &[i32]) -> __mmask16 {
    ((1_u32 << sums.len().min(LANES)) - 1) as __mmask16
}

#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "loads take pointers")]
fn load_sums(from: &[i32]) -> __m512i {
    // SAFETY: only the lanes that `from` has are read.
    unsafe { _mm512_maskz_loadu_epi32(places(from), from.as_ptr()) }
}

/// Writes as many of the sums as there is place for.
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "stores take pointers")]
fn store_sums(sums: __m512i, to: &mut [i32]) {
    // SAFETY: only the lanes that `to` has are written.
    unsafe { _mm512_mask_storeu_epi32(to.as_mut_ptr(), places(to), sums) }
}
