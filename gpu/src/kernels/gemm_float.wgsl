// C = A * B^T of floats that are small integers, summed in 32 bits: every sum is below 2^24, so that it is exact in any
// order. 4 x 4 outputs per invocation; sides are multiples of 32. Before this comes what an Element is: f32 or f16.

struct Params {
    depth: u32,   // vec4s per row of A and B, at most 8192: the loop's iterations
    stride: u32,  // columns of C
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<Element>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<Element>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;

fn row(x: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(x, b0), dot(x, b1), dot(x, b2), dot(x, b3));
}

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
        let b0 = vec4<f32>(b[in_b.x + i]);
        let b1 = vec4<f32>(b[in_b.y + i]);
        let b2 = vec4<f32>(b[in_b.z + i]);
        let b3 = vec4<f32>(b[in_b.w + i]);
        sums0 += row(vec4<f32>(a[in_a.x + i]), b0, b1, b2, b3);
        sums1 += row(vec4<f32>(a[in_a.y + i]), b0, b1, b2, b3);
        sums2 += row(vec4<f32>(a[in_a.z + i]), b0, b1, b2, b3);
        sums3 += row(vec4<f32>(a[in_a.w + i]), b0, b1, b2, b3);
    }
    let columns = params.stride / 4u;
    let to = id.y * 4u * columns + id.x;
    c[to] = sums0;
    c[to + columns] = sums1;
    c[to + 2u * columns] = sums2;
    c[to + 3u * columns] = sums3;
}
