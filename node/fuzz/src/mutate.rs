//! Change inputs a little, as a decoder's errors are made: flipped bits, cuts, splices, lengths that lie.

use neura_model::rng::Rng;

/// Numbers around which decoders err: ends of widths, and the marks that say how wide the next number is.
const NUMBERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    250,
    251,
    252,
    253,
    254,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX >> 1,
    u64::MAX,
];

/// A mutation of one of the inputs, at most `limit` bytes long.
pub fn mutate(inputs: &[Vec<u8>], limit: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = rng.pick(inputs).cloned().unwrap_or_default();
    for _ in 0..=rng.below(4) {
        let place = rng.below(bytes.len() + 1);
        match rng.below(8) {
            0 => flip(&mut bytes, place, rng),
            1 => bytes.truncate(place),
            2 => splice(&mut bytes, place, inputs, rng),
            3 => overwrite(&mut bytes, place, rng),
            4 => insert(&mut bytes, place, rng),
            5 => repeat(&mut bytes, place, rng),
            6 => drop(bytes.drain(place..(place + 1 + rng.below(8)).min(bytes.len()))),
            _ => bytes.insert(place, rng.next() as u8),
        }
    }
    bytes.truncate(limit);
    bytes
}

fn flip(bytes: &mut [u8], place: usize, rng: &mut Rng) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= if rng.chance(50) { 1 << rng.below(8) } else { rng.next() as u8 };
    }
}

/// The beginning of one, the end of another.
fn splice(bytes: &mut Vec<u8>, place: usize, inputs: &[Vec<u8>], rng: &mut Rng) {
    let Some(other) = rng.pick(inputs) else { return };
    bytes.truncate(place);
    bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
}

fn number(rng: &mut Rng) -> Vec<u8> {
    let number = rng.pick(&NUMBERS).copied().unwrap_or_default().wrapping_add(rng.below(3) as u64);
    let width = [1, 2, 4, 8][rng.below(4)];
    let mut bytes = number.to_le_bytes()[..width].to_vec();
    match rng.below(4) {
        0 => bytes.reverse(),
        // A number that says how wide it is, wider than it need be.
        1 => bytes.insert(0, 250 + width.ilog2() as u8),
        _ => {}
    }
    bytes
}

fn overwrite(bytes: &mut [u8], place: usize, rng: &mut Rng) {
    for (byte, new) in bytes[place..].iter_mut().zip(number(rng)) {
        *byte = new;
    }
}

/// A number in place of a byte, or, half the time, the byte itself in a wider form.
fn insert(bytes: &mut Vec<u8>, place: usize, rng: &mut Rng) {
    let end = (place + 1).min(bytes.len());
    let new = match bytes.get(place) {
        Some(byte) if rng.chance(50) => vec![251, *byte, 0],
        _ => number(rng),
    };
    bytes.splice(place..end, new);
}

fn repeat(bytes: &mut Vec<u8>, place: usize, rng: &mut Rng) {
    let end = (place + 1 + rng.below(32)).min(bytes.len());
    let part = bytes[place..end].to_vec();
    for _ in 0..=rng.below(8) {
        bytes.splice(place..place, part.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_what_is_mutated_and_the_limit_holds() {
        let inputs = [vec![1; 40], vec![2; 10], Vec::new()];
        let many = |seed| {
            let mut rng = Rng::new(seed);
            (0..2_000).map(|_| mutate(&inputs, 60, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(many(1), many(1));
        assert_ne!(many(1), many(2));
        assert!(many(1).iter().all(|bytes| bytes.len() <= 60));
        assert!(many(1).iter().any(|bytes| bytes.contains(&1) && bytes.contains(&2)));
    }
}
