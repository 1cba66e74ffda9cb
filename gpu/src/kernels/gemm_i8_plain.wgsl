// C = A * B^T + bias, int8 in, int32 out: one output per invocation, as one would first write it.
// What the other variants are measured against.

struct Params {
    rows: u32,       // rows of A
    cols: u32,       // rows of B read here, columns of C written here
    depth: u32,      // vec4s per row of A and B, at most 8192: four iterations for each
    stride: u32,     // columns of C
    first_col: u32,  // first column of C written here
    first_b: u32,    // first row of B read here
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<i32>;
@group(0) @binding(4) var<storage, read_write> c: array<i32>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y;
    let col = id.x;
    if row >= params.rows || col >= params.cols {
        return;
    }
    let words = params.depth * 4u;
    let in_a = row * words;
    let in_b = (params.first_b + col) * words;
    var sum = 0;
    for (var i = 0u; i < words; i++) {
        sum += dot4I8Packed(a[in_a + i], b[in_b + i]);
    }
    let column = params.first_col + col;
    c[row * params.stride + column] = sum + bias[column];
}
