use super::*;
use crate::{CpuBackend, DeviceInfo, Selector, WgpuBackend};
use proptest::prelude::*;
use std::sync::{
    LazyLock,
    atomic::{AtomicUsize, Ordering},
};

const CELLS: usize = 64;
const CHALLENGE: [u8; 32] = [9; 32];

static CHAIN: LazyLock<Chain> = LazyLock::new(|| spec(1).run(&CpuBackend::new()).unwrap());

fn spec(seed: u8) -> ChainSpec {
    ChainSpec::new([seed; 32], (5, 96), 6).unwrap()
}

fn check(chain: &Chain, proof: &ChainProof) -> Result<(), ChainError> {
    proof.check(&spec(1), &chain.root(), &CHALLENGE, CELLS)
}

#[test]
fn an_honest_chain_passes_its_check() {
    assert_eq!(check(&CHAIN, &CHAIN.open(&CHALLENGE, CELLS)), Ok(()));
}

#[test]
fn every_backend_commits_to_the_same_chain() {
    let adapter = WgpuBackend::new(&Selector::Best).unwrap();
    assert_eq!(spec(1).run(&adapter).unwrap().root(), CHAIN.root());
    assert_ne!(spec(2).run(&CpuBackend::new()).unwrap().root(), CHAIN.root());
}

#[test]
fn activations_do_not_die_out() {
    // 191 grows values the most, 192 the least.
    for width in [100, 191, 192, 1_024] {
        let spec = ChainSpec::new([3; 32], (4, width), 60).unwrap();
        let chain = spec.run(&CpuBackend::new()).unwrap();
        let last = spec.activations(&chain.stages[59]);
        let clamped = last.iter().filter(|x| matches!(**x, i8::MIN | i8::MAX)).count();
        let small = last.iter().filter(|x| x.unsigned_abs() < 8).count();
        let all = last.len();
        assert!(clamped < all * 3 / 4 && small < all / 2, "{width}: {clamped}, {small} of {all}");
    }
}

/// Computes nothing from some product on.
#[derive(Debug)]
struct Lazy {
    honest: CpuBackend,
    left: AtomicUsize,
}

impl Backend for Lazy {
    fn info(&self) -> &DeviceInfo {
        self.honest.info()
    }

    fn gemm_i8(&self, a: &[i8], b: &[i8], shape: GemmShape) -> Result<Vec<i32>, GpuError> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        match left {
            0 => Ok(vec![1; shape.m * shape.n]),
            _ => self.honest.gemm_i8(a, b, shape),
        }
    }
}

#[test]
fn a_stage_that_was_not_computed_is_found() {
    for left in [0, 3, 5] {
        let lazy = Lazy { honest: CpuBackend::new(), left: AtomicUsize::new(left) };
        let chain = spec(1).run(&lazy).unwrap();
        let outcome = check(&chain, &chain.open(&CHALLENGE, CELLS));
        assert!(matches!(outcome, Err(ChainError::Sum { .. })), "{outcome:?}");
    }
}

#[test]
fn a_chain_of_another_seed_is_found() {
    let chain = spec(2).run(&CpuBackend::new()).unwrap();
    let outcome = check(&chain, &chain.open(&CHALLENGE, CELLS));
    assert!(matches!(outcome, Err(ChainError::Sum { .. })), "{outcome:?}");
}

#[test]
fn answers_to_another_challenge_or_to_fewer_are_refused() {
    let outcome = check(&CHAIN, &CHAIN.open(&[8; 32], CELLS));
    assert!(matches!(outcome, Err(ChainError::Row { .. })), "{outcome:?}");
    let fewer = CHAIN.open(&CHALLENGE, CELLS - 1);
    let expected = ChainError::Cells { found: CELLS - 1, expected: CELLS };
    assert_eq!(check(&CHAIN, &fewer), Err(expected));
}

#[test]
fn chains_over_the_bounds_are_refused() {
    for (rows, width, stages) in [
        (0, 1, 1),
        (1, 0, 1),
        (1, 1, 0),
        (MAX_CHAIN_SIDE + 1, 1, 1),
        (1, MAX_CHAIN_SIDE + 1, 1),
        (1, 1, MAX_CHAIN_STAGES + 1),
        (8_192, 8_192, 9),
        (usize::MAX, usize::MAX, usize::MAX),
    ] {
        let made = ChainSpec::new([0; 32], (rows, width), stages);
        assert!(matches!(made, Err(GpuError::TooLarge { .. })), "{rows} {width} {stages}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_change_of_a_proof_is_found(
        cell in 0..CELLS,
        before: bool,
        at in 0..96_usize,
        change in 1..i32::MAX,
        length in 0..4_usize,
    ) {
        let mut proof = CHAIN.open(&CHALLENGE, CELLS);
        let ProvenCell { before: earlier, row } = &mut proof.cells[cell];
        let row = match earlier {
            Some(earlier) if before => earlier,
            _ => row,
        };
        match length {
            0 => drop(row.sums.pop()),
            1 => drop(row.path.pop()),
            2 => row.path[at % 5][at % 32] ^= change.to_le_bytes()[0].max(1),
            _ => row.sums[at] ^= change,
        }
        let outcome = check(&CHAIN, &proof);
        prop_assert!(matches!(outcome, Err(ChainError::Row { .. })), "{outcome:?}");
    }
}
