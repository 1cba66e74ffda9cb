// y[i] = round(sum over t of x[t][i] * 2^fraction / rows).

struct Params {
    width: u32,     // cells of a row
    rows: u32,      // at most 32768: the loop's iterations
    fraction: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.width {
        return;
    }
    var sum = vec2<u32>(0u);
    for (var row = 0u; row < params.rows; row++) {
        // Each term is proved to fit 32 bits.
        sum = plus(sum, widened(x[row * params.width + at] << params.fraction));
    }
    y[at] = clamped(divided_round(sum, params.rows), bitcast<i32>(0x80000000u), 0x7fffffff);
}
