use super::*;
use crate::{Options, Selector, kernels::proofs, selftest::Noise};
use std::sync::LazyLock;

static BACKEND: LazyLock<WgpuBackend> = LazyLock::new(|| open(Options::default()));
/// Bindings so small that a tree is joined of many parts.
static SPLIT: LazyLock<WgpuBackend> =
    LazyLock::new(|| open(Options { binding_bytes: 1 << 18, ..Options::default() }));

fn open(options: Options) -> WgpuBackend {
    WgpuBackend::with_options(&Selector::Best, options).unwrap_or_else(|error| {
        panic!(
            "these tests need a GPU or Mesa's software Vulkan driver: \
             apt install libvulkan1 mesa-vulkan-drivers ({error})"
        )
    })
}

#[test]
fn hashes_are_those_of_the_blake3_crate_at_every_edge_of_the_tree() {
    let mut noise = Noise(11);
    let bytes: Vec<u8> = (0..40 * CHUNK).map(|_| noise.next().to_le_bytes()[0]).collect();
    let edges = [0, 1, 63, 64, 65, 1_023, 1_024, 1_025, 2_048, 2_049, 3_072, 5_000, 8_192, 8_193];
    for length in edges.into_iter().chain([16 * CHUNK + 1, 33 * CHUNK - 1, 40 * CHUNK]) {
        let bytes = &bytes[..length];
        let found = BACKEND.blake3(None, bytes).unwrap();
        assert_eq!(found, *blake3::hash(bytes).as_bytes(), "{length} bytes");
        let found = BACKEND.blake3(Some("a context"), bytes).unwrap();
        assert_eq!(found, blake3::derive_key("a context", bytes), "{length} bytes");
    }
}

#[test]
fn a_tree_of_many_parts_has_the_same_root() {
    let mut noise = Noise(12);
    let bytes: Vec<u8> = (0..700_000).map(|_| noise.next().to_le_bytes()[0]).collect();
    for length in [131_072, 131_073, 262_144, 393_216, 400_001, 700_000] {
        let found = SPLIT.blake3(Some("parts"), &bytes[..length]).unwrap();
        assert_eq!(found, blake3::derive_key("parts", &bytes[..length]), "{length} bytes");
    }
}

fn matrices(shape: GemmShape, value: impl Fn(&mut Noise) -> i8) -> (Vec<i8>, Vec<i8>, Vec<i32>) {
    let mut noise = Noise(13);
    let mut matrix = |rows: usize| (0..rows * shape.k).map(|_| value(&mut noise)).collect();
    let (a, b): (Vec<i8>, Vec<i8>) = (matrix(shape.m), matrix(shape.n));
    let mut c = vec![0; shape.m * shape.n];
    crate::kernels::gemm_i8::reference(&a, &b, shape.k, &mut c);
    (a, b, c)
}

#[test]
fn a_right_product_passes_and_one_wrong_cell_is_found() {
    let mut noise = Noise(14);
    for (m, n, k) in [(1, 1, 1), (5, 3, 17), (70, 33, 65), (2, 300, 1_041)] {
        let shape = GemmShape { m, n, k };
        let r: Vec<u32> = (0..n).map(|_| noise.next() | 1).collect();
        for value in [(|noise: &mut Noise| noise.i8()) as fn(&mut Noise) -> i8, |_| i8::MIN] {
            let (a, b, mut c) = matrices(shape, value);
            assert_eq!(BACKEND.wrong_row((&a, &b, &c), shape, &r), Ok(None));
            for change in [1, -1, i32::MIN] {
                let at = noise.next() as usize % c.len();
                c[at] = c[at].wrapping_add(change);
                assert_eq!(BACKEND.wrong_row((&a, &b, &c), shape, &r), Ok(Some(at / n)));
                c[at] = c[at].wrapping_sub(change);
            }
        }
    }
}

#[test]
fn both_sides_of_the_check_are_their_twins() {
    let shape = GemmShape { m: 4, n: 9, k: 6 };
    let (a, b, c) = matrices(shape, Noise::i8);
    let r: Vec<u32> = (0..9).map(|at| u32::MAX - at).collect();
    let wide: Vec<u64> = r.iter().map(|word| u64::from(*word)).collect();
    let a: Vec<i32> = a.iter().map(|x| i32::from(*x)).collect();
    let columns = proofs::weighed_columns(&b, &r);
    assert_eq!(proofs::weighed_rows(&c, &wide), proofs::weighed_rows(&a, &columns));
}

#[test]
fn what_does_not_fit_the_shape_of_a_check_is_refused() {
    let shape = GemmShape { m: 1, n: 2, k: 1 };
    let refused = BACKEND.wrong_row((&[1], &[1, 2], &[1]), shape, &[1, 2]);
    assert_eq!(refused, Err(GpuError::Shape { matrix: "C", found: 1, expected: 2 }));
    let refused = BACKEND.wrong_row((&[1], &[1, 2], &[1, 2]), shape, &[1]);
    assert_eq!(refused, Err(GpuError::Shape { matrix: "r", found: 1, expected: 2 }));
}

#[test]
fn a_key_stream_is_that_of_chacha8_and_any_part_of_it_can_be_made_alone() {
    // The stream of a key and a nonce of zeros, from the cipher's published vectors.
    let zeros = BACKEND.chacha8(&[0; 32], [0, 0], (0, 1)).unwrap();
    assert_eq!(zeros[..8], [0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6]);
    let key: [u8; 32] = std::array::from_fn(|at| at as u8 * 7);
    let found = BACKEND.chacha8(&key, [5, u32::MAX], (u32::MAX - 99, 100)).unwrap();
    for (number, block) in (u32::MAX - 99..=u32::MAX).zip(found.chunks_exact(BLOCK)) {
        let twin = proofs::chacha8(&key, [5, u32::MAX], number);
        assert_eq!(block, bytemuck::cast_slice::<u32, u8>(&twin), "block {number}");
    }
    let part = BACKEND.chacha8(&key, [5, u32::MAX], (u32::MAX - 9, 2)).unwrap();
    assert_eq!(part, found[90 * BLOCK..92 * BLOCK]);
}
