// C = A * B^T + bias, int8 in, int32 out: 8 x 4 outputs per invocation. A subgroup computes 8 rows: each of its lanes loads
// a part of one of them, and they tell one another. Software adapters load for one lane after another, which takes most of
// their time in the other variants.
//
// A workgroup is one subgroup. Before this comes LANES, the size of the device's subgroups, at least 8.

const ROWS: u32 = 8u;       // rows of a workgroup's outputs
const COLS: u32 = 4u;       // columns of an invocation's outputs
const APART: u32 = LANES;   // between them: neighbours write neighbouring outputs

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let row = group.y * ROWS;
    let col = group.x * COLS * LANES + lane;
    // Rows and columns over the edge read the last one, and are not stored.
    let in_a = min(row + lane % ROWS, params.rows - 1u) * params.depth;
    let cols = col + APART * vec4<u32>(0u, 1u, 2u, 3u);
    let in_b = (params.first_b + min(cols, vec4<u32>(params.cols - 1u))) * params.depth;

    var sums0 = vec4<i32>(0);
    var sums1 = vec4<i32>(0);
    var sums2 = vec4<i32>(0);
    var sums3 = vec4<i32>(0);
    var sums4 = vec4<i32>(0);
    var sums5 = vec4<i32>(0);
    var sums6 = vec4<i32>(0);
    var sums7 = vec4<i32>(0);
    for (var i = 0u; i < params.depth; i++) {
        let b0 = b[in_b.x + i];
        let b1 = b[in_b.y + i];
        let b2 = b[in_b.z + i];
        let b3 = b[in_b.w + i];
        let own = a[in_a + i];
        sums0 += dots(subgroupBroadcast(own, 0u), b0, b1, b2, b3);
        sums1 += dots(subgroupBroadcast(own, 1u), b0, b1, b2, b3);
        sums2 += dots(subgroupBroadcast(own, 2u), b0, b1, b2, b3);
        sums3 += dots(subgroupBroadcast(own, 3u), b0, b1, b2, b3);
        sums4 += dots(subgroupBroadcast(own, 4u), b0, b1, b2, b3);
        sums5 += dots(subgroupBroadcast(own, 5u), b0, b1, b2, b3);
        sums6 += dots(subgroupBroadcast(own, 6u), b0, b1, b2, b3);
        sums7 += dots(subgroupBroadcast(own, 7u), b0, b1, b2, b3);
    }
    store4(row, col, sums0);
    store4(row + 1u, col, sums1);
    store4(row + 2u, col, sums2);
    store4(row + 3u, col, sums3);
    store4(row + 4u, col, sums4);
    store4(row + 5u, col, sums5);
    store4(row + 6u, col, sums6);
    store4(row + 7u, col, sums7);
}
