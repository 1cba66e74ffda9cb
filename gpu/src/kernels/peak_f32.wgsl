// Multiply-adds of floats on registers alone, each of what the one before it made: what the units
// that multiply can do when no memory holds them up. Eight chains in each invocation; the factor is
// 1 and the addend too, so that every value is a small integer.

struct Params {
    rounds: u32,  // at most 32768: the loop's iterations
    bytes: u32,
    factor: f32,
    addend: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;

fn step(x: vec4<f32>) -> vec4<f32> {
    return x * params.factor + params.addend;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var a = vec4<f32>(f32(id.x % 64u)) + vec4<f32>(0.0, 1.0, 2.0, 3.0);
    var b = a + vec4<f32>(64.0);
    for (var round = 0u; round < params.rounds; round++) {
        a = step(a);
        b = step(b);
        a = step(a);
        b = step(b);
        a = step(a);
        b = step(b);
        a = step(a);
        b = step(b);
    }
    sums[id.x] = a + b;
}
