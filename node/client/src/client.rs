//! REST calls, typed.

#[cfg(test)]
mod tests;
mod transport;

use neura_types::{
    Address, Amount, B256, Block, Bytes, Height, Params, codec,
    note::TaskNote,
    provider::{Provider, Requester},
    rest::{
        AccountInfo, BlobStored, BlockDetail, DelegationInfo, EpochInfo, FaucetGrant,
        FaucetRequest, MatchRequest, NoteTaken, Page, ProposalInfo, ProviderMatch, StakingAccount,
        Status, SubmitRequest, Submitted, TransactionInfo, ValidatorInfo, Validators,
    },
    task::{Requirement, Task, TaskId},
};
use reqwest::{Response, Url};

use crate::ClientError;
use transport::Transport;

/// Most bytes of an encoded block: the largest `max_block_bytes` of any chain, twice, for certificates and framing.
const MAX_BLOCK: usize = 32 << 20;

/// Speaks to one of several nodes of one chain. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client of the nodes at `urls`, such as `http://127.0.0.1:8545`; the first that answers is used.
    ///
    /// # Errors
    /// [`ClientError::Address`] if there is none or one is no HTTP address.
    pub fn new<S: AsRef<str>>(urls: impl IntoIterator<Item = S>) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(urls)? })
    }

    /// The node in use.
    pub fn url(&self) -> &Url {
        self.transport.url()
    }

    /// Where the node stands.
    ///
    /// # Errors
    /// As every call: see [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.transport.get("/v1/status").await
    }

    /// The chain's parameters.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn params(&self) -> Result<Params, ClientError> {
        self.transport.get("/v1/params").await
    }

    /// The validators of the present epoch.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn validators(&self) -> Result<Validators, ClientError> {
        self.transport.get("/v1/validators").await
    }

    /// Registered validators in order of registration, those that do not serve included; without the first `after`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn candidates(&self, after: u64) -> Result<Page<ValidatorInfo>, ClientError> {
        self.transport.get(&format!("/v1/candidates?limit=100&after={after}")).await
    }

    /// A registered validator by its account or its public key, in hexadecimal.
    ///
    /// # Errors
    /// `unknown_validator` if there is none.
    pub async fn validator(&self, name: &str) -> Result<ValidatorInfo, ClientError> {
        self.transport.get(&format!("/v1/validators/{name}")).await
    }

    /// What an account has at a validator; none if it has nothing there.
    ///
    /// # Errors
    /// `unknown_validator` if there is no such validator.
    pub async fn delegation(
        &self,
        operator: Address,
        delegator: Address,
    ) -> Result<Option<DelegationInfo>, ClientError> {
        let path = format!("/v1/validators/{operator}/delegations/{delegator}");
        optional(self.transport.get(&path).await, "unknown_delegation")
    }

    /// Everything that an account has at stake.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn staking(&self, address: Address) -> Result<StakingAccount, ClientError> {
        self.transport.get(&format!("/v1/accounts/{address}/staking")).await
    }

    /// An epoch by its number, `current` or `next`.
    ///
    /// # Errors
    /// `unknown_epoch` if the node does not know it. What the node says is checked in [`crate::proof::follow`].
    pub async fn epoch(&self, name: &str) -> Result<EpochInfo, ClientError> {
        self.transport.get(&format!("/v1/epochs/{name}")).await
    }

    /// Proposals, newest first, before a number.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn proposals(&self, before: Option<u64>) -> Result<Page<ProposalInfo>, ClientError> {
        let before = before.map(|id| format!("&before={id}")).unwrap_or_default();
        self.transport.get(&format!("/v1/governance/proposals?limit=100{before}")).await
    }

    /// A proposal.
    ///
    /// # Errors
    /// `unknown_proposal` if there is none.
    pub async fn proposal(&self, id: u64) -> Result<ProposalInfo, ClientError> {
        self.transport.get(&format!("/v1/governance/proposals/{id}")).await
    }

    /// A block by height, `0x` id or `latest`.
    ///
    /// # Errors
    /// `unknown_block` if there is none.
    pub async fn block(&self, name: &str) -> Result<BlockDetail, ClientError> {
        self.transport.get(&format!("/v1/blocks/{name}")).await
    }

    /// A block with its certificates, by height, `0x` id or `latest`.
    ///
    /// # Errors
    /// `unknown_block` if there is none.
    pub async fn raw_block(&self, name: &str) -> Result<Block, ClientError> {
        let path = format!("/v1/blocks/{name}/raw");
        let bytes = self.transport.bytes(&path, MAX_BLOCK).await?;
        codec::decode_limited(&bytes, MAX_BLOCK).map_err(|error| ClientError::Malformed {
            url: self.url().to_string(),
            cause: error.to_string(),
        })
    }

    /// A transaction, with its receipt once it has one.
    ///
    /// # Errors
    /// `unknown_transaction` if neither the chain nor the pool has it.
    pub async fn transaction(&self, hash: B256) -> Result<TransactionInfo, ClientError> {
        self.transport.get(&format!("/v1/transactions/{hash}")).await
    }

    /// Hands a signed transaction to the node, which keeps it until a block takes it; does not wait for that.
    ///
    /// # Errors
    /// Why the node refuses it.
    pub async fn submit(&self, raw: Bytes) -> Result<B256, ClientError> {
        let sent: Submitted =
            self.transport.post("/v1/transactions", &SubmitRequest { raw }).await?;
        Ok(sent.hash)
    }

    /// An account.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn account(&self, address: Address) -> Result<AccountInfo, ClientError> {
        self.transport.get(&format!("/v1/accounts/{address}")).await
    }

    /// An account with its proof.
    ///
    /// # Errors
    /// See [`ClientError`]; the proof is not checked here but in [`crate::proof`].
    pub async fn account_with_proof(&self, address: Address) -> Result<AccountInfo, ClientError> {
        self.transport.get(&format!("/v1/accounts/{address}?proof=true")).await
    }

    /// Providers, by address.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn providers(&self, after: Option<Address>) -> Result<Page<Provider>, ClientError> {
        let after = after.map(|address| format!("&after={address}")).unwrap_or_default();
        self.transport.get(&format!("/v1/providers?limit=100{after}")).await
    }

    /// A provider; none if it is not registered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn provider(&self, address: Address) -> Result<Option<Provider>, ClientError> {
        optional(self.transport.get(&format!("/v1/providers/{address}")).await, "unknown_provider")
    }

    /// A requester; none if it is not registered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn requester(&self, address: Address) -> Result<Option<Requester>, ClientError> {
        optional(
            self.transport.get(&format!("/v1/requesters/{address}")).await,
            "unknown_requester",
        )
    }

    /// Which providers could take a job, and why the others could not; those that fit first, then by price.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn match_providers(
        &self,
        requirement: Requirement,
        executor: Option<String>,
    ) -> Result<Vec<ProviderMatch>, ClientError> {
        self.transport.post("/v1/match", &MatchRequest { requirement, executor }).await
    }

    /// A task that must exist.
    ///
    /// # Errors
    /// `unknown_task` if there is none.
    pub async fn existing_task(&self, id: TaskId) -> Result<Task, ClientError> {
        self.transport.get(&format!("/v1/tasks/{id}")).await
    }

    /// A provider that must be registered.
    ///
    /// # Errors
    /// `unknown_provider` if it is not.
    pub async fn existing_provider(&self, address: Address) -> Result<Provider, ClientError> {
        self.transport.get(&format!("/v1/providers/{address}")).await
    }

    /// A task; none if there is no such number.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, ClientError> {
        optional(self.transport.get(&format!("/v1/tasks/{id}")).await, "unknown_task")
    }

    /// Tasks of a provider, newest first, before a number.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tasks_of_provider(
        &self,
        provider: Address,
        before: Option<TaskId>,
    ) -> Result<Page<Task>, ClientError> {
        let before = before.map(|id| format!("&before={id}")).unwrap_or_default();
        self.transport.get(&format!("/v1/tasks?limit=100&provider={provider}{before}")).await
    }

    /// Tasks, newest first; of one owner if given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tasks(&self, owner: Option<Address>) -> Result<Page<Task>, ClientError> {
        let owner = owner.map(|address| format!("&owner={address}")).unwrap_or_default();
        self.transport.get(&format!("/v1/tasks?limit=100{owner}")).await
    }

    /// Asks a devnet's faucet for coins; returns the transfer's hash.
    ///
    /// # Errors
    /// `no_faucet`, `rate_limited`.
    pub async fn faucet(
        &self,
        address: Address,
        amount: Option<Amount>,
    ) -> Result<FaucetGrant, ClientError> {
        self.transport.post("/v1/faucet", &FaucetRequest { address, amount }).await
    }

    /// Stores bytes in the node's off-chain store, and checks that it keeps them under their own hash.
    ///
    /// # Errors
    /// `blob_too_large`, `blob_quota`; [`ClientError::NotProven`] if the node names another hash.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<BlobStored, ClientError> {
        let hash = neura_types::hash::content_hash(&bytes);
        let stored: BlobStored = self.transport.upload("/v1/blobs", bytes).await?;
        if stored.hash == hash {
            Ok(stored)
        } else {
            Err(ClientError::NotProven(format!("it stored {} in place of {hash}", stored.hash)))
        }
    }

    /// Bytes from the node's off-chain store, checked against their hash.
    ///
    /// # Errors
    /// `unknown_blob`; [`ClientError::TooLarge`] past `limit`; [`ClientError::NotProven`] if the bytes are others.
    pub async fn blob(&self, hash: B256, limit: usize) -> Result<Vec<u8>, ClientError> {
        let path = format!("/v1/blobs/{hash}");
        let bytes = self.transport.bytes(&path, limit).await?;
        if neura_types::hash::content_hash(&bytes) == hash {
            Ok(bytes)
        } else {
            Err(ClientError::NotProven(format!("the bytes are not those of blob {hash}")))
        }
    }

    /// Height of the newest executed block.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn height(&self) -> Result<Height, ClientError> {
        Ok(self.status().await?.executed)
    }

    /// Says something to a task's owner: for the task's provider.
    ///
    /// # Errors
    /// `note_refused`.
    pub async fn post_note(&self, note: &TaskNote) -> Result<NoteTaken, ClientError> {
        self.transport.post(&format!("/v1/tasks/{}/notes", note.task), note).await
    }

    /// Opens a stream after the event named `last`.
    pub(crate) async fn open_stream(
        &self,
        path: &str,
        last: Option<&str>,
    ) -> Result<Response, ClientError> {
        self.transport.stream(path, last).await
    }
}

fn optional<T>(answer: Result<T, ClientError>, absent: &str) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Refused { code, .. }) if code == absent => Ok(None),
        Err(error) => Err(error),
    }
}
