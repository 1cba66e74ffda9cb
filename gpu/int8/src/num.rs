//! Convert, divide and shift integers without a way to panic or to wrap unseen.

/// A count as 64 bits; saturates, which no bound accepts.
pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A count as a signed 64-bit integer; saturates, which no bound accepts.
pub(crate) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count read from 32 bits; saturates where `usize` is smaller, which no bound accepts.
pub(crate) fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A count as 32 bits. Every count written is bounded far below `u32::MAX` by its type.
pub(crate) fn word(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The product of all lengths; saturates, which no bound accepts.
pub(crate) fn volume(dims: &[usize]) -> usize {
    dims.iter().fold(1, |volume: usize, dim| volume.saturating_mul(*dim))
}

/// `(index / by, index % by)`; `(0, 0)` if `by` is 0, where there is nothing to index.
pub(crate) fn split(index: usize, by: usize) -> (usize, usize) {
    (index.checked_div(by).unwrap_or(0), index.checked_rem(by).unwrap_or(0))
}

/// `outer * by + inner`: the inverse of [`split`].
pub(crate) fn join(outer: usize, by: usize, inner: usize) -> usize {
    outer.saturating_mul(by).saturating_add(inner)
}

/// `sgn(x) * ((|x| + d / 2) / d)`, halves away from zero; 0 if `d` is 0.
pub(crate) fn div_round(x: i64, d: u64) -> i64 {
    let magnitude = x.unsigned_abs().saturating_add(d / 2).checked_div(d).unwrap_or(0);
    with_sign(magnitude, x < 0)
}

/// `sgn(x) * ((|x| + 2^(s - 1)) >> s)`, halves away from zero; `x` itself if `s` is 0. `s < 64`.
pub(crate) fn shift_round(x: i64, s: u32) -> i64 {
    with_sign(shift_round_unsigned(x.unsigned_abs(), s), x < 0)
}

/// `(x + 2^(s - 1)) >> s`, `x` itself if `s` is 0. The sum saturates: callers keep it below 2^64.
pub(crate) fn shift_round_unsigned(x: u64, s: u32) -> u64 {
    let half = match s {
        0 => 0,
        s => 1_u64.wrapping_shl(s.wrapping_sub(1)),
    };
    x.saturating_add(half).wrapping_shr(s)
}

/// A magnitude with a sign; saturates at 2^63 - 1.
pub(crate) fn with_sign(magnitude: u64, negative: bool) -> i64 {
    let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
    if negative { magnitude.wrapping_neg() } else { magnitude }
}

/// `x` brought into `low..=high`; `low` if they are the wrong way round.
pub(crate) fn clamp(x: i64, low: i32, high: i32) -> i32 {
    let x = x.min(i64::from(high)).max(i64::from(low));
    i32::try_from(x).unwrap_or(low)
}

/// `floor(sqrt(x))`, bit by bit.
pub(crate) fn isqrt(x: u64) -> u64 {
    x.isqrt()
}
