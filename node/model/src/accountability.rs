//! Whoever forks the chain is convicted: no two final blocks that exclude each other can be proved without two
//! statements, of each of f + 1 keys, that [`Signed::conflicts_with`] tells apart.
//!
//! Every pair of chains within a number of views is built, and every choice of the four keys for each certificate in
//! them, whether the keys are honest or not. Only the certificates count as evidence that a node which holds both
//! chains has: those of the blocks, of the views skipped, and the commit votes.

use neura_types::{
    B256,
    keys::Signature,
    vote::{Signed, Statement},
};

/// Keys.
const KEYS: usize = 4;
/// Keys that must be convicted: one more than may be Byzantine.
const WANTED: u32 = 2;

/// What counts as evidence, to check the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accusations {
    /// All pairs that exclude each other.
    All,
    /// Only different statements of one kind and view.
    SameSlot,
}

/// What the enumeration found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// Pairs of chains whose ends exclude each other.
    pub forks: u64,
    /// Choices of signers looked at; those that convict enough keys already are not refined.
    pub choices: u64,
    /// Forks that convict fewer than two keys.
    pub unpunished: u64,
}

/// A chain from genesis by its blocks' views; those before `shared` are the same in both chains.
#[derive(Debug, Clone)]
struct Chain {
    fork: u8,
    views: Vec<u8>,
    shared: usize,
    /// The last block is proved by a certified child instead of commit votes.
    two_chain: bool,
}

/// One certificate: its statement, or for timeouts the view and the highest report allowed.
#[derive(Debug, Clone, Copy)]
enum Certificate {
    Same(Statement),
    Timeouts { view: u64, at_most: u64 },
}

/// Judges every fork within `rounds` views, with certificates of `quorum` keys.
pub fn judge(rounds: u8, quorum: u32, accusations: Accusations) -> Judged {
    let mut judged = Judged::default();
    for first in chains(rounds) {
        for second in chains(rounds) {
            let common = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
            // Chains may part anywhere, but their last blocks must not lie on the other chain.
            for shared in 0..=common.min(first.len() - 1).min(second.len() - 1) {
                for kind in 0..4u8 {
                    let chain = |fork: u8, views: &Vec<u8>| Chain {
                        fork,
                        views: views.clone(),
                        shared,
                        two_chain: kind & fork != 0,
                    };
                    let (first, second) = (chain(1, &first), chain(2, &second));
                    let certificates: Vec<Certificate> =
                        [&first, &second].into_iter().flat_map(certificates).collect();
                    judged.forks += 1;
                    let mut judge = Judge { quorum, accusations, judged: &mut judged };
                    judge.choose(&certificates, &mut Vec::new(), [false; KEYS]);
                }
            }
        }
    }
    judged
}

/// Every ascending list of views.
fn chains(rounds: u8) -> Vec<Vec<u8>> {
    let views =
        |bits: u32| (1..=rounds).filter(move |view| bits & (1 << (view - 1)) != 0).collect();
    (1..1u32 << rounds).map(views).collect()
}

/// The certificates in a chain, from where it parts on.
fn certificates(chain: &Chain) -> Vec<Certificate> {
    let id = |view: u8| {
        B256::from([[chain.fork; 16], [view; 16]].concat().try_into().unwrap_or([0; 32]))
    };
    let mut certificates = Vec::new();
    let mut parent = 0u8;
    for (index, view) in chain.views.iter().enumerate() {
        if index >= chain.shared {
            if parent + 1 != *view {
                let (view, at_most) = (u64::from(view - 1), u64::from(parent));
                certificates.push(Certificate::Timeouts { view, at_most });
            }
            certificates.push(Certificate::Same(Statement::Vote {
                view: u64::from(*view),
                block: id(*view),
                parent_view: u64::from(parent),
            }));
        }
        parent = *view;
    }
    certificates.push(Certificate::Same(if chain.two_chain {
        let view = u64::from(parent + 1);
        Statement::Vote { view, block: id(parent + 1), parent_view: u64::from(parent) }
    } else {
        Statement::Commit { view: u64::from(parent), block: id(parent) }
    }));
    certificates
}

/// The choices for one fork.
struct Judge<'a> {
    quorum: u32,
    accusations: Accusations,
    judged: &'a mut Judged,
}

impl Judge<'_> {
    /// Chooses the signers of the next certificate in every way, unless enough keys are guilty already.
    fn choose(&mut self, left: &[Certificate], said: &mut Vec<Signed>, guilty: [bool; KEYS]) {
        self.judged.choices += 1;
        if guilty.iter().filter(|guilty| **guilty).count() as u32 >= WANTED {
            return;
        }
        let Some((certificate, left)) = left.split_last() else {
            self.judged.unpunished += 1;
            return;
        };
        let quorum = self.quorum;
        for signers in (0..1u8 << KEYS).filter(|signers| signers.count_ones() == quorum) {
            self.sign((*certificate, signers), left, said, guilty);
        }
    }

    fn sign(
        &mut self,
        (certificate, signers): (Certificate, u8),
        left: &[Certificate],
        said: &mut Vec<Signed>,
        guilty: [bool; KEYS],
    ) {
        let options = match certificate {
            Certificate::Same(statement) => vec![vec![statement; KEYS]],
            Certificate::Timeouts { view, at_most } => reports(view, at_most, signers),
        };
        for statements in options {
            let known = said.len();
            let mut guilty = guilty;
            for (author, statement) in (0u16..).zip(statements) {
                if signers & (1 << author) != 0 {
                    let signed =
                        Signed { epoch: 0, author, statement, signature: Signature([0; 64]) };
                    guilty[usize::from(author)] |=
                        said[..known].iter().any(|earlier| self.accuses(earlier, &signed));
                    said.push(signed);
                }
            }
            self.choose(left, said, guilty);
            said.truncate(known);
        }
    }

    fn accuses(&self, first: &Signed, second: &Signed) -> bool {
        let timeout = |signed: &Signed| matches!(signed.statement, Statement::Timeout { .. });
        let counts = self.accusations == Accusations::All || !timeout(first) && !timeout(second);
        counts && first.conflicts_with(second)
    }
}

/// All reports of the signers up to the highest allowed; the others' stay at 0.
fn reports(view: u64, at_most: u64, signers: u8) -> Vec<Vec<Statement>> {
    let mut options = vec![Vec::new()];
    for key in 0..KEYS {
        let highest = if signers & (1 << key) != 0 { at_most } else { 0 };
        options = options
            .into_iter()
            .flat_map(|option: Vec<Statement>| {
                (0..=highest).map(move |high_qc_view| {
                    let mut option = option.clone();
                    option.push(Statement::Timeout { view, high_qc_view });
                    option
                })
            })
            .collect();
    }
    options
}
