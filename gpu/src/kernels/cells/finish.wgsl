// y = clamp(scale(x), low, high), by one factor or by that of a channel.

struct Params {
    count: u32,        // cells
    channels: u32,     // channels; 0 for one factor
    plane: u32,        // cells from one channel to the next
    multiplier: u32,   // the one factor
    shift: u32,
    low: i32,
    high: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> multipliers: array<u32>;
@group(0) @binding(3) var<storage, read> shifts: array<u32>;  // four to a word
@group(0) @binding(4) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    var multiplier = params.multiplier;
    var shift = params.shift;
    if params.channels > 0u {
        let channel = (at / params.plane) % params.channels;
        multiplier = multipliers[channel];
        shift = extractBits(shifts[channel / 4u], (channel % 4u) * 8u, 8u);
    }
    y[at] = clamped(scaled(x[at], multiplier, shift), params.low, params.high);
}
