//! Check what a node says about an account, down to what the validators signed.
//!
//! The proof leads from the account to a state root, the root stands in a block's header, and that block's child
//! carries a quorum's certificate for it. A validator votes for a header only if its own execution gave the same root,
//! so the caller trusts the validator set and nothing else.

#[cfg(test)]
mod tests;

use std::time::Duration;

use neura_types::{
    Account, Address, B256, Block, BlockId, ValidatorSet, codec,
    rest::AccountInfo,
    state::{StateKey, proof::verify_proof},
    vote::ChainContext,
};

use crate::{Client, ClientError};

/// How often the certificate is looked for: the block that carries it may be on its way.
const MAX_LOOKS: u32 = 100;
/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// What is trusted before the first answer.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The chain.
    pub chain: ChainContext,
    /// Id of its genesis block.
    pub genesis_id: BlockId,
    /// Its validators.
    pub set: ValidatorSet,
}

/// Fetches an account and its proof from the node, and checks them; none if the account is proven absent.
///
/// # Errors
/// [`ClientError::NotProven`] if anything does not follow from a certificate of the trusted set.
pub async fn account(
    client: &Client,
    trusted: &Trusted,
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
    child.justify.verify(&trusted.set, &trusted.chain, trusted.genesis_id).map_err(not_proven)
}

fn not_proven(reason: impl ToString) -> ClientError {
    ClientError::NotProven(reason.to_string())
}
