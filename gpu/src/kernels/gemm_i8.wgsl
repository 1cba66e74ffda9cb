// What every variant of C = A * B^T + bias has, int8 in, int32 out. Before this comes what an Element is, of which a load
// brings one: a word of four values, or four such words.

struct Params {
    rows: u32,       // rows of A
    cols: u32,       // rows of B read here, columns of C written here
    depth: u32,      // vec4s of words per row of A and B, at most 8192
    stride: u32,     // columns of C
    first_col: u32,  // first column of C written here
    first_b: u32,    // first row of B read here
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read> bias: array<i32>;
@group(0) @binding(4) var<storage, read_write> c: array<i32>;

fn store(row: u32, col: u32, sum: i32) {
    if row < params.rows && col < params.cols {
        let column = params.first_col + col;
        c[row * params.stride + column] = sum + bias[column];
    }
}
