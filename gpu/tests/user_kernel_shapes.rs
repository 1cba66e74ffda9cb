//! Kernels in the shapes that people write: each is accepted, its barriers too.

use neura_gpu::{KernelBuffer, KernelPass, UserKernel};

/// A kernel's name, and its text after what all of them have.
type Kernel = (&'static str, &'static str);

/// What all of them have.
const PRELUDE: &str = "
struct Params { rows: u32, cols: u32, depth: u32, passes: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
";

const KERNELS: [Kernel; 20] = [
    ("sum by a tree", "
var<workgroup> part: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_id) lid: vec3<u32>, @builtin(global_invocation_id) gid: vec3<u32>,
        @builtin(workgroup_id) wid: vec3<u32>) {
    part[lid.x] = select(0.0, source[gid.x], gid.x < arrayLength(&source));
    workgroupBarrier();
    for (var s = 128u; s > 0u; s >>= 1u) {
        if lid.x < s { part[lid.x] += part[lid.x + s]; }
        workgroupBarrier();
    }
    if lid.x == 0u { result[wid.x] = part[0]; }
}"),
    ("greatest over a stride", "
var<workgroup> part: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) i: u32, @builtin(workgroup_id) wid: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
    var best = -3.4e38;
    for (var at = wid.x * 64u + i; at < params.cols; at += groups.x * 64u) { best = max(best, source[at]); }
    part[i] = best;
    workgroupBarrier();
    var width = 32u;
    while width > 0u {
        if i < width { part[i] = max(part[i], part[i + width]); }
        width = width / 2u;
        workgroupBarrier();
    }
    if i == 0u { result[wid.x] = part[0]; }
}"),
    ("prefix sum with two buffers", "
var<workgroup> both: array<array<f32, 256>, 2>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_id) lid: vec3<u32>, @builtin(global_invocation_id) gid: vec3<u32>) {
    var now = 0u;
    both[0][lid.x] = source[gid.x];
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
        let to = 1u - now;
        if lid.x >= step { both[to][lid.x] = both[now][lid.x] + both[now][lid.x - step]; }
        else { both[to][lid.x] = both[now][lid.x]; }
        now = to;
        workgroupBarrier();
    }
    result[gid.x] = both[now][lid.x];
}"),
    ("prefix sum up and down", "
var<workgroup> tree: array<f32, 512>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) wid: vec3<u32>) {
    let base = wid.x * 512u;
    tree[2u * t] = source[base + 2u * t];
    tree[2u * t + 1u] = source[base + 2u * t + 1u];
    var offset = 1u;
    for (var d = 256u; d > 0u; d >>= 1u) {
        workgroupBarrier();
        if t < d {
            let left = offset * (2u * t + 1u) - 1u;
            tree[offset * (2u * t + 2u) - 1u] += tree[left];
        }
        offset *= 2u;
    }
    if t == 0u { tree[511] = 0.0; }
    for (var d = 1u; d < 512u; d *= 2u) {
        offset >>= 1u;
        workgroupBarrier();
        if t < d {
            let left = offset * (2u * t + 1u) - 1u;
            let right = offset * (2u * t + 2u) - 1u;
            let kept = tree[left];
            tree[left] = tree[right];
            tree[right] += kept;
        }
    }
    workgroupBarrier();
    result[base + 2u * t] = tree[2u * t];
    result[base + 2u * t + 1u] = tree[2u * t + 1u];
}"),
    ("product in tiles", "
const T = 16u;
var<workgroup> left: array<array<f32, T>, T>;
var<workgroup> right: array<array<f32, T>, T>;
@compute @workgroup_size(T, T)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
    var sum = 0.0;
    let tiles = (params.depth + T - 1u) / T;
    for (var t = 0u; t < tiles; t++) {
        let k = t * T + lid.x;
        if gid.y < params.rows && k < params.depth { left[lid.y][lid.x] = source[gid.y * params.depth + k]; }
        else { left[lid.y][lid.x] = 0.0; }
        right[lid.y][lid.x] = select(0.0, source[(t * T + lid.y) * params.cols + gid.x], gid.x < params.cols);
        workgroupBarrier();
        for (var k = 0u; k < T; k++) { sum = fma(left[lid.y][k], right[k][lid.x], sum); }
        workgroupBarrier();
    }
    if gid.y < params.rows && gid.x < params.cols { result[gid.y * params.cols + gid.x] = sum; }
}"),
    ("product in tiles, with a helper that both ids and sizes go through", "
const T = 8u;
var<workgroup> tile: array<f32, 128>;
fn up(x: u32, y: u32) -> u32 { return (x + y - 1u) / y; }
@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
    let at = lid.y * T + lid.x;
    let blocks = up(params.depth, T);
    var sum = 0.0;
    for (var block = 0u; block < blocks; block++) {
        tile[at] = source[(wid.y * T + lid.y) * params.depth + block * T + lid.x];
        tile[64u + at] = source[(block * T + lid.y) * params.cols + wid.x * T + lid.x];
        workgroupBarrier();
        for (var k = 0u; k < T; k++) { sum += tile[lid.y * T + k] * tile[64u + k * T + lid.x]; }
        workgroupBarrier();
    }
    result[up(at, 2u)] = sum;
}"),
    ("transposition", "
var<workgroup> tile: array<array<f32, 33>, 32>;
@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
    var x = wid.x * 32u + lid.x;
    var y = wid.y * 32u + lid.y;
    for (var j = 0u; j < 32u; j += 8u) {
        if x < params.cols && y + j < params.rows { tile[lid.y + j][lid.x] = source[(y + j) * params.cols + x]; }
    }
    workgroupBarrier();
    x = wid.y * 32u + lid.x;
    y = wid.x * 32u + lid.y;
    for (var j = 0u; j < 32u; j += 8u) {
        if x < params.rows && y + j < params.cols { result[(y + j) * params.rows + x] = tile[lid.x][lid.y + j]; }
    }
}"),
    ("histogram", "
var<workgroup> bins: array<atomic<u32>, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) i: u32, @builtin(global_invocation_id) gid: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {
    atomicStore(&bins[i], 0u);
    workgroupBarrier();
    for (var at = gid.x; at < arrayLength(&source); at += groups.x * 256u) {
        if source[at] < 0.0 { continue; }
        atomicAdd(&bins[u32(source[at]) & 255u], 1u);
    }
    workgroupBarrier();
    let found = atomicLoad(&bins[i]);
    if found > 0u { atomicAdd(&counts[i], found); }
}"),
    ("bitonic sort", "
var<workgroup> keys: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_id) lid: vec3<u32>, @builtin(global_invocation_id) gid: vec3<u32>) {
    keys[lid.x] = source[gid.x];
    workgroupBarrier();
    for (var k = 2u; k <= 256u; k <<= 1u) {
        for (var j = k >> 1u; j > 0u; j >>= 1u) {
            let other = lid.x ^ j;
            if other > lid.x {
                let upward = (lid.x & k) == 0u;
                if (keys[lid.x] > keys[other]) == upward {
                    let kept = keys[lid.x];
                    keys[lid.x] = keys[other];
                    keys[other] = kept;
                }
            }
            workgroupBarrier();
        }
    }
    result[gid.x] = keys[lid.x];
}"),
    ("stencil with a halo", "
var<workgroup> tile: array<array<f32, 18>, 18>;
fn at(x: i32, y: i32) -> f32 {
    if x < 0 || y < 0 || x >= i32(params.cols) || y >= i32(params.rows) { return 0.0; }
    return source[u32(y) * params.cols + u32(x)];
}
@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
    let p = vec2<i32>(gid.xy);
    let l = lid.xy + 1u;
    tile[l.y][l.x] = at(p.x, p.y);
    if lid.x == 0u { tile[l.y][0] = at(p.x - 1, p.y); }
    if lid.x == 15u { tile[l.y][17] = at(p.x + 1, p.y); }
    if lid.y == 0u { tile[0][l.x] = at(p.x, p.y - 1); }
    if lid.y == 15u { tile[17][l.x] = at(p.x, p.y + 1); }
    workgroupBarrier();
    if gid.x >= params.cols || gid.y >= params.rows { return; }
    result[gid.y * params.cols + gid.x] = 0.25 * (tile[l.y - 1u][l.x] + tile[l.y + 1u][l.x]
        + tile[l.y][l.x - 1u] + tile[l.y][l.x + 1u]);
}"),
    ("softmax over rows", "
var<workgroup> part: array<f32, 128>;
fn reduced(i: u32, greatest: bool) -> f32 {
    workgroupBarrier();
    for (var s = 64u; s > 0u; s /= 2u) {
        if i < s {
            if greatest { part[i] = max(part[i], part[i + s]); } else { part[i] += part[i + s]; }
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&part[0]);
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) i: u32) {
    if wid.x >= params.rows { return; }
    let row = wid.x * params.cols;
    var best = -3.4e38;
    for (var c = i; c < params.cols; c += 128u) { best = max(best, source[row + c]); }
    part[i] = best;
    let greatest = reduced(i, true);
    var sum = 0.0;
    for (var c = i; c < params.cols; c += 128u) { sum += exp(source[row + c] - greatest); }
    part[i] = sum;
    let total = reduced(i, false);
    for (var c = i; c < params.cols; c += 128u) { result[row + c] = exp(source[row + c] - greatest) / total; }
}"),
    ("norm of rows, in parts", "
var<workgroup> part: array<f32, 64>;
var<workgroup> mean: f32;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) i: u32) {
    var i2 = i;
    var sum = 0.0;
    loop {
        if i2 >= params.cols { break; }
        sum += source[wid.x * params.cols + i2];
        continuing { i2 += 64u; }
    }
    part[i] = sum;
    workgroupBarrier();
    if i == 0u {
        var all = 0.0;
        for (var k = 0u; k < 64u; k++) { all += part[k]; }
        mean = all / f32(params.cols);
    }
    workgroupBarrier();
    for (var c = i; c < params.cols; c += 64u) { result[wid.x * params.cols + c] = source[wid.x * params.cols + c] - mean; }
}"),
    ("one index for all loops", "
var<workgroup> part: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) t: u32) {
    var i: u32;
    var sum = 0.0;
    for (i = t; i < params.cols; i += 64u) { sum += source[i]; }
    part[t] = sum;
    workgroupBarrier();
    for (i = 32u; i > 0u; i /= 2u) {
        if t < i { part[t] += part[t + i]; }
        workgroupBarrier();
    }
    result[t] = part[0];
}"),
    ("breadth-first search until nothing changes", "
var<workgroup> changed: u32;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) t: u32) {
    for (var round = 0u; round < params.passes; round++) {
        if t == 0u { changed = 0u; }
        workgroupBarrier();
        for (var v = t; v < params.rows; v += 64u) {
            if source[v] > result[v] { result[v] = source[v]; changed = 1u; }
        }
        workgroupBarrier();
        let again = workgroupUniformLoad(&changed);
        if again == 0u { break; }
    }
}"),
    ("attention over blocks of keys", "
var<workgroup> keys: array<f32, 1024>;
@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    var best = -3.4e38;
    var total = 0.0;
    let last = min(params.rows, (wid.x + 1u) * 32u);
    for (var first = 0u; first < last; first += 32u) {
        for (var k = 0u; k < 32u; k++) { keys[k * 32u + t] = source[(first + k) * 32u + t]; }
        workgroupBarrier();
        let count = min(32u, last - first);
        for (var k = 0u; k < count; k++) {
            var score = 0.0;
            for (var c = 0u; c < 32u; c++) { score += keys[k * 32u + c] * source[t * 32u + c]; }
            let next = max(best, score);
            total = total * exp(best - next) + exp(score - next);
            best = next;
        }
        workgroupBarrier();
    }
    result[wid.x * 32u + t] = total;
}"),
    ("digits of a radix sort", "
var<workgroup> ones: array<u32, 128>;
@compute @workgroup_size(128)
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
    let t = lid.x;
    var key = bitcast<u32>(source[t]);
    for (var bit = 0u; bit < 32u; bit++) {
        let one = (key >> bit) & 1u;
        ones[t] = one;
        workgroupBarrier();
        for (var d = 1u; d < 128u; d <<= 1u) {
            var more = 0u;
            if t >= d { more = ones[t - d]; }
            workgroupBarrier();
            ones[t] += more;
            workgroupBarrier();
        }
        let zeros = 128u - workgroupUniformLoad(&ones[127]);
        let to = select(t - ones[t], zeros + ones[t] - 1u, one == 1u);
        result[to] = bitcast<f32>(key);
        storageBarrier();
        key = bitcast<u32>(result[t]);
        workgroupBarrier();
    }
}"),
    ("bodies in tiles", "
struct Body { place: vec3<f32>, mass: f32 }
var<workgroup> tile: array<Body, 64>;
fn body(at: u32) -> Body {
    return Body(vec3<f32>(source[4u * at], source[4u * at + 1u], source[4u * at + 2u]), source[4u * at + 3u]);
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(local_invocation_id) lid: vec3<u32>) {
    let own = body(gid.x);
    var force = vec3<f32>();
    var tiles = params.rows / 64u;
    if params.rows % 64u != 0u { tiles += 1u; }
    for (var t = 0u; t < tiles; t++) {
        tile[lid.x] = body(t * 64u + lid.x);
        workgroupBarrier();
        for (var k = 0u; k < 64u; k++) {
            let apart = tile[k].place - own.place;
            force += apart * tile[k].mass * inverseSqrt(dot(apart, apart) + 1e-6);
        }
        workgroupBarrier();
    }
    result[gid.x] = length(force);
}"),
    ("game of life, some generations in shared memory", "
var<workgroup> field: array<array<u32, 256>, 2>;
@compute @workgroup_size(16, 16)
fn main(@builtin(local_invocation_id) lid: vec3<u32>) {
    let at = lid.y * 16u + lid.x;
    field[0][at] = u32(source[at]);
    workgroupBarrier();
    for (var generation = 0u; generation < params.passes; generation++) {
        let now = generation % 2u;
        var alive = 0u;
        for (var dy = 15u; dy <= 17u; dy++) {
            for (var dx = 15u; dx <= 17u; dx++) {
                if dx == 16u && dy == 16u { continue; }
                alive += field[now][(lid.y + dy) % 16u * 16u + (lid.x + dx) % 16u];
            }
        }
        field[1u - now][at] = u32(alive == 3u || (alive == 2u && field[now][at] == 1u));
        workgroupBarrier();
    }
    result[at] = f32(field[params.passes % 2u][at]);
}"),
    ("convolution with weights in shared memory", "
var<workgroup> weights: array<f32, 288>;
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    var sum = 0.0;
    for (var channels = 0u; channels < params.depth; channels += 32u) {
        let count = min(32u, params.depth - channels) * 9u;
        for (var w = t; w < count; w += 64u) { weights[w] = source[channels * 9u + w]; }
        workgroupBarrier();
        if gid.x < params.cols && gid.y < params.rows {
            for (var w = 0u; w < count; w++) { sum += weights[w] * source[gid.y * params.cols + gid.x + w]; }
        }
        workgroupBarrier();
    }
    if gid.x < params.cols && gid.y < params.rows { result[gid.y * params.cols + gid.x] = sum; }
}"),
    ("compaction of what is kept", "
var<workgroup> places: array<u32, 64>;
var<workgroup> first: u32;
fn is_kept(value: f32) -> bool { return value > 0.0; }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let value = source[gid.x];
    places[t] = u32(is_kept(value));
    workgroupBarrier();
    for (var d = 1u; d < 64u; d *= 2u) {
        let before = select(0u, places[max(t, d) - d], t >= d);
        workgroupBarrier();
        places[t] += before;
        workgroupBarrier();
    }
    if t == 63u { first = atomicAdd(&counts[0], places[63]); }
    workgroupBarrier();
    if is_kept(value) { result[first + places[t] - 1u] = value; }
}"),
];

#[test]
fn kernels_in_the_shapes_that_people_write_are_accepted() {
    let mut refused = Vec::new();
    for (name, text) in KERNELS {
        let source = format!("{PRELUDE}{text}");
        let buffer = KernelBuffer { bytes: 4_096, contents: Vec::new(), output: true };
        let pass = KernelPass { entry: "main".into(), workgroups: [4, 1, 1] };
        if let Err(error) = UserKernel::new(&source, vec![buffer; 4], vec![pass], 1_000) {
            refused.push(format!("{name}: {error}"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
