// Products of packed rows of two activations: attention scores, and matrices within each row.
//
// Row `r` of A meets the `columns` rows of B of its batch, (r % period) / share.

struct Params {
    first: u32,    // first cell to make
    end: u32,      // first cell not to make
    depth: u32,    // vec4s per row of A and B, at most 8192: the loop's iterations
    columns: u32,  // cells per row of A
    period: u32,   // rows of A after which batches repeat
    share: u32,    // rows of A that share a batch
    step: u32,     // rows of B from one column to the next
    jump: u32,     // rows of B from one batch to the next
    causal: u32,   // 1 if a row sees only columns up to its own place
    place: u32,    // the place of the first row
    lines: u32,    // rows of A at one place
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = params.first + id.y * groups.x * 64u + id.x;
    if at >= params.end {
        return;
    }
    let row = at / params.columns;
    let column = at % params.columns;
    if params.causal == 1u && column > params.place + row / params.lines {
        y[at] = 0;
        return;
    }
    let batch = (row % params.period) / params.share;
    let in_a = row * params.depth;
    let in_b = (column * params.step + batch * params.jump) * params.depth;
    var sum = 0;
    for (var i = 0u; i < params.depth; i++) {
        let left = a[in_a + i];
        let right = b[in_b + i];
        sum += dot4I8Packed(left.x, right.x) + dot4I8Packed(left.y, right.y)
            + dot4I8Packed(left.z, right.z) + dot4I8Packed(left.w, right.w);
    }
    y[at] = sum;
}
