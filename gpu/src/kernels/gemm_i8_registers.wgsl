// C = A * B^T + bias, int8 in, int32 out: 4 x 4 outputs per invocation, held in registers.
// No shared memory: on a software adapter a barrier costs more than the loads it saves.

struct Params {
    rows: u32,       // rows of A
    cols: u32,       // rows of B read here, columns of C written here
    depth: u32,      // vec4s per row of A and B, at most 8192: the loop's iterations
    stride: u32,     // columns of C
    first_col: u32,  // first column of C written here
    first_b: u32,    // first row of B read here
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> bias: array<i32>;
@group(0) @binding(4) var<storage, read_write> c: array<i32>;

fn dot16(x: vec4<u32>, y: vec4<u32>) -> i32 {
    return dot4I8Packed(x.x, y.x) + dot4I8Packed(x.y, y.y)
        + dot4I8Packed(x.z, y.z) + dot4I8Packed(x.w, y.w);
}

fn store(row: u32, col: u32, sum: i32) {
    if row < params.rows && col < params.cols {
        let column = params.first_col + col;
        c[row * params.stride + column] = sum + bias[column];
    }
}

fn store4(row: u32, col: u32, sums: vec4<i32>) {
    store(row, col, sums.x);
    store(row, col + 1u, sums.y);
    store(row, col + 2u, sums.z);
    store(row, col + 3u, sums.w);
}

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y * 4u;
    let col = id.x * 4u;
    if row >= params.rows || col >= params.cols {
        return;
    }
    // Rows and columns over the edge read the last one, and are not stored.
    let four = vec4<u32>(0u, 1u, 2u, 3u);
    let in_a = min(row + four, vec4<u32>(params.rows - 1u)) * params.depth;
    let in_b = (params.first_b + min(col + four, vec4<u32>(params.cols - 1u))) * params.depth;

    var sums0 = vec4<i32>(0);
    var sums1 = vec4<i32>(0);
    var sums2 = vec4<i32>(0);
    var sums3 = vec4<i32>(0);
    for (var i = 0u; i < params.depth; i++) {
        let b0 = b[in_b.x + i];
        let b1 = b[in_b.y + i];
        let b2 = b[in_b.z + i];
        let b3 = b[in_b.w + i];
        let a0 = a[in_a.x + i];
        sums0 += vec4<i32>(dot16(a0, b0), dot16(a0, b1), dot16(a0, b2), dot16(a0, b3));
        let a1 = a[in_a.y + i];
        sums1 += vec4<i32>(dot16(a1, b0), dot16(a1, b1), dot16(a1, b2), dot16(a1, b3));
        let a2 = a[in_a.z + i];
        sums2 += vec4<i32>(dot16(a2, b0), dot16(a2, b1), dot16(a2, b2), dot16(a2, b3));
        let a3 = a[in_a.w + i];
        sums3 += vec4<i32>(dot16(a3, b0), dot16(a3, b1), dot16(a3, b2), dot16(a3, b3));
    }
    store4(row, col, sums0);
    store4(row + 1u, col, sums1);
    store4(row + 2u, col, sums2);
    store4(row + 3u, col, sums3);
}
