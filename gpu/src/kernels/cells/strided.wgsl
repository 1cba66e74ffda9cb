// Cells moved from one place to another: slices, joins, other orders of axes, single rows.

struct Params {
    count: u32,    // cells
    first_x: u32,  // the place of the first cell in x
    first_y: u32,  // and in y
    length1: u32,  // the axes, but for the first
    length2: u32,
    length3: u32,
    step_x0: u32,  // cells of x from one place of an axis to the next
    step_x1: u32,
    step_x2: u32,
    step_x3: u32,
    step_y0: u32,  // and of y
    step_y1: u32,
    step_y2: u32,
    step_y3: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    let i3 = at % params.length3;
    let i2 = (at / params.length3) % params.length2;
    let i1 = (at / params.length3 / params.length2) % params.length1;
    let i0 = at / params.length3 / params.length2 / params.length1;
    let in_x = params.first_x + i0 * params.step_x0 + i1 * params.step_x1 + i2 * params.step_x2
        + i3 * params.step_x3;
    let in_y = params.first_y + i0 * params.step_y0 + i1 * params.step_y1 + i2 * params.step_y2
        + i3 * params.step_y3;
    y[in_y] = x[in_x];
}
