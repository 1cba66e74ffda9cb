// Values of rows, mixed by how much each is attended to: sums, before they are finished.

struct Params {
    first: u32,      // first cell to make
    end: u32,        // first cell not to make
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

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = params.first + id.y * groups.x * 64u + id.x;
    if at >= params.end {
        return;
    }
    let line = at / params.width;
    let row = line / params.heads;
    let head = (line % params.heads) / params.share;
    let in_p = line * params.context;
    let in_v = head * params.width + at % params.width;
    var seen = params.context;
    if params.causal == 1u {
        seen = min(seen, params.place + row + 1u);
    }
    var sum = 0;
    for (var s = 0u; s < seen; s++) {
        sum += probabilities[in_p + s] * values[in_v + s * params.stride];
    }
    y[at] = sum;
}
