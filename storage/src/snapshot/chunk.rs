//! Chunks: make one, and check one against the state root alone.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY};
use neura_types::{
    Account, codec,
    hash::keccak,
    state::proof::{inner_hash, path_of, value_hash},
};
use serde::{Deserialize, Serialize};

use super::Span;
use crate::tree::{PathChange, leaves_hash};

/// Longest encoded chunk, in bytes: what a node takes into memory, and what fits one answer on the network.
pub const MAX_CHUNK_BYTES: usize = 1 << 20;

/// First byte of a flat key of an account.
const ACCOUNT_TAG: u8 = 0;
/// First byte of a flat key of a storage word.
const WORD_TAG: u8 = 1;

/// A part of the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// The paths that it covers.
    pub(super) span: Span,
    /// Hashes of the subtrees beside the way to the span, from the root down: one per bit.
    pub(super) siblings: Vec<B256>,
    /// Flat keys and values, in order of their paths.
    pub(super) entries: Vec<(Bytes, Bytes)>,
    /// Code of the accounts among them, each once, in order of the hashes.
    pub(super) code: Vec<Bytes>,
}

/// What a chunk brings, after it was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) span: Span,
    pub(super) entries: Vec<(Bytes, Bytes)>,
    pub(super) code: BTreeMap<B256, Bytes>,
    /// Its leaves, in order.
    pub(super) leaves: Vec<PathChange>,
}

/// Hash of the code of the account that an entry holds; none if it holds no account or one without code.
pub(super) fn code_of(key: &[u8], value: &[u8]) -> Result<Option<B256>, &'static str> {
    match key.split_first() {
        Some((&ACCOUNT_TAG, address)) if address.len() == Address::len_bytes() => {
            let account: Account =
                codec::decode(value).map_err(|_| "the value of an account is not one")?;
            Ok(Some(account.code_hash).filter(|hash| *hash != KECCAK256_EMPTY))
        }
        Some((&WORD_TAG, rest)) if rest.len() == Address::len_bytes() + 32 => {
            if value.len() == 32 {
                Ok(None)
            } else {
                Err("a word has not 32 bytes")
            }
        }
        _ => Err("a key is none of the state"),
    }
}

impl Chunk {
    /// Reads a chunk and checks that the tree under `root` holds its entries, and nothing else in its span. Nothing besides
    /// the root is needed for it, whatever the cut that the chunk is of.
    pub(super) fn check(bytes: &[u8], root: B256) -> Result<Checked, &'static str> {
        let chunk: Self =
            codec::decode_limited(bytes, MAX_CHUNK_BYTES).map_err(|_| "the bytes are no chunk")?;
        if !chunk.span.is_sound() {
            return Err("it covers no span of paths");
        }
        if chunk.siblings.len() != usize::from(chunk.span.bits) {
            return Err("the way to it has another length");
        }
        let (leaves, needed) = chunk.leaves()?;
        let hash = leaves_hash(&leaves, usize::from(chunk.span.bits));
        if chunk.lead_to_root(hash) != root {
            return Err("it does not lead to the certified state root");
        }
        let code: BTreeMap<B256, Bytes> =
            chunk.code.iter().map(|code| (keccak(code), code.clone())).collect();
        if code.len() != chunk.code.len() || !code.keys().eq(&needed) {
            return Err("its code is not that of its accounts");
        }
        Ok(Checked { span: chunk.span, entries: chunk.entries, code, leaves })
    }

    /// Its leaves, and the hashes of the code that its accounts have.
    fn leaves(&self) -> Result<(Vec<PathChange>, BTreeSet<B256>), &'static str> {
        let mut leaves: Vec<PathChange> = Vec::with_capacity(self.entries.len());
        let mut code = BTreeSet::new();
        for (key, value) in &self.entries {
            let path = path_of(key);
            if !self.span.contains(&B256::new(path))
                || leaves.last().is_some_and(|last| last.path >= path)
            {
                return Err("its keys are not in order");
            }
            code.extend(code_of(key, value)?);
            leaves.push(PathChange { path, value: Some(value_hash(value)) });
        }
        Ok((leaves, code))
    }

    /// The root to which a hash in the place of the span leads.
    fn lead_to_root(&self, hash: [u8; 32]) -> B256 {
        let bit = |depth: usize| self.span.start[depth / 8] & (0x80 >> (depth % 8)) != 0;
        let way = self.siblings.iter().enumerate().rev();
        B256::new(way.fold(hash, |hash, (depth, sibling)| {
            if bit(depth) { inner_hash(sibling, &hash) } else { inner_hash(&hash, sibling) }
        }))
    }
}

impl Checked {
    /// Bytes of the state that it brings.
    pub(super) fn state_bytes(&self) -> u64 {
        let entries = self.entries.iter().map(|(key, value)| key.len() + value.len());
        let code = self.code.values().map(|code| code.len());
        entries.chain(code).map(|length| length as u64).sum()
    }
}

/// Whether a chunk leads to a root.
pub(crate) fn check_chunk(bytes: &[u8], root: B256) -> bool {
    Chunk::check(bytes, root).is_ok()
}
