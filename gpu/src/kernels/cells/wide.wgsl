// Integers of 64 bits as (low word, high word), in two's complement: no adapter needs its own.

fn product(x: u32, y: u32) -> vec2<u32> {
    let x0 = x & 0xffffu;
    let x1 = x >> 16u;
    let y0 = y & 0xffffu;
    let y1 = y >> 16u;
    let p00 = x0 * y0;
    let p01 = x0 * y1;
    let p10 = x1 * y0;
    let middle = (p00 >> 16u) + (p01 & 0xffffu) + (p10 & 0xffffu);
    let low = (p00 & 0xffffu) | (middle << 16u);
    let high = x1 * y1 + (p01 >> 16u) + (p10 >> 16u) + (middle >> 16u);
    return vec2<u32>(low, high);
}

fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn negated(a: vec2<u32>) -> vec2<u32> {
    return plus(~a, vec2<u32>(1u, 0u));
}

fn is_negative(a: vec2<u32>) -> bool {
    return (a.y >> 31u) == 1u;
}

fn with_sign(magnitude: vec2<u32>, negative: bool) -> vec2<u32> {
    return select(magnitude, negated(magnitude), negative);
}

fn magnitude_of(a: vec2<u32>) -> vec2<u32> {
    return with_sign(a, is_negative(a));
}

fn magnitude(x: i32) -> u32 {
    return select(bitcast<u32>(x), 0u - bitcast<u32>(x), x < 0);
}

fn widened(x: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(x), bitcast<u32>(x >> 31u));
}

fn at_most(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y < b.y || (a.y == b.y && a.x <= b.x);
}

// By at most 63.
fn shifted_left(a: vec2<u32>, s: u32) -> vec2<u32> {
    if s == 0u {
        return a;
    }
    if s >= 32u {
        return vec2<u32>(0u, a.x << (s - 32u));
    }
    return vec2<u32>(a.x << s, (a.y << s) | (a.x >> (32u - s)));
}

// By at most 63, without a sign.
fn shifted_right(a: vec2<u32>, s: u32) -> vec2<u32> {
    if s == 0u {
        return a;
    }
    if s >= 32u {
        return vec2<u32>(a.y >> (s - 32u), 0u);
    }
    return vec2<u32>((a.x >> s) | (a.y << (32u - s)), a.y >> s);
}

// (a + 2^(s - 1)) >> s, without a sign, for a below 2^63 and s at most 62; a itself if s is 0.
fn shift_round(a: vec2<u32>, s: u32) -> vec2<u32> {
    // Of most factors the low word does not count.
    if s > 32u {
        return vec2<u32>((a.y + (1u << (s - 33u))) >> (s - 32u), 0u);
    }
    if s == 0u {
        return a;
    }
    return shifted_right(plus(a, shifted_left(vec2<u32>(1u, 0u), s - 1u)), s);
}

// The quotient without signs, rounded down; d is at least 1.
fn divided(a: vec2<u32>, d: u32) -> vec2<u32> {
    var rest = a.y % d;
    var low = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
        let over = rest >> 31u;
        rest = (rest << 1u) | ((a.x >> (31u - bit)) & 1u);
        low <<= 1u;
        if over == 1u || rest >= d {
            rest -= d;
            low |= 1u;
        }
    }
    return vec2<u32>(low, a.y / d);
}

// sgn(a) * ((|a| + d / 2) / d).
fn divided_round(a: vec2<u32>, d: u32) -> vec2<u32> {
    let half = vec2<u32>(d / 2u, 0u);
    return with_sign(divided(plus(magnitude_of(a), half), d), is_negative(a));
}

// floor(sqrt(a)), bit by bit.
fn root(a: vec2<u32>) -> u32 {
    var found = 0u;
    for (var bit = 0u; bit < 32u; bit++) {
        let tried = found | (0x80000000u >> bit);
        if at_most(product(tried, tried), a) {
            found = tried;
        }
    }
    return found;
}

// Brought into low..=high.
fn clamped(a: vec2<u32>, low: i32, high: i32) -> i32 {
    let word = bitcast<i32>(a.x);
    if a.y == bitcast<u32>(word >> 31u) {
        return clamp(word, low, high);
    }
    return select(high, low, is_negative(a));
}

// sgn(z) * ((|z| * multiplier + 2^(shift - 1)) >> shift), for any z.
fn scaled(z: i32, multiplier: u32, shift: u32) -> vec2<u32> {
    return with_sign(shift_round(product(magnitude(z), multiplier), shift), z < 0);
}
