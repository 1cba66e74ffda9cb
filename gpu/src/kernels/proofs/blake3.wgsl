// BLAKE3's compression, which `blake3_chunks.wgsl` and `blake3_parents.wgsl` share.

const CHUNK_START: u32 = 1u;
const CHUNK_END: u32 = 2u;
const PARENT: u32 = 4u;
const ROOT: u32 = 8u;

// Four mixings at once: of the columns, or of the diagonals once rows are turned.
struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn rotated(x: vec4<u32>, by: u32) -> vec4<u32> {
    return (x >> vec4<u32>(by)) | (x << vec4<u32>(32u - by));
}

fn mixed(rows: Rows, x: vec4<u32>, y: vec4<u32>) -> Rows {
    var a = rows.a + rows.b + x;
    var d = rotated(rows.d ^ a, 16u);
    var c = rows.c + d;
    var b = rotated(rows.b ^ c, 12u);
    a = a + b + y;
    d = rotated(d ^ a, 8u);
    c = c + d;
    b = rotated(b ^ c, 7u);
    return Rows(a, b, c, d);
}

// The chaining value that follows `low`, `high`, by a block of four vec4s.
fn compressed(
    low: vec4<u32>,
    high: vec4<u32>,
    block: array<vec4<u32>, 4>,
    tail: vec4<u32>,  // the chunk's number in two words, the block's length, the flags
) -> array<vec4<u32>, 2> {
    let start = vec4<u32>(0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au);
    var rows = Rows(low, high, start, tail);
    var m0 = block[0];
    var m1 = block[1];
    var m2 = block[2];
    var m3 = block[3];
    for (var round = 0u; round < 7u; round++) {
        rows = mixed(rows, vec4<u32>(m0.xz, m1.xz), vec4<u32>(m0.yw, m1.yw));
        rows = Rows(rows.a, rows.b.yzwx, rows.c.zwxy, rows.d.wxyz);
        rows = mixed(rows, vec4<u32>(m2.xz, m3.xz), vec4<u32>(m2.yw, m3.yw));
        rows = Rows(rows.a, rows.b.wxyz, rows.c.zwxy, rows.d.yzwx);
        // The order of words for the next round: 2 6 3 10 7 0 4 13 1 11 12 5 9 14 15 8.
        let n0 = vec4<u32>(m0.z, m1.z, m0.w, m2.z);
        let n1 = vec4<u32>(m1.w, m0.x, m1.x, m3.y);
        let n2 = vec4<u32>(m0.y, m2.w, m3.x, m1.y);
        let n3 = vec4<u32>(m2.y, m3.z, m3.w, m2.x);
        m0 = n0;
        m1 = n1;
        m2 = n2;
        m3 = n3;
    }
    return array<vec4<u32>, 2>(rows.a ^ rows.c, rows.b ^ rows.d);
}
