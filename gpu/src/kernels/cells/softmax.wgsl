// Probabilities of a line of scores, by one workgroup.

struct Params {
    lines: u32,       // lines of scores
    length: u32,      // scores per line, at most 65536: three loops over a part each
    multiplier: u32,  // from units of scores to 2^-16 of a power of two
    shift: u32,
    causal: u32,      // 1 if a line sees only scores up to its own place
    place: u32,       // the place of the first row
    per_row: u32,     // lines of a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<i32>;
@group(0) @binding(2) var<storage, read> powers: array<u32>;  // 2^(15 - i / 256), i up to 256
@group(0) @binding(3) var<storage, read_write> y: array<i32>;

var<workgroup> greatest: array<i32, 64>;
var<workgroup> sums: array<u32, 64>;

// 2^-t in units of 2^-15, t being how far a score is below the greatest.
fn power(below: u32) -> u32 {
    let t = shift_round(product(below, params.multiplier), params.shift);
    // From 2^-17 on nothing is left.
    if t.y > 0u || t.x >= (17u << 16u) {
        return 0u;
    }
    let whole = t.x >> 16u;
    let at = powers[(t.x >> 8u) & 0xffu];
    let fall = ((at - powers[((t.x >> 8u) & 0xffu) + 1u]) * (t.x & 0xffu) + 128u) >> 8u;
    return (at - fall + ((1u << whole) / 2u)) >> whole;
}

fn apart(high: i32, low: i32) -> u32 {
    return bitcast<u32>(high) - bitcast<u32>(low);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // Lines over the edge compute the last one: barriers are for all.
    let line = min(group.y * groups.x + group.x, params.lines - 1u);
    let first = line * params.length;
    var seen = params.length;
    if params.causal == 1u {
        seen = min(seen, params.place + line / params.per_row + 1u);
    }
    var most = x[first];
    for (var at = index; at < seen; at += 64u) {
        most = max(most, x[first + at]);
    }
    greatest[index] = most;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if index < half {
            greatest[index] = max(greatest[index], greatest[index + half]);
        }
        workgroupBarrier();
    }
    most = greatest[0];
    var sum = 0u;
    for (var at = index; at < seen; at += 64u) {
        let share = power(apart(most, x[first + at]));
        // Read again below, by this invocation.
        y[first + at] = i32(share);
        sum += share;
    }
    sums[index] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if index < half {
            sums[index] += sums[index + half];
        }
        workgroupBarrier();
    }
    sum = sums[0];
    for (var at = index; at < params.length; at += 64u) {
        var share = 0u;
        if at < seen {
            share = (u32(y[first + at]) * 65535u + sum / 2u) / sum;
        }
        y[first + at] = i32(min(share, 65535u));
    }
}
