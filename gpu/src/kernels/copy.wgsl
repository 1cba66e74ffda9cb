// Copies a buffer: what memory bears.

struct Params {
    count: u32,   // vec4s of the buffers
    stride: u32,  // invocations in all
    steps: u32,   // vec4s per invocation, at most 32768: the loop's iterations
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> target_: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var at = id.x;
    for (var turn = 0u; turn < params.steps; turn++) {
        if at < params.count {
            target_[at] = source[at];
        }
        at += params.stride;
    }
}
