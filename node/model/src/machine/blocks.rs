//! Every block that can be proposed within a number of views.

/// Views explored at most: the blocks of four views fit into 128 bits.
pub const MAX_ROUNDS: usize = 4;

/// A block by its place in [`Blocks`]; genesis is 0.
pub type BlockIndex = u8;

/// Genesis, and for each view and each earlier block the variants that extend it: leaders may contradict themselves.
#[derive(Debug, Clone)]
pub struct Blocks {
    rounds: usize,
    variants: usize,
    views: Vec<u8>,
    parents: Vec<BlockIndex>,
    /// Bit sets of ancestors, each block among its own.
    ancestors: Vec<u128>,
    /// First block of each view; one more entry ends the last view.
    starts: Vec<usize>,
}

impl Blocks {
    /// The blocks of `rounds` views, at most [`MAX_ROUNDS`], with 1 or 2 variants per parent.
    pub fn new(rounds: usize, variants: usize) -> Self {
        assert!(rounds <= MAX_ROUNDS && (1..=2).contains(&variants), "a bound that fits");
        let mut blocks = Self {
            rounds,
            variants,
            views: vec![0],
            parents: vec![0],
            ancestors: vec![1],
            starts: vec![0],
        };
        for view in 1..=rounds {
            let below = blocks.views.len();
            blocks.starts.push(below);
            for parent in 0..below {
                for _ in 0..variants {
                    let own = 1u128 << blocks.views.len();
                    blocks.views.push(view as u8);
                    blocks.parents.push(parent as BlockIndex);
                    blocks.ancestors.push(own | blocks.ancestors[parent]);
                }
            }
        }
        blocks.starts.push(blocks.views.len());
        blocks
    }

    /// Views explored.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Blocks per parent and view.
    pub fn variants(&self) -> usize {
        self.variants
    }

    /// The view of a block.
    pub fn view(&self, block: BlockIndex) -> u8 {
        self.views[usize::from(block)]
    }

    /// The parent of a block.
    pub fn parent(&self, block: BlockIndex) -> BlockIndex {
        self.parents[usize::from(block)]
    }

    /// The blocks of a view.
    pub fn of_view(&self, view: usize) -> std::ops::Range<BlockIndex> {
        self.starts[view] as BlockIndex..self.starts[view + 1] as BlockIndex
    }

    /// The variant of a parent's extension in a view.
    pub fn extension(&self, view: usize, parent: BlockIndex, variant: usize) -> BlockIndex {
        (self.starts[view] + usize::from(parent) * self.variants + variant) as BlockIndex
    }

    /// Which of its parent's extensions in its view a block is.
    pub fn variant(&self, block: BlockIndex) -> usize {
        (usize::from(block) - self.starts[usize::from(self.view(block))]) % self.variants
    }

    /// Place of a block within its view, from 1; 0 stays 0, which stands for none.
    pub fn place(&self, view: usize, block: BlockIndex) -> u128 {
        if block == 0 { 0 } else { u128::from(block) - self.starts[view] as u128 + 1 }
    }

    /// The block at a place of [`Self::place`].
    pub fn at_place(&self, view: usize, place: u128) -> BlockIndex {
        if place == 0 { 0 } else { (self.starts[view] as u128 + place - 1) as BlockIndex }
    }

    /// Bits that a place in a view takes.
    pub fn place_bits(&self, view: usize) -> u32 {
        let places = self.of_view(view).len() as u32 + 1;
        places.next_power_of_two().trailing_zeros()
    }

    /// Whether one of two blocks descends from the other.
    pub fn agree(&self, a: BlockIndex, b: BlockIndex) -> bool {
        let is_ancestor = |low: BlockIndex, high: BlockIndex| {
            self.ancestors[usize::from(high)] & (1u128 << low) != 0
        };
        is_ancestor(a, b) || is_ancestor(b, a)
    }
}
