// C = A * B^T + bias, int8 in, int32 out: one output per invocation, as one would first write it.
// What the other variants are measured against.

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y;
    let col = id.x;
    if row >= params.rows || col >= params.cols {
        return;
    }
    let words = params.depth * 4u;
    let in_a = row * words;
    let in_b = (params.first_b + col) * words;
    var sum = 0;
    for (var i = 0u; i < words; i++) {
        sum += dot4I8Packed(a[in_a + i], b[in_b + i]);
    }
    store(row, col, sum);
}
