//! Compute cell by cell: sums of scaled values, tables.

use crate::{
    Level,
    finish::{half, scaled},
    gemm::{each, parts},
    values::{Value, by_data},
};
use neura_int8::{Data, Scale, ops::elementwise::Add};

/// Cells take about as long as so many products each.
const WORK: usize = 8;

/// What `of` makes of each value, on all cores.
fn map<S: Value, T: Value>(values: &[S], of: impl Fn(&S) -> T + Sync + Send) -> Vec<T> {
    let mut made = vec![T::default(); values.len()];
    let taken = parts(values.len());
    let both = values.chunks(taken).zip(made.chunks_mut(taken));
    each(values.len() * WORK, both, |(values, made)| {
        made.iter_mut().zip(values).for_each(|(made, value)| *made = of(value));
    });
    made
}

/// The sum of two values, each scaled.
pub(crate) fn add<T: Value>(level: Level, op: &Add, a: &Data, b: &Data) -> Vec<T> {
    let (a, b) = (a.widened(), b.widened());
    let mut made = vec![T::default(); a.len().min(b.len())];
    let taken = parts(made.len());
    let work = made.len() * WORK;
    let all = a.chunks(taken).zip(b.chunks(taken)).zip(made.chunks_mut(taken));
    each(work, all, |((a, b), made)| {
        level.run(
            #[inline(always)]
            || add_slices(op, a, b, made),
        );
    });
    made
}

#[inline(always)]
fn add_slices<T: Value>(op: &Add, a: &[i32], b: &[i32], made: &mut [T]) {
    let (low, high) = (i64::from(op.low), i64::from(op.high));
    let cells = a.iter().zip(b).zip(made);
    if op.left == Scale::ONE && op.right == Scale::ONE {
        for ((a, b), made) in cells {
            *made = T::of(i64::from(*a).wrapping_add((*b).into()).min(high).max(low));
        }
        return;
    }
    let of = |scale: Scale| (scale.multiplier(), half(scale), u64::from(scale.shift()));
    let (left, right) = (of(op.left), of(op.right));
    for ((a, b), made) in cells {
        // Each is below 2^62 in magnitude.
        let sum =
            scaled(*a, left.0, left.1, left.2).wrapping_add(scaled(*b, right.0, right.1, right.2));
        *made = T::of(sum.min(high).max(low));
    }
}

/// The entries of a table for values of 8 or 16 bits; none if it has not one for each value.
pub(crate) fn lookup(x: &Data, table: &Data) -> Option<Data> {
    by_data!(table, table => {
        let made = match x {
            Data::I8(x) => {
                let table: &[_; 256] = table.as_slice().try_into().ok()?;
                let entry = |x: &i8| table[usize::from(x.cast_unsigned() ^ 0x80)];
                map(x, entry)
            }
            Data::I16(x) => {
                let table: &[_; 65_536] = table.as_slice().try_into().ok()?;
                let entry = |x: &i16| table[usize::from(x.cast_unsigned() ^ 0x8000)];
                map(x, entry)
            }
            Data::U16(_) | Data::I32(_) => return None,
        };
        Some(Value::data(made))
    })
}

/// These rows of a table of rows of `width`; none if one is not there.
pub(crate) fn rows(
    table: &Data,
    width: usize,
    entries: impl ExactSizeIterator<Item = usize>,
) -> Option<Data> {
    by_data!(table, table => {
        let mut made = Vec::with_capacity(entries.len() * width);
        for entry in entries {
            let start = entry.checked_mul(width)?;
            made.extend_from_slice(table.get(start..start.checked_add(width)?)?);
        }
        Some(Value::data(made))
    })
}

/// The mean of all rows of `width` values, with `fraction` bits more.
pub(crate) fn mean_rows(level: Level, x: &Data, width: usize, fraction: u8) -> Vec<i32> {
    let mut sums = vec![0_i64; width];
    by_data!(x, x => level.run(
        #[inline(always)]
        || for row in x.chunks_exact(width) {
            add_row(&mut sums, row, fraction.into());
        },
    ));
    let count = (x.len() / width).max(1) as u64;
    sums.into_iter().map(|sum| i32::of(div_round(sum, count).clamp(MEANS.0, MEANS.1))).collect()
}

#[inline(always)]
fn add_row<S: Value>(sums: &mut [i64], row: &[S], fraction: u32) {
    for (sum, x) in sums.iter_mut().zip(row) {
        let x: i32 = (*x).into();
        *sum = sum.wrapping_add(i64::from(x).wrapping_shl(fraction));
    }
}

/// Limits of means.
const MEANS: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// `x / d`, halves away from zero; `d` is at least 1.
pub(crate) fn div_round(x: i64, d: u64) -> i64 {
    crate::finish::signed((x.unsigned_abs() + d / 2) / d, x < 0)
}
