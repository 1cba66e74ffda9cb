//! What the schedules found in the core, one story each.

use std::sync::Arc;

use neura_consensus_bugs::{FetchRequest, Input, MAX_RANGE_BLOCKS, Output, Peer};
use neura_model::real::{Node, Realm};
use neura_types::{
    B256, Block, QuorumCertificate,
    keys::Signature,
    vote::{ConsensusMessage, Signed, Statement},
};

/// The replica looked at; it leads none of the first views.
const ME: u16 = 0;

fn deliver(node: &mut Node, from: u16, message: ConsensusMessage) -> Vec<Output> {
    node.step(Input::Message { from: Peer::Validator(from), message })
}

fn certify(realm: &Realm, block: &Block) -> QuorumCertificate {
    let vote = realm.vote_for(block, block.id());
    let votes: Vec<Signed> = (1..4).map(|author| realm.signed(author, vote)).collect();
    realm.qc(&votes).expect("three votes")
}

fn first_block(realm: &Realm, tag: u8) -> Block {
    let view = realm.anchor().view + 1;
    realm.child(&realm.anchor_block, view, (realm.anchor_qc(), None), tag)
}

/// Two proposals were kept per view, whoever made them: a validator that did not lead took both places, and the
/// leader's proposal was ignored.
#[test]
fn who_does_not_lead_cannot_silence_the_leader() {
    let realm = Realm::new(100);
    let mut node = Node::start(&realm, ME).0;
    let block = first_block(&realm, 1);
    let usurper = (1..4).find(|index| *index != block.header.proposer).expect("two do not lead");
    for tag in [2, 3] {
        let mut other = first_block(&realm, tag);
        other.header.proposer = usurper;
        let outputs = deliver(&mut node, usurper, realm.proposal(&Arc::new(other)));
        assert!(outputs.iter().any(|output| matches!(output, Output::PeerFault { .. })));
    }
    let outputs = deliver(&mut node, block.header.proposer, realm.proposal(&Arc::new(block)));
    assert!(outputs.iter().any(|output| matches!(output, Output::Validate { .. })));
}

/// A copy of a vote with a bad signature, sent by its author, kept the good one out, and with it the evidence.
#[test]
fn a_badly_signed_copy_does_not_shield_a_double_vote() {
    let realm = Realm::new(100);
    let mut node = Node::start(&realm, ME).0;
    let view = realm.anchor().view + 1;
    let vote = |byte| Statement::Vote {
        view,
        block: B256::repeat_byte(byte),
        parent_view: realm.anchor().view,
    };
    let first = realm.signed(3, vote(1));
    let bad = Signed { signature: Signature([7; 64]), ..first };
    for signed in [bad, first] {
        deliver(&mut node, 3, ConsensusMessage::Vote(signed));
    }
    let outputs = deliver(&mut node, 3, ConsensusMessage::Vote(realm.signed(3, vote(2))));
    assert!(outputs.iter().any(|output| matches!(output, Output::Evidence(_))));
}

/// Who brought the missing parent was accused of the invalid block that had waited for it.
#[test]
fn who_brings_a_parent_is_not_accused_of_its_children() {
    let realm = Realm::new(100);
    let mut node = Node::start(&realm, ME).0;
    let parent = first_block(&realm, 1);
    let view = parent.header.view + 1;
    let mut child = realm.child(&parent, view, (certify(&realm, &parent), None), 1);
    child.header.timestamp_ms = parent.header.timestamp_ms;
    deliver(&mut node, child.header.proposer, realm.proposal(&Arc::new(child)));
    assert_eq!(node.status().orphan_blocks, 1);
    let outputs = deliver(&mut node, parent.header.proposer, realm.proposal(&Arc::new(parent)));
    assert_eq!(node.status().orphan_blocks, 0);
    assert!(!outputs.iter().any(|output| matches!(output, Output::PeerFault { .. })));
}

/// A replica that lacked more blocks than one answer holds asked for final ranges for ever, though none of the blocks
/// was final: at an epoch's end, one validator that withholds commit votes lets the gap grow as long as it likes.
#[test]
fn a_long_gap_without_final_blocks_is_closed() {
    let realm = Realm::new(1_000);
    let mut node = Node::start(&realm, ME).0;
    let length = MAX_RANGE_BLOCKS * 3;
    let mut chain = vec![Arc::new(first_block(&realm, 1))];
    while chain.len() < length {
        let parent = &chain[chain.len() - 1];
        let justify = (certify(&realm, parent), None);
        chain.push(Arc::new(realm.child(parent, parent.header.view + 1, justify, 1)));
    }
    let head = certify(&realm, &chain[length - 1]);
    let mut outputs = deliver(&mut node, 1, ConsensusMessage::Quorum(Box::new(head)));
    for _ in 0..length {
        let request = outputs.iter().find_map(|output| match output {
            Output::Fetch(request) => Some(request.clone()),
            _ => None,
        });
        let Some(request) = request else { break };
        let from = Peer::Validator(1);
        outputs = node.step(match request {
            FetchRequest::Committed { .. } => {
                Input::Committed { from, blocks: Vec::new(), proof: None }
            }
            FetchRequest::Ancestors { of, .. } => {
                let last = chain.iter().position(|block| block.id() == of).expect("a block of it");
                let first = (last + 1).saturating_sub(MAX_RANGE_BLOCKS);
                Input::Ancestors { from, of, blocks: chain[first..=last].to_vec() }
            }
        });
    }
    // The head's certificate makes its parent final.
    let height = chain[length - 2].header.height;
    assert_eq!((node.status().committed_height, node.status().orphan_blocks), (height, 0));
}
