//! What all honest keys have signed, and its shortest name up to symmetry.

use super::blocks::{BlockIndex, Blocks, MAX_ROUNDS};

/// Lives of honest keys: four keys, or three and one that lost its record and went on.
pub const MAX_LIVES: usize = 4;

/// What one honest key signed in one life. Everything durable follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Life {
    /// Block voted for by view, from 1; 0 is none.
    pub votes: [BlockIndex; MAX_ROUNDS],
    /// Block of the commit vote by view; 0 is none.
    pub commits: [BlockIndex; MAX_ROUNDS],
    /// Timeout by view: the reported view plus one; 0 is none.
    pub timeouts: [u8; MAX_ROUNDS],
    /// The record was lost: nothing is signed any more in this life.
    pub lost: bool,
}

/// The statements of all honest keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// By life.
    pub lives: [Life; MAX_LIVES],
}

/// How states are named: which lives there are and which of them may change places.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    lives: usize,
    orders: Vec<[usize; MAX_LIVES]>,
    with_loss: bool,
}

impl Naming {
    /// `lives` of which those from `fixed` up to `movable` may change places.
    pub(super) fn new(lives: usize, movable: std::ops::Range<usize>, with_loss: bool) -> Self {
        let mut orders = Vec::new();
        let mut order: [usize; MAX_LIVES] = std::array::from_fn(|i| i);
        permute(&mut order, movable.start, movable.end, &mut orders);
        Self { lives, orders, with_loss }
    }

    /// The least encoding among all exchanges of keys and of variants.
    pub(super) fn canonical(&self, blocks: &Blocks, state: &State) -> u128 {
        let encode = |order: &[usize; MAX_LIVES]| self.encode(blocks, state, order);
        self.orders.iter().map(encode).min().unwrap_or_default()
    }

    fn encode(&self, blocks: &Blocks, state: &State, order: &[usize; MAX_LIVES]) -> u128 {
        let names = rename(blocks, state, &order[..self.lives]);
        let mut code = 0u128;
        for life in order[..self.lives].iter().map(|index| &state.lives[*index]) {
            for view in 1..=blocks.rounds() {
                let bits = blocks.place_bits(view);
                let place = |block: BlockIndex| blocks.place(view, names[usize::from(block)]);
                code = code << bits | place(life.votes[view - 1]);
                code = code << bits | place(life.commits[view - 1]);
                code = code << timeout_bits(view) | u128::from(life.timeouts[view - 1]);
            }
            if self.with_loss {
                code = code << 1 | u128::from(life.lost);
            }
        }
        code
    }

    /// The state of an encoding.
    pub(super) fn decode(&self, blocks: &Blocks, mut code: u128) -> State {
        let mut take = |bits: u32| {
            let value = code & ((1 << bits) - 1);
            code >>= bits;
            value
        };
        let mut state = State::default();
        for life in state.lives[..self.lives].iter_mut().rev() {
            if self.with_loss {
                life.lost = take(1) == 1;
            }
            for view in (1..=blocks.rounds()).rev() {
                let bits = blocks.place_bits(view);
                life.timeouts[view - 1] = take(timeout_bits(view)) as u8;
                life.commits[view - 1] = blocks.at_place(view, take(bits));
                life.votes[view - 1] = blocks.at_place(view, take(bits));
            }
        }
        state
    }

    /// Bits of an encoding.
    pub(super) fn bits(&self, blocks: &Blocks) -> u32 {
        let view = |view: usize| 2 * blocks.place_bits(view) + timeout_bits(view);
        let life = (1..=blocks.rounds()).map(view).sum::<u32>() + u32::from(self.with_loss);
        life * self.lives as u32
    }
}

/// A timeout of view v reports 0 to v - 1, or there is none.
fn timeout_bits(view: usize) -> u32 {
    (view as u32 + 1).next_power_of_two().trailing_zeros()
}

/// New names of the blocks voted for: variants in the order in which they appear.
fn rename(blocks: &Blocks, state: &State, order: &[usize]) -> [BlockIndex; 128] {
    let mut names = [0; 128];
    let mut taken = [0u8; 128];
    for view in 1..=blocks.rounds() {
        taken.fill(0);
        for life in order {
            let block = state.lives[*life].votes[view - 1];
            if block != 0 && names[usize::from(block)] == 0 {
                let parent = names[usize::from(blocks.parent(block))];
                let variant = usize::from(taken[usize::from(parent)]);
                taken[usize::from(parent)] += 1;
                names[usize::from(block)] = blocks.extension(view, parent, variant);
            }
        }
    }
    names
}

fn permute(
    order: &mut [usize; MAX_LIVES],
    from: usize,
    end: usize,
    orders: &mut Vec<[usize; MAX_LIVES]>,
) {
    if from >= end {
        return orders.push(*order);
    }
    for other in from..end {
        order.swap(from, other);
        permute(order, from + 1, end, orders);
        order.swap(from, other);
    }
}
