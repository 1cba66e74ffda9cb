// y[i] = sum over j of C[i][j] * v[j], modulo 2^64, v being of 64 bits: each row by one workgroup.

struct Params {
    rows: u32,     // rows
    columns: u32,  // values per row, at most 64 * 32768: a loop over a part
    packed: u32,   // words per row of int8 values; 0 for rows of int32
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> matrix: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<u32>>;

var<workgroup> parts: array<vec2<u32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // Rows over the edge compute the last one: barriers are for all.
    let row = min(group.y * groups.x + group.x, params.rows - 1u);
    var sum = vec2<u32>(0u);
    for (var column = index; column < params.columns; column += 64u) {
        var value = 0;
        if params.packed == 0u {
            value = matrix[row * params.columns + column];
        } else {
            let word = matrix[row * params.packed + column / 4u];
            value = extractBits(word, (column % 4u) * 8u, 8u);
        }
        let weight = weights[column];
        var term = product(weight.x, magnitude(value));
        term.y += weight.y * magnitude(value);
        sum = plus(sum, with_sign(term, value < 0));
    }
    parts[index] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if index < half {
            parts[index] = plus(parts[index], parts[index + half]);
        }
        workgroupBarrier();
    }
    if index == 0u {
        sums[row] = parts[0];
    }
}
