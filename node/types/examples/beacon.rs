//! Measures what the beacon costs: one proof for each block that is proposed, one check for each that is voted for.
//!
//! `cargo run --workspace --example beacon`
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::time::Instant;

use neura_types::{
    B256, Beacon, Block, ExecutedRoot, Header, beacon::Place, keys::SecretKey, vote::ChainContext,
};

/// Links made and checked.
const LINKS: u32 = 2_000;

fn main() {
    let key = SecretKey::from_seed(&[1; 32]);
    let public = key.public_key();
    let chain = ChainContext { chain_id: 1, genesis: B256::repeat_byte(1) };
    let genesis = Block::genesis(chain.genesis, 0, ExecutedRoot::default()).header;
    let parents: Vec<Header> =
        (0..u64::from(LINKS)).map(|height| Header { height, ..genesis.clone() }).collect();
    let on = |parent| Place { chain: &chain, epoch: 0, parent };

    let started = Instant::now();
    let links: Vec<Beacon> =
        parents.iter().filter_map(|parent| Beacon::next(on(parent), &key)).collect();
    let proving = started.elapsed() / LINKS;

    let started = Instant::now();
    let links = parents.iter().zip(&links);
    let good = links.filter(|(parent, link)| link.follows(on(parent), &public)).count();
    let checking = started.elapsed() / LINKS;

    let started = Instant::now();
    let signature = key.sign(b"a vote");
    let signatures = (0..LINKS).filter(|_| public.verify(b"a vote", &signature).is_ok()).count();
    let beside = started.elapsed() / LINKS;
    println!(
        "{good} of {LINKS} links hold: {proving:?} to prove, {checking:?} to check; \
         a signature takes {beside:?} to check ({signatures})"
    );
}
