//! Check what a node says, down to what the validators signed.
//!
//! Whoever trusts the validators of one epoch can check those of the next: the last block of an epoch names the
//! configuration of the next one, and is proven final by the set of its own. [`follow`] goes along that chain.
//!
//! The proof of an account leads from the account to a state root, the root stands in a block's header, and that
//! block's child carries a quorum's certificate for it. A validator votes for a header only if its own execution gave
//! the same root, so the caller trusts the validators and nothing else.

#[cfg(test)]
mod tests;

use std::time::Duration;

use neura_types::{
    Account, Address, Anchor, B256, Block, BlockId, CommitProof, Epoch, EpochConfig, Genesis,
    Header, codec,
    epoch::{self, End},
    hash::{Domain, hash_value},
    rest::{AccountInfo, EpochEnd},
    state::{StateKey, proof::verify_proof},
    vote::ChainContext,
};

use crate::{Client, ClientError};

/// How often the certificate is looked for: the block that carries it may be on its way.
const MAX_LOOKS: u32 = 100;
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Most bytes of a header, and of a proof with two certificates of the largest set.
const MAX_PROOF: usize = 1 << 20;

/// What is trusted before the first answer, and what follows from it: it moves from epoch to epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The chain.
    pub chain: ChainContext,
    /// Where the epoch starts: genesis for the first, the last block of the one before for any other.
    pub anchor: Anchor,
    /// The epoch, with its validators.
    pub config: EpochConfig,
}

impl Trusted {
    /// Trust in a genesis file and the block that follows from it.
    ///
    /// # Errors
    /// [`ClientError::NotProven`] if its validators form no set.
    pub fn genesis(genesis: &Genesis, id: BlockId) -> Result<Self, ClientError> {
        Ok(Self {
            chain: ChainContext { chain_id: genesis.chain_id, genesis: genesis.hash() },
            anchor: Anchor::genesis(id),
            config: EpochConfig::genesis(genesis, 0).map_err(not_proven)?,
        })
    }

    /// Goes on to the next epoch, if the end of the present one proves it.
    fn advance(&mut self, end: &EpochEnd, next: EpochConfig) -> Result<(), ClientError> {
        let header: Header = codec::decode_limited(&end.header, MAX_PROOF).map_err(not_proven)?;
        let proof: CommitProof =
            codec::decode_limited(&end.proof, MAX_PROOF).map_err(not_proven)?;
        let id = hash_value(Domain::Block, &(&header, end.justify, end.timeout));
        if id != end.id {
            let epoch = self.config.epoch;
            return Err(not_proven(format!(
                "the end of epoch {epoch} is not the block {}",
                end.id
            )));
        }
        let end = End { id, header: &header, proof: &proof };
        self.anchor = epoch::follow(&self.chain, (&self.config, self.anchor), end, &next)
            .map_err(not_proven)?;
        self.config = next;
        Ok(())
    }
}

/// Goes along the chain of epochs up to `to`, checking each step; leaves what is trusted at the last that was proven.
///
/// # Errors
/// [`ClientError::NotProven`] if a step does not follow or the node holds no proof of it; `unknown_epoch` if the node
/// does not know an epoch.
pub async fn follow(client: &Client, trusted: &mut Trusted, to: Epoch) -> Result<(), ClientError> {
    let mut present = None;
    while trusted.config.epoch < to {
        let epoch = trusted.config.epoch;
        let info = match present.take() {
            Some(info) => info,
            None => client.epoch(&epoch.to_string()).await?,
        };
        let end = info.end.ok_or_else(|| {
            not_proven(format!("the node shows no proof of how epoch {epoch} ended"))
        })?;
        let next = client.epoch(&epoch.saturating_add(1).to_string()).await?;
        trusted.advance(&end, next.config.clone())?;
        present = Some(next);
    }
    Ok(())
}

/// Fetches an account and its proof from the node, and checks them; none if the account is proven absent. Follows the
/// chain of epochs to the one of the proof.
///
/// # Errors
/// [`ClientError::NotProven`] if anything does not follow from a certificate of a trusted set.
pub async fn account(
    client: &Client,
    trusted: &mut Trusted,
    address: Address,
) -> Result<Option<Account>, ClientError> {
    let info: AccountInfo = client.account_with_proof(address).await?;
    let proof = info.proof.ok_or_else(|| not_proven("the node sent no proof"))?;
    let value = proof.account.as_ref().map(|bytes| &bytes[..]);
    verify_proof(proof.state_root, &StateKey::Account(address), value, &proof.proof)
        .map_err(not_proven)?;
    let block = client.raw_block(&proof.certified_by.to_string()).await?;
    names_root(&block, proof.certified_by, proof.state_root)?;
    let child = child_of(client, &block).await?;
    follow(client, trusted, child.justify.epoch).await?;
    certifies(trusted, &child, proof.certified_by)?;
    value.map(codec::decode::<Account>).transpose().map_err(not_proven)
}

/// Checks that the block `id` names a state root in its header.
fn names_root(block: &Block, id: BlockId, root: B256) -> Result<(), ClientError> {
    if block.id() != id {
        return Err(not_proven(format!("the node sent another block than {id}")));
    }
    if block.header.executed.state_root != root {
        return Err(not_proven(format!("block {id} names another state root")));
    }
    Ok(())
}

/// The block above another, once there is one.
async fn child_of(client: &Client, block: &Block) -> Result<Block, ClientError> {
    let height = block.header.height.saturating_add(1);
    for _ in 0..MAX_LOOKS {
        match client.raw_block(&height.to_string()).await {
            Err(error) if error.code() == "unknown_block" => {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            answer => return answer,
        }
    }
    Err(not_proven(format!("no block {height} with a certificate for the one before was found")))
}

/// Checks that a block carries the trusted set's certificate for the block `id`.
fn certifies(trusted: &Trusted, child: &Block, id: BlockId) -> Result<(), ClientError> {
    if child.justify.block != id {
        let height = child.header.height;
        return Err(not_proven(format!("block {height} carries no certificate for {id}")));
    }
    child.justify.verify(&trusted.config.set, &trusted.chain, trusted.anchor).map_err(not_proven)
}

fn not_proven(reason: impl ToString) -> ClientError {
    ClientError::NotProven(reason.to_string())
}
