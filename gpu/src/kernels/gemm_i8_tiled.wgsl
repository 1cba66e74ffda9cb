// C = A * B^T + bias, int8 in, int32 out: 64 x 64 outputs per workgroup through shared memory,
// 4 x 4 per invocation. An invocation's rows and columns lie 16 apart, so that neighbours read
// neighbouring shared words and write neighbouring outputs.

const TILE: u32 = 64u;   // rows and columns of a workgroup's outputs
const STEPS: u32 = 4u;   // vec4s of depth staged at once
const APART: u32 = 16u;  // between the rows and columns of one invocation

var<workgroup> staged_a: array<vec4<u32>, 256>;  // STEPS x TILE
var<workgroup> staged_b: array<vec4<u32>, 256>;

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // Each invocation stages one vec4 of A and one of B. Rows over the edge read the last one,
    // and are not stored; depth over the edge reads zeros.
    let part = index % STEPS;
    let line = index / STEPS;
    let in_a = min(group.y * TILE + line, params.rows - 1u) * params.depth;
    let in_b = (params.first_b + min(group.x * TILE + line, params.cols - 1u)) * params.depth;
    let slot = part * TILE + line;

    var sums0 = vec4<i32>(0);
    var sums1 = vec4<i32>(0);
    var sums2 = vec4<i32>(0);
    var sums3 = vec4<i32>(0);
    for (var i = 0u; i < params.depth; i += STEPS) {
        let inside = i + part < params.depth;
        let at = min(i + part, params.depth - 1u);
        staged_a[slot] = select(vec4<u32>(0u), a[in_a + at], inside);
        staged_b[slot] = select(vec4<u32>(0u), b[in_b + at], inside);
        workgroupBarrier();
        for (var s = 0u; s < STEPS; s++) {
            let at_b = s * TILE + local.x;
            let b0 = staged_b[at_b];
            let b1 = staged_b[at_b + APART];
            let b2 = staged_b[at_b + 2u * APART];
            let b3 = staged_b[at_b + 3u * APART];
            let at_a = s * TILE + local.y;
            let a0 = staged_a[at_a];
            sums0 += dots(a0, b0, b1, b2, b3);
            let a1 = staged_a[at_a + APART];
            sums1 += dots(a1, b0, b1, b2, b3);
            let a2 = staged_a[at_a + 2u * APART];
            sums2 += dots(a2, b0, b1, b2, b3);
            let a3 = staged_a[at_a + 3u * APART];
            sums3 += dots(a3, b0, b1, b2, b3);
        }
        workgroupBarrier();
    }
    let row = group.y * TILE + local.y;
    let col = group.x * TILE + local.x;
    store4(row, col, sums0);
    store4(row + APART, col, sums1);
    store4(row + 2u * APART, col, sums2);
    store4(row + 3u * APART, col, sums3);
}
