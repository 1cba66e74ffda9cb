// Products of four bytes by four on registers alone, each of what the one before it made: what the
// units that multiply can do when no memory holds them up. Eight chains in each invocation.

struct Params {
    rounds: u32,  // at most 32768: the loop's iterations
    bytes: u32,   // what is multiplied by
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<i32>>;

fn step(x: vec4<i32>) -> vec4<i32> {
    let y = bitcast<vec4<u32>>(x);
    let w = params.bytes;
    return x + vec4<i32>(dot4I8Packed(y.x, w), dot4I8Packed(y.y, w), dot4I8Packed(y.z, w), dot4I8Packed(y.w, w));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var a = vec4<i32>(vec4<u32>(id.x * 4u) + vec4<u32>(0u, 1u, 2u, 3u));
    var b = a + vec4<i32>(16777216);
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
