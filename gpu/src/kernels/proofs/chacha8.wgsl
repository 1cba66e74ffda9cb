// The key stream of ChaCha8: 64 bytes for each number of a block, so that any of it can be made
// again without the rest.

struct Params {
    blocks: u32,  // blocks to make
    first: u32,   // the number of the first one
    nonce_low: u32,
    nonce_high: u32,
    key_low: vec4<u32>,
    key_high: vec4<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> stream: array<vec4<u32>>;

struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn turned(x: vec4<u32>, by: u32) -> vec4<u32> {
    return (x << vec4<u32>(by)) | (x >> vec4<u32>(32u - by));
}

fn quarter(rows: Rows) -> Rows {
    var a = rows.a + rows.b;
    var d = turned(rows.d ^ a, 16u);
    var c = rows.c + d;
    var b = turned(rows.b ^ c, 12u);
    a += b;
    d = turned(d ^ a, 8u);
    c += d;
    b = turned(b ^ c, 7u);
    return Rows(a, b, c, d);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.blocks {
        return;
    }
    let number = params.first + at;
    let constants = vec4<u32>(0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u);
    let tail = vec4<u32>(number, 0u, params.nonce_low, params.nonce_high);
    var rows = Rows(constants, params.key_low, params.key_high, tail);
    for (var round = 0u; round < 4u; round++) {
        rows = quarter(rows);
        rows = quarter(Rows(rows.a, rows.b.yzwx, rows.c.zwxy, rows.d.wxyz));
        rows = Rows(rows.a, rows.b.wxyz, rows.c.zwxy, rows.d.yzwx);
    }
    stream[4u * at] = rows.a + constants;
    stream[4u * at + 1u] = rows.b + params.key_low;
    stream[4u * at + 2u] = rows.c + params.key_high;
    stream[4u * at + 3u] = rows.d + tail;
}
