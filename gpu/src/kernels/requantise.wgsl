// y = clamp(sgn(z) * ((|z| * M + 2^(30 + s)) >> (31 + s)), low, 127), four to a word.
// Follows cells/wide.wgsl, which makes the 64-bit product.

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

fn activation(row: u32, col: u32) -> u32 {
    if col >= params.cols {
        return 0u;
    }
    let z = accumulators[row * params.cols + col];
    return u32(clamped(scaled(z, multipliers[col], 31u + shifts[col]), params.low, 127)) & 0xffu;
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
