use anyhow::bail;
use neura_consensus::CommittedBlock;
use neura_types::{
    B256, ExecutedRoot, QuorumCertificate,
    keys::{SecretKey, Signature},
    vote::{ChainContext, ConsensusMessage, Signed, Statement},
};
use proptest::prelude::*;

use super::*;

/// What was done, in order.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Stored(BlockId),
    Recorded(u64),
    Ordered(BlockId),
    Left,
    Committed(BlockId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breaks {
    Nothing,
    Blocks,
    Record,
}

#[derive(Debug)]
struct Seen {
    done: Vec<Done>,
    breaks: Breaks,
}

impl Effects for Seen {
    fn store(&mut self, blocks: &[(BlockId, Arc<Block>)]) -> Result<()> {
        if self.breaks == Breaks::Blocks {
            bail!("the disk is full");
        }
        self.done.extend(blocks.iter().map(|(id, _)| Done::Stored(*id)));
        Ok(())
    }

    fn record(&mut self, record: SafetyRecord) -> Result<()> {
        if self.breaks == Breaks::Record {
            bail!("the disk is broken");
        }
        self.done.push(Done::Recorded(record.voted));
        Ok(())
    }

    fn ordered(&mut self, block: &CommittedBlock) {
        self.done.push(Done::Ordered(block.id));
    }

    fn act(&mut self, _: Output) {
        self.done.push(Done::Left);
    }

    fn commit(&mut self, blocks: Vec<CommittedBlock>) -> Result<()> {
        self.done.extend(blocks.into_iter().map(|block| Done::Committed(block.id)));
        Ok(())
    }
}

fn block() -> Arc<Block> {
    Arc::new(Block::genesis(B256::ZERO, 0, ExecutedRoot::default()))
}

fn id(number: u8) -> BlockId {
    BlockId::from(B256::repeat_byte(number))
}

fn record(voted: u64) -> Output {
    let chain = ChainContext { chain_id: 1, genesis: B256::ZERO };
    let key = SecretKey::from_seed(&[1; 32]).public_key();
    let genesis = QuorumCertificate::genesis(id(0));
    let mut record = SafetyRecord::new(chain, 0, key, genesis);
    record.voted = voted;
    Output::Persist(Box::new(record))
}

fn vote() -> Output {
    let statement = Statement::Vote { view: 1, block: id(1), parent_view: 0 };
    let signature = Signature([0; 64]);
    Output::Broadcast(ConsensusMessage::Vote(Signed { epoch: 0, author: 0, statement, signature }))
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![
        any::<u8>().prop_map(|n| Output::StoreBlock { id: id(n), block: block() }),
        any::<u64>().prop_map(record),
        Just(()).prop_map(|()| vote()),
        any::<u8>().prop_map(|n| {
            Output::Commit(CommittedBlock { id: id(n), block: block(), proof: None })
        }),
    ]
}

proptest! {
    #[test]
    fn nothing_leaves_before_blocks_and_record_are_durable(outputs in prop::collection::vec(output(), 0..12)) {
        let mut seen = Seen { done: Vec::new(), breaks: Breaks::Nothing };
        carry_out(outputs.clone(), &mut seen).unwrap();
        let count = |kind: fn(&Output) -> bool| outputs.iter().filter(|output| kind(output)).count();
        let at = |kind: fn(&Done) -> bool| {
            let places: Vec<_> = (0..).zip(&seen.done).filter(|(_, done)| kind(done)).map(|(at, _)| at).collect();
            (places.first().copied().unwrap_or(usize::MAX), places.last().copied().unwrap_or(0), places.len())
        };
        let stored = at(|done| matches!(done, Done::Stored(_)));
        let recorded = at(|done| matches!(done, Done::Recorded(_)));
        let ordered = at(|done| matches!(done, Done::Ordered(_)));
        let left = at(|done| matches!(done, Done::Left));
        let committed = at(|done| matches!(done, Done::Committed(_)));
        for durable in [stored.1, recorded.1] {
            prop_assert!(durable <= left.0 && durable <= committed.0 && durable <= ordered.0);
        }
        prop_assert!(ordered.1 <= left.0);
        prop_assert_eq!(stored.2, count(|output| matches!(output, Output::StoreBlock { .. })));
        prop_assert_eq!(left.2, count(|output| matches!(output, Output::Broadcast(_))));
        let commits = count(|output| matches!(output, Output::Commit(_)));
        prop_assert_eq!((ordered.2, committed.2), (commits, commits));
        let newest = outputs.iter().rev().find_map(|output| match output {
            Output::Persist(record) => Some(Done::Recorded(record.voted)),
            _ => None,
        });
        prop_assert_eq!(seen.done.iter().find(|done| matches!(done, Done::Recorded(_))), newest.as_ref());
    }

    #[test]
    fn nothing_leaves_when_the_disk_fails(
        outputs in prop::collection::vec(output(), 0..12),
        breaks in prop::sample::select(vec![Breaks::Blocks, Breaks::Record]),
    ) {
        let mut seen = Seen { done: Vec::new(), breaks };
        let needed = outputs.iter().any(|output| match breaks {
            Breaks::Blocks => matches!(output, Output::StoreBlock { .. }),
            Breaks::Record => matches!(output, Output::Persist(_)),
            Breaks::Nothing => false,
        });
        prop_assert_eq!(carry_out(outputs, &mut seen).is_err(), needed);
        let left = seen.done.iter().any(|done| !matches!(done, Done::Stored(_)));
        prop_assert!(!(needed && left), "{:?}", seen.done);
    }
}
