// The chaining value of each chunk of 1,024 bytes: 16 blocks of 64.

struct Params {
    chunks: u32,    // chunks to hash
    bytes: u32,     // bytes in them: the last chunk may be short, or even empty
    first: u32,     // the number of the first chunk
    flags: u32,     // of the mode
    root: u32,      // 1 if the only chunk is the whole tree
    unused0: u32,
    unused1: u32,
    unused2: u32,
    key_low: vec4<u32>,
    key_high: vec4<u32>,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> values: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let chunk = id.y * groups.x * 64u + id.x;
    if chunk >= params.chunks {
        return;
    }
    let bytes = min(params.bytes - chunk * 1024u, 1024u);
    let blocks = max((bytes + 63u) / 64u, 1u);
    var value = array<vec4<u32>, 2>(params.key_low, params.key_high);
    for (var block = 0u; block < blocks; block++) {
        var flags = params.flags;
        if block == 0u {
            flags |= CHUNK_START;
        }
        if block == blocks - 1u {
            flags |= CHUNK_END | (params.root * ROOT);
        }
        let at = chunk * 64u + block * 4u;
        let four = array<vec4<u32>, 4>(words[at], words[at + 1u], words[at + 2u], words[at + 3u]);
        let length = min(bytes - block * 64u, 64u);
        let tail = vec4<u32>(params.first + chunk, 0u, length, flags);
        value = compressed(value[0], value[1], four, tail);
    }
    values[2u * chunk] = value[0];
    values[2u * chunk + 1u] = value[1];
}
