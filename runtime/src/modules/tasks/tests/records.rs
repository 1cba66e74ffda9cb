//! The records' encodings are part of the state: they change only on purpose.

use alloy_primitives::{B256, b256, keccak256};
use neura_types::codec;

use crate::modules::testing::{ALICE, World};

fn settled() -> World {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    world.advance(2);
    world.checkpoint(1, id, 300).unwrap();
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
    world
}

#[test]
fn the_encodings_of_records_are_frozen() {
    let mut world = settled();
    let digest = |bytes: Vec<u8>| (bytes.len(), keccak256(bytes));
    let task = digest(codec::encode(&world.task(1)));
    let provider = digest(codec::encode(&world.provider(1)));
    let requester = crate::modules::requesters::get(&mut world, ALICE).unwrap().unwrap();
    let requester = digest(codec::encode(&requester));
    assert_eq!((task, provider, requester), (TASK, PROVIDER, REQUESTER));
}

const TASK: (usize, B256) =
    (531, b256!("4e4a559a551da98ea8d4fe4ec69efcac2522c6c6c19ccfe813a4e752a73edd89"));
const PROVIDER: (usize, B256) =
    (209, b256!("3598764ab42e97e2568897e43a09523085205a1aa19468db559324fb575526d2"));
const REQUESTER: (usize, B256) =
    (59, b256!("63c1d0575cc970f95637b6c54ca9fdbfefbba66548db8caa84adeb23c75c8fe8"));
