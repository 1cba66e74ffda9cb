// y = table[x + offset]: GELU, SiLU, tanh, any function of one value.

struct Params {
    count: u32,   // cells
    offset: i32,  // entries before that of zero
    kind: u32,    // the table's type
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    let entry = u32(x[at] + params.offset);
    y[at] = value_in(table[word_of(entry, params.kind)], entry, params.kind);
}
