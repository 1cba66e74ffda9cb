// What variants have whose invocations compute blocks of outputs. After this comes APART, which says how far apart the
// columns of a block are.

fn dot16(x: vec4<u32>, y: vec4<u32>) -> i32 {
    return dot4I8Packed(x.x, y.x) + dot4I8Packed(x.y, y.y)
        + dot4I8Packed(x.z, y.z) + dot4I8Packed(x.w, y.w);
}

fn dots(x: vec4<u32>, y0: vec4<u32>, y1: vec4<u32>, y2: vec4<u32>, y3: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot16(x, y0), dot16(x, y1), dot16(x, y2), dot16(x, y3));
}

fn store4(row: u32, col: u32, sums: vec4<i32>) {
    store(row, col, sums.x);
    store(row, col + APART, sums.y);
    store(row, col + 2u * APART, sums.z);
    store(row, col + 3u * APART, sums.w);
}
