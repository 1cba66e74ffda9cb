// y = clamp(left(a) + right(b), low, high): both scaled and rounded, then added in 64 bits.

struct Params {
    count: u32,             // cells
    left_multiplier: u32,
    left_shift: u32,
    right_multiplier: u32,
    right_shift: u32,
    low: i32,
    high: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<i32>;
@group(0) @binding(2) var<storage, read> b: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    let left = scaled(a[at], params.left_multiplier, params.left_shift);
    let right = scaled(b[at], params.right_multiplier, params.right_shift);
    y[at] = clamped(plus(left, right), params.low, params.high);
}
