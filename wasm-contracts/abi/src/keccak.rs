//! Keccak-256 that runs at compile time, for selectors and topics.

const ROUNDS: [u64; 24] = [
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808a,
    0x8000000080008000,
    0x000000000000808b,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008a,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000a,
    0x000000008000808b,
    0x800000000000008b,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800a,
    0x800000008000000a,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
];
const ROTATIONS: [u32; 24] =
    [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const LANES: [usize; 24] =
    [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];
/// Bytes taken in between two permutations.
const RATE: usize = 136;

const fn permute(mut a: [u64; 25]) -> [u64; 25] {
    let mut round = 0;
    while round < 24 {
        let mut column = [0u64; 5];
        let mut x = 0;
        while x < 5 {
            column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
            x += 1;
        }
        let mut i = 0;
        while i < 25 {
            a[i] ^= column[(i + 4) % 5] ^ column[(i + 1) % 5].rotate_left(1);
            i += 1;
        }
        let mut last = a[1];
        let mut step = 0;
        while step < 24 {
            let lane = LANES[step];
            let moved = a[lane];
            a[lane] = last.rotate_left(ROTATIONS[step]);
            last = moved;
            step += 1;
        }
        let mut row = 0;
        while row < 25 {
            let r = [a[row], a[row + 1], a[row + 2], a[row + 3], a[row + 4]];
            let mut x = 0;
            while x < 5 {
                a[row + x] = r[x] ^ (!r[(x + 1) % 5] & r[(x + 2) % 5]);
                x += 1;
            }
            row += 5;
        }
        a[0] ^= ROUNDS[round];
        round += 1;
    }
    a
}

/// Keccak-256. Meant for constants: at run time a contract asks its host, which is faster and cheaper.
pub const fn keccak256(bytes: &[u8]) -> [u8; 32] {
    let mut state = [0u64; 25];
    let mut at = 0;
    let mut i = 0;
    while i < bytes.len() {
        state[at / 8] ^= (bytes[i] as u64) << (8 * (at % 8));
        at += 1;
        if at == RATE {
            state = permute(state);
            at = 0;
        }
        i += 1;
    }
    state[at / 8] ^= 1 << (8 * (at % 8));
    state[16] ^= 1 << 63;
    state = permute(state);
    let mut out = [0u8; 32];
    let mut i = 0;
    while i < 32 {
        out[i] = state[i / 8].to_le_bytes()[i % 8];
        i += 1;
    }
    out
}

/// First four bytes of a function's hashed signature, such as `transfer(address,uint256)`.
pub const fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(signature.as_bytes());
    [a, b, c, d]
}
