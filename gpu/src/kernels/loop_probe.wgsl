// Count the iterations of a long loop, and step a generator in it so that it cannot be left out.

struct Params {
    iterations: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> states: array<vec2<u32>>;  // generator, count

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var x = id.x;
    var count = 0u;
    for (var i = 0u; i < params.iterations; i++) {
        x = x * 1664525u + 1013904223u;
        count += 1u;
    }
    states[id.x] = vec2<u32>(x, count);
}
