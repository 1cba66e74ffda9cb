use proptest::prelude::*;

use super::*;

const JOB: B256 = B256::repeat_byte(7);

fn checkpoint(state: &[u8]) -> Checkpoint<'_> {
    Checkpoint { executor: Executor::Int8, payload: JOB, step: 0x0102, state }
}

#[test]
fn a_checkpoint_is_laid_out_as_drawn() {
    let expected =
        [b"NEURACKP\x01\x00".as_slice(), JOB.as_slice(), &[2, 1, 0, 0, 0, 0, 0, 0], b"state"];
    assert_eq!(checkpoint(b"state").encode(), expected.concat());
}

#[test]
fn a_checkpoint_of_another_job_or_executor_is_refused() {
    let bytes = checkpoint(b"state").encode();
    assert_eq!(Checkpoint::of(Executor::Int8, JOB, &bytes), Ok(checkpoint(b"state")));
    for (executor, payload) in [(Executor::Wgsl, JOB), (Executor::Int8, B256::ZERO)] {
        let refused = Checkpoint::of(executor, payload, &bytes);
        assert_eq!(refused, Err(CheckpointError::OtherJob));
    }
}

#[test]
fn a_truncated_header_is_refused() {
    let bytes = checkpoint(b"").encode();
    assert_eq!(Checkpoint::decode(&bytes).map(|read| read.step), Ok(0x0102));
    for length in 0..bytes.len() {
        let refused = Checkpoint::decode(&bytes[..length]);
        assert_eq!(refused, Err(CheckpointError::Truncated(length)));
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        state in prop::collection::vec(any::<u8>(), 0..99),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = checkpoint(&state).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Checkpoint::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}
