//! The genesis file: chain id, parameters, validators, funded accounts. Its hash names the chain.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{
    Amount, ChainId, Params,
    amount::AmountError,
    hash::{Domain, hash_value},
    params::ParamsError,
    validator::{Validator, ValidatorSet, ValidatorSetError},
};

/// Most accounts that a genesis file may fund.
pub const MAX_GENESIS_ACCOUNTS: usize = 100_000;
/// Longest genesis file read, in bytes.
pub const MAX_GENESIS_BYTES: usize = 32 << 20;
/// EIP-155 ids that belong to the public Neura networks; a local network must not use them.
pub const RESERVED_CHAIN_IDS: [ChainId; 3] = [266, 267, 268];

/// Why a genesis file describes no chain.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not the JSON that is expected.
    #[error("the genesis file is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// Too long to be read.
    #[error("the genesis file has {0} bytes: at most {MAX_GENESIS_BYTES} are read")]
    TooLarge(usize),
    /// A parameter outside its bounds.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The validators form no set.
    #[error(transparent)]
    Validators(#[from] ValidatorSetError),
    /// Chain id 0.
    #[error("chain_id must be above 0")]
    ChainId,
    /// Two validators of one account.
    #[error("two validators name the account {0}: each needs an account of its own")]
    Operator(Address),
    /// Too many accounts, or one that stands twice.
    #[error("the genesis accounts are too many, or {0} stands twice")]
    Accounts(Address),
    /// Balances pass 2^128.
    #[error(transparent)]
    Supply(#[from] AmountError),
}

/// A balance at genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// The account.
    pub address: Address,
    /// Its balance, in wei.
    pub balance: Amount,
}

/// The genesis file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// Parameters.
    #[serde(default)]
    pub params: Params,
    /// Account that receives the treasury's share.
    pub treasury: Address,
    /// Account whose key a devnet's faucet uses, if the chain has one.
    #[serde(default)]
    pub faucet: Option<Address>,
    /// Validators of the first two epochs. Each has bonded as many whole ANKR as it has power, on top of the balances in
    /// `accounts`; the account owns the stake and receives the fees.
    pub validators: Vec<Validator>,
    /// Funded accounts.
    pub accounts: Vec<GenesisAccount>,
}

impl Genesis {
    /// Reads and checks a genesis file.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, GenesisError> {
        if bytes.len() > MAX_GENESIS_BYTES {
            return Err(GenesisError::TooLarge(bytes.len()));
        }
        let genesis: Self = serde_json::from_slice(bytes)?;
        genesis.validate()?;
        Ok(genesis)
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never for a value of this type; serde's signature asks for it.
    pub fn to_json(&self) -> Result<String, GenesisError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Checks every rule of the file.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn validate(&self) -> Result<(), GenesisError> {
        if self.chain_id == 0 {
            return Err(GenesisError::ChainId);
        }
        self.params.validate()?;
        self.validator_set()?;
        let mut operators = std::collections::BTreeSet::new();
        if let Some(twice) = self.validators.iter().find(|v| !operators.insert(v.account)) {
            return Err(GenesisError::Operator(twice.account));
        }
        let mut seen = std::collections::BTreeSet::new();
        for account in &self.accounts {
            if !seen.insert(account.address) || seen.len() > MAX_GENESIS_ACCOUNTS {
                return Err(GenesisError::Accounts(account.address));
            }
        }
        self.supply()?;
        Ok(())
    }

    /// The validators of epoch 0.
    ///
    /// # Errors
    /// If they form no set.
    pub fn validator_set(&self) -> Result<ValidatorSet, ValidatorSetError> {
        ValidatorSet::new(0, self.validators.clone())
    }

    /// Sum of all balances and of the validators' stake.
    ///
    /// # Errors
    /// Past 2^128.
    pub fn supply(&self) -> Result<Amount, AmountError> {
        let stake = self.stake()?;
        self.accounts.iter().try_fold(stake, |sum, account| sum.add(account.balance))
    }

    /// What the validators have bonded.
    ///
    /// # Errors
    /// Past 2^128.
    pub fn stake(&self) -> Result<Amount, AmountError> {
        let mut stakes = self.validators.iter().map(|validator| Amount::ankr(validator.power));
        stakes.try_fold(Amount::ZERO, Amount::add)
    }

    /// Names the chain: part of every signature and protocol id.
    pub fn hash(&self) -> B256 {
        hash_value(Domain::Genesis, self)
    }
}
