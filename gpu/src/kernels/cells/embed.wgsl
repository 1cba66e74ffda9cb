// Rows of a table: by token, or by place.

struct Params {
    count: u32,   // cells
    width: u32,   // cells of a row of the table
    kind: u32,    // the table's type
    placed: u32,  // 1 to take rows by their place, 0 by what x says
    place: u32,   // the place of the first row
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
    var row = at / params.width;
    if params.placed == 1u {
        row += params.place;
    } else {
        row = u32(x[row]);
    }
    let entry = row * params.width + at % params.width;
    y[at] = value_in(table[word_of(entry, params.kind)], entry, params.kind);
}
