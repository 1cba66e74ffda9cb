// Rows of cells as packed int8: four to a word, rows padded with zeros to whole vec4s.

struct Params {
    count: u32,  // words to make
    width: u32,  // cells per row
    words: u32,  // words per row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    let row = at / params.words;
    let first = (at % params.words) * 4u;
    var word = 0u;
    for (var lane = 0u; lane < 4u; lane++) {
        let column = first + lane;
        if column < params.width {
            word |= (bitcast<u32>(x[row * params.width + column]) & 0xffu) << (lane * 8u);
        }
    }
    y[at] = word;
}
