// One level of the tree: the chaining values of pairs; one that is left over goes up as it is.

struct Params {
    count: u32,    // chaining values below
    flags: u32,    // of the mode
    root: u32,     // 1 if the only pair is the top of the whole tree
    unused: u32,
    key_low: vec4<u32>,
    key_high: vec4<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> below: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> values: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if 2u * at >= params.count {
        return;
    }
    if 2u * at + 1u == params.count {
        values[2u * at] = below[4u * at];
        values[2u * at + 1u] = below[4u * at + 1u];
        return;
    }
    let four = array<vec4<u32>, 4>(
        below[4u * at], below[4u * at + 1u], below[4u * at + 2u], below[4u * at + 3u],
    );
    let tail = vec4<u32>(0u, 0u, 64u, params.flags | PARENT | (params.root * ROOT));
    let value = compressed(params.key_low, params.key_high, four, tail);
    values[2u * at] = value[0];
    values[2u * at + 1u] = value[1];
}
