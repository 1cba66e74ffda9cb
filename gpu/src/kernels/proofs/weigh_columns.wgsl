// v[k] = sum over n of r[n] * W[n][k], modulo 2^64: what a matrix of int8 is combined to.

struct Params {
    columns: u32,  // values per row
    first: u32,    // first row
    rows: u32,     // rows, at most 32768: the loop's iterations
    words: u32,    // words per packed row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> matrix: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<u32>>;  // added to

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.columns {
        return;
    }
    var sum = sums[at];
    for (var row = params.first; row < params.first + params.rows; row++) {
        let word = matrix[row * params.words + at / 4u];
        let value = extractBits(bitcast<i32>(word), (at % 4u) * 8u, 8u);
        sum = plus(sum, with_sign(product(weights[row], magnitude(value)), value < 0));
    }
    sums[at] = sum;
}
