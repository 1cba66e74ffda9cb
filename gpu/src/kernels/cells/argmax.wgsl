// The lowest index of the greatest value of a line, by one workgroup.

struct Params {
    lines: u32,   // lines
    length: u32,  // values per line, at most 64 * 32768: a loop over a part
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<i32>;

var<workgroup> values: array<i32, 64>;
var<workgroup> places: array<u32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // Lines over the edge compute the last one: barriers are for all.
    let line = min(group.y * groups.x + group.x, params.lines - 1u);
    let first = line * params.length;
    var place = min(index, params.length - 1u);
    var value = x[first + place];
    for (var at = index; at < params.length; at += 64u) {
        if x[first + at] > value {
            value = x[first + at];
            place = at;
        }
    }
    values[index] = value;
    places[index] = place;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if index < half {
            let other = values[index + half];
            let there = places[index + half];
            if other > values[index] || (other == values[index] && there < places[index]) {
                values[index] = other;
                places[index] = there;
            }
        }
        workgroupBarrier();
    }
    if index == 0u {
        y[line] = i32(places[0]);
    }
}
