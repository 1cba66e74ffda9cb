// Rotary positions: within each head, value `i` and value `i + half` are a point that is turned.

struct Params {
    count: u32,  // cells
    width: u32,  // cells of a row
    head: u32,   // cells of a head
    half: u32,   // points of a head
    place: u32,  // the place of the first row
    high: i32,   // greatest value made
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> cosines: array<u32>;
@group(0) @binding(3) var<storage, read> sines: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<i32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    let column = (at % params.width) % params.head;
    if column >= 2u * params.half {
        y[at] = x[at];
        return;
    }
    let second = column >= params.half;
    let first = select(at, at - params.half, second);
    let entry = (params.place + at / params.width) * params.half + column % params.half;
    let cosine = value_in(cosines[word_of(entry, I16)], entry, I16);
    let sine = value_in(sines[word_of(entry, I16)], entry, I16);
    let left = x[first];
    let right = x[first + params.half];
    let turned = select(left * cosine - right * sine, left * sine + right * cosine, second);
    y[at] = clamp((turned + 16384) >> 15u, -params.high, params.high);
}
