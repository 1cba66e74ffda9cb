// y = clamp(sgn(z) * ((|z| * M + 2^(30 + s)) >> (31 + s)), low, 127), four to a word.
// The 64-bit product is made of 16-bit limbs: no adapter needs 64-bit integers.

struct Params {
    cols: u32,   // accumulators per row
    words: u32,  // words per row of activations; those past `cols` are zero
    low: i32,    // 0 for relu, -127 otherwise
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> accumulators: array<i32>;
@group(0) @binding(2) var<storage, read> multipliers: array<u32>;
@group(0) @binding(3) var<storage, read> shifts: array<u32>;
@group(0) @binding(4) var<storage, read_write> activations: array<u32>;

// The product as (low word, high word).
fn multiply(x: u32, y: u32) -> vec2<u32> {
    let x0 = x & 0xffffu;
    let x1 = x >> 16u;
    let y0 = y & 0xffffu;
    let y1 = y >> 16u;
    let p00 = x0 * y0;
    let p01 = x0 * y1;
    let p10 = x1 * y0;
    let middle = (p00 >> 16u) + (p01 & 0xffffu) + (p10 & 0xffffu);
    let low_word = (p00 & 0xffffu) | (middle << 16u);
    let high_word = x1 * y1 + (p01 >> 16u) + (p10 >> 16u) + (middle >> 16u);
    return vec2<u32>(low_word, high_word);
}

// (x * m + 2^(30 + s)) >> (31 + s), for x <= 2^31, m < 2^31, s <= 31: at most 2^31.
fn scale(x: u32, m: u32, s: u32) -> u32 {
    let product = multiply(x, m);
    if s < 2u {
        let half = 1u << (30u + s);
        let low_word = product.x + half;
        let high_word = product.y + select(0u, 1u, low_word < half);
        if s == 0u {
            return (high_word << 1u) | (low_word >> 31u);
        }
        return high_word;
    }
    return (product.y + (1u << (s - 2u))) >> (s - 1u);
}

fn activation(row: u32, col: u32) -> u32 {
    if col >= params.cols {
        return 0u;
    }
    let z = accumulators[row * params.cols + col];
    let bits = bitcast<u32>(z);
    let magnitude = select(bits, 0u - bits, z < 0);
    let scaled = i32(min(scale(magnitude, multipliers[col], shifts[col]), 127u));
    return u32(max(select(scaled, -scaled, z < 0), params.low)) & 0xffu;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let word = id.x;
    let row = id.y;
    if word >= params.words {
        return;
    }
    let col = word * 4u;
    activations[row * params.words + word] = activation(row, col)
        | (activation(row, col + 1u) << 8u)
        | (activation(row, col + 2u) << 16u)
        | (activation(row, col + 3u) << 24u);
}
