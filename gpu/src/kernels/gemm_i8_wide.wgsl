// C = A * B^T + bias, int8 in, int32 out: 128 x 128 outputs per workgroup through shared memory,
// 8 x 8 per invocation: each word read from shared memory feeds eight sums. An invocation's rows
// and columns lie 16 apart, so that neighbours read neighbouring shared words.

const TILE: u32 = 128u;  // rows and columns of a workgroup's outputs
const STEPS: u32 = 2u;   // vec4s of depth staged at once
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

    var low0 = vec4<i32>(0);
    var high0 = vec4<i32>(0);
    var low1 = vec4<i32>(0);
    var high1 = vec4<i32>(0);
    var low2 = vec4<i32>(0);
    var high2 = vec4<i32>(0);
    var low3 = vec4<i32>(0);
    var high3 = vec4<i32>(0);
    var low4 = vec4<i32>(0);
    var high4 = vec4<i32>(0);
    var low5 = vec4<i32>(0);
    var high5 = vec4<i32>(0);
    var low6 = vec4<i32>(0);
    var high6 = vec4<i32>(0);
    var low7 = vec4<i32>(0);
    var high7 = vec4<i32>(0);
    for (var i = 0u; i < params.depth; i += STEPS) {
        let inside = i + part < params.depth;
        let at = min(i + part, params.depth - 1u);
        staged_a[slot] = select(vec4<u32>(0u), a[in_a + at], inside);
        staged_b[slot] = select(vec4<u32>(0u), b[in_b + at], inside);
        workgroupBarrier();
        for (var s = 0u; s < STEPS; s++) {
            let at_b = s * TILE + local.x;
            let b0 = staged_b[at_b];
            let b1 = staged_b[at_b + 1u * APART];
            let b2 = staged_b[at_b + 2u * APART];
            let b3 = staged_b[at_b + 3u * APART];
            let b4 = staged_b[at_b + 4u * APART];
            let b5 = staged_b[at_b + 5u * APART];
            let b6 = staged_b[at_b + 6u * APART];
            let b7 = staged_b[at_b + 7u * APART];
            let at_a = s * TILE + local.y;
            let a0 = staged_a[at_a];
            low0 += dots(a0, b0, b1, b2, b3);
            high0 += dots(a0, b4, b5, b6, b7);
            let a1 = staged_a[at_a + 1u * APART];
            low1 += dots(a1, b0, b1, b2, b3);
            high1 += dots(a1, b4, b5, b6, b7);
            let a2 = staged_a[at_a + 2u * APART];
            low2 += dots(a2, b0, b1, b2, b3);
            high2 += dots(a2, b4, b5, b6, b7);
            let a3 = staged_a[at_a + 3u * APART];
            low3 += dots(a3, b0, b1, b2, b3);
            high3 += dots(a3, b4, b5, b6, b7);
            let a4 = staged_a[at_a + 4u * APART];
            low4 += dots(a4, b0, b1, b2, b3);
            high4 += dots(a4, b4, b5, b6, b7);
            let a5 = staged_a[at_a + 5u * APART];
            low5 += dots(a5, b0, b1, b2, b3);
            high5 += dots(a5, b4, b5, b6, b7);
            let a6 = staged_a[at_a + 6u * APART];
            low6 += dots(a6, b0, b1, b2, b3);
            high6 += dots(a6, b4, b5, b6, b7);
            let a7 = staged_a[at_a + 7u * APART];
            low7 += dots(a7, b0, b1, b2, b3);
            high7 += dots(a7, b4, b5, b6, b7);
        }
        workgroupBarrier();
    }
    let row = group.y * TILE + local.y;
    let col = group.x * TILE + local.x;
    store4(row, col, low0);
    store4(row, col + 4u * APART, high0);
    store4(row + 1u * APART, col, low1);
    store4(row + 1u * APART, col + 4u * APART, high1);
    store4(row + 2u * APART, col, low2);
    store4(row + 2u * APART, col + 4u * APART, high2);
    store4(row + 3u * APART, col, low3);
    store4(row + 3u * APART, col + 4u * APART, high3);
    store4(row + 4u * APART, col, low4);
    store4(row + 4u * APART, col + 4u * APART, high4);
    store4(row + 5u * APART, col, low5);
    store4(row + 5u * APART, col + 4u * APART, high5);
    store4(row + 6u * APART, col, low6);
    store4(row + 6u * APART, col + 4u * APART, high6);
    store4(row + 7u * APART, col, low7);
    store4(row + 7u * APART, col + 4u * APART, high7);
}
