// Fills a buffer with words that only their place and the seed tell, and later adds up those that
// are not there any more.

struct Params {
    count: u32,   // words of the buffer
    stride: u32,  // invocations in all
    steps: u32,   // words per invocation, at most 32768: the loop's iterations
    seed: u32,
    check: u32,   // 0 to fill, 1 to count what differs
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> wrong: atomic<u32>;

fn mixed(at: u32) -> u32 {
    var x = at * 747796405u + params.seed;
    x = ((x >> ((x >> 28u) + 4u)) ^ x) * 277803737u;
    return (x >> 22u) ^ x;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var at = id.x;
    for (var turn = 0u; turn < params.steps; turn++) {
        if at < params.count {
            if params.check == 0u {
                words[at] = mixed(at);
            } else if words[at] != mixed(at) {
                atomicAdd(&wrong, 1u);
            }
        }
        at += params.stride;
    }
}
