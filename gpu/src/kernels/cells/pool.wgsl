// The greatest or the mean under a window; cells outside the image do not count.

struct Params {
    count: u32,          // cells to make
    mean: u32,           // 1 for the mean, 0 for the greatest
    height: u32,         // of the image
    width: u32,
    made_height: u32,    // of the output
    made_width: u32,
    window_height: u32,  // at most 32768 steps of both loops together
    window_width: u32,
    down: u32,           // stride
    right: u32,
    above: u32,          // padding
    left: u32,
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
    let plane = params.made_height * params.made_width;
    let image = (at / plane) * params.height * params.width;
    let top = ((at % plane) / params.made_width) * params.down;
    let side = ((at % plane) % params.made_width) * params.right;
    var sum = vec2<u32>(0u);
    var greatest = bitcast<i32>(0x80000000u);
    var seen = 0u;
    for (var i = 0u; i < params.window_height; i++) {
        // What lies above or to the left of the image wraps round, and is then outside of it.
        let from_y = top + i - params.above;
        for (var j = 0u; j < params.window_width; j++) {
            let from_x = side + j - params.left;
            if from_y < params.height && from_x < params.width {
                let cell = x[image + from_y * params.width + from_x];
                greatest = max(greatest, cell);
                sum = plus(sum, widened(cell));
                seen += 1u;
            }
        }
    }
    if params.mean == 1u {
        y[at] = bitcast<i32>(divided_round(sum, max(seen, 1u)).x);
    } else {
        y[at] = greatest;
    }
}
