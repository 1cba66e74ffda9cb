//! Tell what happens in a run, a line per input and output, for a reader who looks for the cause of a violation.

use neura_consensus::{FetchRequest, Input, Output};
use neura_types::{
    BlockId,
    vote::{ConsensusMessage, Statement},
};

/// An input in a few words.
pub(crate) fn input(input: &Input) -> String {
    match input {
        Input::Message { from, message } => format!("{} from {from:?}", self::message(message)),
        Input::Timer => "timer".to_owned(),
        Input::Connected { peer } => format!("connected to {peer}"),
        Input::Payload { view, .. } => format!("body for view {view}"),
        Input::Validated { block, verdict } => format!("checked {} {verdict:?}", short(block)),
        Input::Ancestors { from, of, blocks } => {
            format!("{} ancestors of {} from {from:?}", blocks.len(), short(of))
        }
        Input::Committed { from, blocks, proof } => {
            let view = proof.as_ref().map(neura_types::CommitProof::view);
            format!("{} final blocks from {from:?}, proof of view {view:?}", blocks.len())
        }
        Input::FetchFailed { request } => format!("failed: {}", fetch(request)),
    }
}

/// An output in a few words.
pub(crate) fn output(output: &Output) -> String {
    match output {
        Output::StoreBlock { id, .. } => format!("store {}", short(id)),
        Output::Persist(record) => format!(
            "persist v{} c{} t{} p{} qc{}",
            record.voted, record.committed, record.timed_out, record.proposed, record.high_qc.view
        ),
        Output::Send { to, message } => format!("to {to}: {}", self::message(message)),
        Output::Broadcast(message) => format!("to all: {}", self::message(message)),
        Output::SetTimer { at_ms } => format!("timer at {at_ms}"),
        Output::BuildPayload { view, height, .. } => format!("build view {view} height {height}"),
        Output::Validate { id, block, .. } => {
            format!("check {} of view {}", short(id), block.header.view)
        }
        Output::Fetch(request) => fetch(request),
        Output::Commit(block) => {
            format!("commit {} height {}", short(&block.id), block.block.header.height)
        }
        Output::Evidence(evidence) => format!("evidence {evidence:?}"),
        Output::PeerFault { peer, reason } => format!("fault of {peer:?}: {reason}"),
    }
}

fn message(message: &ConsensusMessage) -> String {
    match message {
        ConsensusMessage::Proposal(proposal) => {
            let (block, header) = (proposal.block.id(), &proposal.block.header);
            let justify = proposal.block.justify.view;
            let (view, height) = (header.view, header.height);
            format!("proposal {} view {view} height {height} on {justify}", short(&block))
        }
        ConsensusMessage::Vote(signed) => statement(&signed.statement),
        ConsensusMessage::Timeout(signed, _) => statement(&signed.statement),
        ConsensusMessage::Quorum(qc) => format!("QC({}) of {}", qc.view, short(&qc.block)),
        ConsensusMessage::ViewChange(tc) => format!("TC({}) with QC({})", tc.view, tc.high_qc.view),
        ConsensusMessage::Committed(proof) => {
            format!("proof of {} view {}", short(&proof.block()), proof.view())
        }
    }
}

fn statement(statement: &Statement) -> String {
    match statement {
        Statement::Propose { view, block } => format!("propose {view} {}", short(block)),
        Statement::Vote { view, block, .. } => format!("vote {view} {}", short(block)),
        Statement::Commit { view, block } => format!("commit vote {view} {}", short(block)),
        Statement::Timeout { view, high_qc_view } => format!("timeout {view} QC({high_qc_view})"),
    }
}

fn fetch(request: &FetchRequest) -> String {
    match request {
        FetchRequest::Ancestors { of, down_to, ask } => {
            format!("fetch {} down to {down_to} from {ask:?}", short(of))
        }
        FetchRequest::Committed { from, ask } => format!("fetch final from {from}, {ask:?}"),
    }
}

fn short(id: &BlockId) -> String {
    id.to_string().get(2..8).unwrap_or_default().to_owned()
}
