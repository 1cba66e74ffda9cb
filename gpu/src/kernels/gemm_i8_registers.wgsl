// C = A * B^T + bias, int8 in, int32 out: 4 x 4 outputs per invocation, held in registers.
// No shared memory: on a software adapter a barrier costs more than the loads it saves.

const APART: u32 = 1u;  // between the rows and columns of one invocation

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
        sums0 += dots(a0, b0, b1, b2, b3);
        let a1 = a[in_a.y + i];
        sums1 += dots(a1, b0, b1, b2, b3);
        let a2 = a[in_a.z + i];
        sums2 += dots(a2, b0, b1, b2, b3);
        let a3 = a[in_a.w + i];
        sums3 += dots(a3, b0, b1, b2, b3);
    }
    store4(row, col, sums0);
    store4(row + 1u, col, sums1);
    store4(row + 2u, col, sums2);
    store4(row + 3u, col, sums3);
}
