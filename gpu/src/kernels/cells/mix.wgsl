// Values of rows, mixed by how much each is attended to: sums, before they are finished. Each
// invocation makes four cells of four rows, so that what it reads is used four times.

struct Params {
    first: u32,      // first tile of 4 x 4 cells to make
    end: u32,        // first tile not to make
    rows: u32,       // rows to make
    context: u32,    // rows attended to, at most 32768: the loop's iterations
    heads: u32,      // heads of probabilities
    share: u32,      // heads of probabilities for each head of values
    width: u32,      // cells of a head
    stride: u32,     // cells of a row of values
    causal: u32,     // 1 if a row sees only itself and the rows before
    place: u32,      // the place of the first row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probabilities: array<i32>;
@group(0) @binding(2) var<storage, read> values: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<i32>;

fn store(row: u32, head: u32, column: u32, sums: vec4<i32>) {
    if row >= params.rows {
        return;
    }
    let at = (row * params.heads + head) * params.width + column;
    for (var lane = 0u; lane < 4u; lane++) {
        if column + lane < params.width {
            y[at + lane] = sums[lane];
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = params.first + id.y * groups.x * 64u + id.x;
    if at >= params.end {
        return;
    }
    let columns = (params.width + 3u) / 4u;
    let column = (at % columns) * 4u;
    let head = (at / columns) % params.heads;
    let row = (at / columns / params.heads) * 4u;
    // Rows and columns over the edge read the last one, and are not stored.
    let four = vec4<u32>(0u, 1u, 2u, 3u);
    let rows = min(row + four, vec4<u32>(params.rows - 1u));
    let in_p = (rows * params.heads + head) * params.context;
    let in_v = (head / params.share) * params.width
        + min(column + four, vec4<u32>(params.width - 1u));
    // Rows seen by each of the four, and by the last of them.
    var seen = vec4<u32>(params.context);
    if params.causal == 1u {
        seen = min(seen, params.place + rows + 1u);
    }
    var sums0 = vec4<i32>(0);
    var sums1 = vec4<i32>(0);
    var sums2 = vec4<i32>(0);
    var sums3 = vec4<i32>(0);
    for (var s = 0u; s < seen.w; s++) {
        let from_v = in_v + s * params.stride;
        let value = vec4<i32>(
            values[from_v.x], values[from_v.y], values[from_v.z], values[from_v.w],
        );
        let weights = select(vec4<i32>(0), vec4<i32>(
            probabilities[in_p.x + s], probabilities[in_p.y + s],
            probabilities[in_p.z + s], probabilities[in_p.w + s],
        ), vec4<u32>(s) < seen);
        sums0 += weights.x * value;
        sums1 += weights.y * value;
        sums2 += weights.z * value;
        sums3 += weights.w * value;
    }
    store(row, head, column, sums0);
    store(row + 1u, head, column, sums1);
    store(row + 2u, head, column, sums2);
    store(row + 3u, head, column, sums3);
}
