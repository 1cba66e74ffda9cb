//! Keep the numbers of a party's tasks as an ordered set, from which one can be taken when another party takes it over.
//!
//! A set is a tree of storage words: bit `b` of the word at level 0 and position `p` stands for the task `256 p + b`, and
//! bit `b` of a word further up for the word `256 p + b` below it, which is not zero. Adding a task touches the words above
//! its own only when its own was empty; the next lower number is found in at most two words for each level.

use alloy_primitives::{Address, U256};
use neura_types::{system, task::TaskId};

use crate::modules::{
    entry,
    host::{Fault, Host},
    store::Words,
};

/// Levels of a tree: 2^40 tasks, which is one each millisecond for thirty years.
const LEVELS: u8 = 5;
/// Bits of a task's number that one level resolves.
const LEVEL_BITS: u32 = 8;
/// First number that no tree holds.
const END: TaskId = 1 << 40;

/// The numbers of each party's tasks.
#[derive(Debug)]
pub(super) struct TaskSet {
    /// Words by party, level, and position in it.
    words: Words<(Address, u8, u64), U256>,
}

impl TaskSet {
    /// The sets of a table of the module.
    pub(super) const fn new(table: u8) -> Self {
        Self { words: Words::new(system::TASKS, table) }
    }

    /// Adds a task.
    pub(super) fn insert(
        &self,
        host: &mut dyn Host,
        party: Address,
        id: TaskId,
    ) -> Result<(), Fault> {
        if id >= END {
            return Err(entry::broken(&format!("there are more than {END} tasks")));
        }
        let mut child = id;
        for level in 0..LEVELS {
            let (position, bit) = split(child);
            let key = (party, level, position);
            let word = self.words.get(host, &key)?;
            self.words.set(host, &key, word | mask(bit))?;
            if !word.is_zero() {
                break;
            }
            child = position;
        }
        Ok(())
    }

    /// Takes a task out.
    pub(super) fn remove(
        &self,
        host: &mut dyn Host,
        party: Address,
        id: TaskId,
    ) -> Result<(), Fault> {
        let mut child = id;
        for level in 0..LEVELS {
            let (position, bit) = split(child);
            let key = (party, level, position);
            let word = self.words.get(host, &key)? & !mask(bit);
            self.words.set(host, &key, word)?;
            if !word.is_zero() {
                break;
            }
            child = position;
        }
        Ok(())
    }

    /// The highest number below `before`.
    pub(super) fn below(
        &self,
        host: &mut dyn Host,
        party: Address,
        before: TaskId,
    ) -> Result<Option<TaskId>, Fault> {
        let Some(mut child) = before.min(END).checked_sub(1) else { return Ok(None) };
        // The number itself counts; further up, what is under the path's own bit was looked at.
        let mut own = mask(split(child).1);
        for level in 0..LEVELS {
            let (position, bit) = split(child);
            let left = mask(bit).wrapping_sub(U256::ONE) | std::mem::take(&mut own);
            let word = self.words.get(host, &(party, level, position))? & left;
            if let Some(bit) = highest(word) {
                return self.descend(host, party, (level, join(position, bit))).map(Some);
            }
            child = position;
        }
        Ok(None)
    }

    /// The highest number under a child of a word at `level`.
    fn descend(
        &self,
        host: &mut dyn Host,
        party: Address,
        (level, mut child): (u8, u64),
    ) -> Result<TaskId, Fault> {
        for level in (0..level).rev() {
            let word = self.words.get(host, &(party, level, child))?;
            let bit = highest(word).ok_or_else(|| entry::broken("an empty word of a task set"))?;
            child = join(child, bit);
        }
        Ok(child)
    }
}

/// The position of a child's word, and its bit there.
const fn split(child: u64) -> (u64, u8) {
    let [.., bit] = child.to_be_bytes();
    (child >> LEVEL_BITS, bit)
}

fn join(position: u64, bit: u8) -> u64 {
    position << LEVEL_BITS | u64::from(bit)
}

fn mask(bit: u8) -> U256 {
    U256::ONE.wrapping_shl(bit.into())
}

/// The highest bit that is set.
fn highest(word: U256) -> Option<u8> {
    u8::try_from(word.bit_len().checked_sub(1)?).ok()
}
