// C = A * B^T + bias, int8 in, int32 out, on matrix units: bytes as 16-bit floats, summed in 32-bit ones.
// A sum of floats is exact within 24 bits, and 512 products of bytes are at most 2^23: so much of the depth is summed
// as floats, and what comes of it as integers, in C.
//
// A workgroup is one subgroup, and computes 2 x 2 matrices of outputs. Before this comes what the device decides: SIDE of
// its matrices, LANES of its subgroups, and the types Left, Right and Sums.

const TILE: u32 = 2u * SIDE;  // rows and columns of outputs
const CHUNK: u32 = 64u;       // values of the depth that are staged at once: four vec4s
const EXACT: u32 = 512u;      // values of the depth that are summed as floats
const ROW: u32 = CHUNK + 8u;  // from one staged row to the next: rows begin in different banks of memory

var<workgroup> staged: array<f16, 2u * TILE * ROW>;  // rows of A, then rows of B
var<workgroup> sums: array<f32, TILE * TILE>;

fn stage4(at: u32, word: u32) {
    let values = vec4<f16>(unpack4xI8(word));
    staged[at] = values.x;
    staged[at + 1u] = values.y;
    staged[at + 2u] = values.z;
    staged[at + 3u] = values.w;
}

fn stage16(at: u32, words: vec4<u32>) {
    stage4(at, words.x);
    stage4(at + 4u, words.y);
    stage4(at + 8u, words.z);
    stage4(at + 12u, words.w);
}

// Values of a staged row: zeros beyond the depth; rows over the edge are the last one, and are not stored.
fn load(tile: vec2<u32>, row: u32, at: u32) -> vec4<u32> {
    if at >= params.depth {
        return vec4<u32>(0u);
    }
    if row < TILE {
        return a[min(tile.y + row, params.rows - 1u) * params.depth + at];
    }
    let in_b = params.first_b + min(tile.x + row - TILE, params.cols - 1u);
    return b[in_b * params.depth + at];
}

fn add(row: u32, col: u32, sum: f32, begun: bool) {
    if row < params.rows && col < params.cols {
        let column = params.first_col + col;
        let at = row * params.stride + column;
        c[at] = select(bias[column], c[at], begun) + i32(sum);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group.xy * TILE;
    var sums00 = Sums();
    var sums01 = Sums();
    var sums10 = Sums();
    var sums11 = Sums();
    for (var first = 0u; first < params.depth; first += CHUNK / 16u) {
        for (var row = lane; row < 2u * TILE; row += LANES) {
            stage16(row * ROW, load(tile, row, first));
            stage16(row * ROW + 16u, load(tile, row, first + 1u));
            stage16(row * ROW + 32u, load(tile, row, first + 2u));
            stage16(row * ROW + 48u, load(tile, row, first + 3u));
        }
        workgroupBarrier();
        for (var k = 0u; k < CHUNK; k += SIDE) {
            let left0 = coopLoadT<Left>(&staged[k], ROW);
            let left1 = coopLoadT<Left>(&staged[SIDE * ROW + k], ROW);
            let right0 = coopLoad<Right>(&staged[TILE * ROW + k], ROW);
            let right1 = coopLoad<Right>(&staged[(TILE + SIDE) * ROW + k], ROW);
            sums00 = coopMultiplyAdd(left0, right0, sums00);
            sums01 = coopMultiplyAdd(left0, right1, sums01);
            sums10 = coopMultiplyAdd(left1, right0, sums10);
            sums11 = coopMultiplyAdd(left1, right1, sums11);
        }
        let next = first + CHUNK / 16u;
        if next % (EXACT / 16u) == 0u || next >= params.depth {
            coopStoreT(sums00, &sums[0], TILE);
            coopStoreT(sums01, &sums[SIDE], TILE);
            coopStoreT(sums10, &sums[SIDE * TILE], TILE);
            coopStoreT(sums11, &sums[SIDE * TILE + SIDE], TILE);
            workgroupBarrier();
            for (var at = lane * 4u; at < TILE * TILE; at += LANES * 4u) {
                let row = tile.y + at / TILE;
                let col = tile.x + at % TILE;
                let begun = first >= EXACT / 16u;
                add(row, col, sums[at], begun);
                add(row, col + 1u, sums[at + 1u], begun);
                add(row, col + 2u, sums[at + 2u], begun);
                add(row, col + 3u, sums[at + 3u], begun);
            }
            sums00 = Sums();
            sums01 = Sums();
            sums10 = Sums();
            sums11 = Sums();
        }
        workgroupBarrier();
    }
}
