// C = A * B^T of floats that are small integers: every sum is below 2^24, so that it is exact in any
// order. 4 x 4 outputs per invocation; sides are multiples of 32.

struct Params {
    depth: u32,   // vec4s per row of A and B, at most 8192: the loop's iterations
    stride: u32,  // columns of C
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let four = vec4<u32>(0u, 1u, 2u, 3u);
    let in_a = (id.y * 4u + four) * params.depth;
    let in_b = (id.x * 4u + four) * params.depth;
    var sums0 = vec4<f32>(0.0);
    var sums1 = vec4<f32>(0.0);
    var sums2 = vec4<f32>(0.0);
    var sums3 = vec4<f32>(0.0);
    for (var i = 0u; i < params.depth; i++) {
        let b0 = b[in_b.x + i];
        let b1 = b[in_b.y + i];
        let b2 = b[in_b.z + i];
        let b3 = b[in_b.w + i];
        let a0 = a[in_a.x + i];
        sums0 += vec4<f32>(dot(a0, b0), dot(a0, b1), dot(a0, b2), dot(a0, b3));
        let a1 = a[in_a.y + i];
        sums1 += vec4<f32>(dot(a1, b0), dot(a1, b1), dot(a1, b2), dot(a1, b3));
        let a2 = a[in_a.z + i];
        sums2 += vec4<f32>(dot(a2, b0), dot(a2, b1), dot(a2, b2), dot(a2, b3));
        let a3 = a[in_a.w + i];
        sums3 += vec4<f32>(dot(a3, b0), dot(a3, b1), dot(a3, b2), dot(a3, b3));
    }
    let columns = params.stride / 4u;
    let to = id.y * 4u * columns + id.x;
    c[to] = sums0;
    c[to + columns] = sums1;
    c[to + 2u * columns] = sums2;
    c[to + 3u * columns] = sums3;
}
