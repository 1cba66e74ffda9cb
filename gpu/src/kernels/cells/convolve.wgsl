// A convolution, of which four channels of the output share each cell of the image that is read:
// sums with their bias, before they are finished.

struct Params {
    first: u32,          // first block of four channels at a position to make
    end: u32,            // first such block not to make
    groups: u32,         // groups of channels
    blocks: u32,         // blocks of four output channels per group
    group_inputs: u32,   // input channels per group
    group_outputs: u32,  // output channels per group
    height: u32,         // of the image
    width: u32,
    made_height: u32,    // of the output
    made_width: u32,
    window_height: u32,  // at most 32768 steps of all loops together
    window_width: u32,
    down: u32,           // stride
    right: u32,
    above: u32,          // padding
    left: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<i32>;
@group(0) @binding(4) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = params.first + id.y * groups.x * 64u + id.x;
    if at >= params.end {
        return;
    }
    let plane = params.made_height * params.made_width;
    let position = at % plane;
    let block = (at / plane) % (params.groups * params.blocks);
    let row = at / plane / (params.groups * params.blocks);
    let group = block / params.blocks;
    let top = (position / params.made_width) * params.down;
    let side = (position % params.made_width) * params.right;
    var image = (row * params.groups + group) * params.group_inputs * params.height * params.width;
    var weight = block * params.group_inputs * params.window_height * params.window_width;
    var sums = vec4<i32>(0);
    for (var channel = 0u; channel < params.group_inputs; channel++) {
        for (var i = 0u; i < params.window_height; i++) {
            // What lies above or to the left of the image wraps round, and is then outside of it.
            let from_y = top + i - params.above;
            for (var j = 0u; j < params.window_width; j++) {
                let from_x = side + j - params.left;
                if from_y < params.height && from_x < params.width {
                    let cell = x[image + from_y * params.width + from_x];
                    sums += cell * unpack4xI8(weights[weight + j]);
                }
            }
            weight += params.window_width;
        }
        image += params.height * params.width;
    }
    let outputs = params.groups * params.group_outputs;
    for (var lane = 0u; lane < 4u; lane++) {
        let within = (block % params.blocks) * 4u + lane;
        if within < params.group_outputs {
            let channel = group * params.group_outputs + within;
            y[(row * outputs + channel) * plane + position] = sums[lane] + bias[channel];
        }
    }
}
