// A row brought to unit size by one workgroup: layer norm, RMS norm, L2 norm.

struct Params {
    lines: u32,         // rows
    length: u32,        // cells per row, at most 64 * 16384: two loops over a part each, and one more
    centred: u32,       // 1 to take the mean away
    averaged: u32,      // 1 to average squares, 0 to take their sum
    fraction: u32,
    epsilon_low: u32,
    epsilon_high: u32,
    gained: u32,        // 1 for gain and bias, 0 for halves of units
    gain_bits: u32,
    low: i32,
    high: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> gain: array<i32>;
@group(0) @binding(3) var<storage, read> bias: array<i32>;
@group(0) @binding(4) var<storage, read_write> y: array<i32>;

const UNIT_BITS: u32 = 16u;

var<workgroup> parts: array<vec2<u32>, 64>;
var<workgroup> reciprocal: u32;
var<workgroup> shift_down: u32;

// The sum of what every invocation brings.
fn total(index: u32, part: vec2<u32>) -> vec2<u32> {
    workgroupBarrier();
    parts[index] = part;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if index < half {
            parts[index] = plus(parts[index], parts[index + half]);
        }
        workgroupBarrier();
    }
    return parts[0];
}

// From what squares amount to, what sizes are multiplied and shifted by.
fn find_unit(squares: vec2<u32>) {
    let count = select(1u, params.length, params.averaged == 1u);
    let epsilon = vec2<u32>(params.epsilon_low, params.epsilon_high);
    let v = plus(divided(squares, count), epsilon);
    let zeros = select(countLeadingZeros(v.y), 32u + countLeadingZeros(v.x), v.y == 0u);
    let e = min(zeros / 2u, 31u);
    let size = max(root(shifted_left(v, 2u * e)), 1u);
    let quotient = divided(vec2<u32>(0u, 0x80000000u), size);
    reciprocal = select(quotient.x, 0xffffffffu, quotient.y > 0u);
    if v.x == 0u && v.y == 0u {
        reciprocal = 0u;
    }
    shift_down = 63u - UNIT_BITS - e;
}

fn finished(size: i32, column: u32) -> i32 {
    // Below 2^28: so much is proved of every model.
    let unit = shift_round(product(magnitude(size), reciprocal), shift_down);
    if params.gained == 0u {
        return clamped(with_sign(shift_round(unit, 1u), size < 0), params.low, params.high);
    }
    let factor = gain[column];
    let gained = with_sign(product(unit.x, magnitude(factor)), (size < 0) != (factor < 0));
    let z = plus(gained, shifted_left(widened(bias[column]), UNIT_BITS));
    let shift = UNIT_BITS + params.gain_bits;
    let made = with_sign(shift_round(magnitude_of(z), shift), is_negative(z));
    return clamped(made, params.low, params.high);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // Rows over the edge compute the last one: barriers are for all.
    let line = min(group.y * groups.x + group.x, params.lines - 1u);
    let first = line * params.length;
    var sum = vec2<u32>(0u);
    for (var column = index; column < params.length; column += 64u) {
        sum = plus(sum, widened(x[first + column]));
    }
    sum = shifted_left(total(index, sum), params.fraction);
    // A value less the mean fits 32 bits, so that their low words are enough.
    let mean = select(0u, divided_round(sum, params.length).x, params.centred == 1u);
    var squares = vec2<u32>(0u);
    for (var column = index; column < params.length; column += 64u) {
        let size = magnitude(bitcast<i32>((bitcast<u32>(x[first + column]) << params.fraction) - mean));
        squares = plus(squares, product(size, size));
    }
    squares = total(index, squares);
    if index == 0u {
        find_unit(squares);
    }
    workgroupBarrier();
    for (var column = index; column < params.length; column += 64u) {
        let size = bitcast<i32>((bitcast<u32>(x[first + column]) << params.fraction) - mean);
        y[first + column] = finished(size, column);
    }
}
