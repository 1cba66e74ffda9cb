//! Get into the registry: coins for bond and fees, registration, and an entry that says what is true now.

use neura_types::{
    Amount, B256, Params, U256,
    abi::IProviders::{self, Offer, registerCall, rotateKeyCall, updateCall},
    provider::{Capability, Provider, ProviderStatus},
};

use crate::{Observer, Operator, Progress, ProviderError, config::OfferConfig};

/// Coins kept for fees beside the bond: those of some hundred transactions at the price of a quiet chain, and the
/// limit of one that the node asks for in advance.
const FEE_RESERVE: Amount = Amount::ankr(1);
/// How often the faucet is asked: it may give less than is needed at once.
const MAX_GRANTS: usize = 3;

/// What it takes to join.
pub(crate) struct Joining<'a> {
    pub(crate) operator: &'a Operator,
    pub(crate) offer: &'a OfferConfig,
    /// Names of the executors that this machine offers.
    pub(crate) executors: Vec<String>,
    pub(crate) capability: &'a Capability,
    pub(crate) observer: &'a Observer,
}

impl Joining<'_> {
    /// Registers, or brings the entry up to date; returns it.
    pub(crate) async fn run(&self) -> Result<Provider, ProviderError> {
        let params = self.operator.client.params().await?;
        match self.operator.client.provider(self.operator.address()).await? {
            Some(entry) if entry.status != ProviderStatus::Left => {
                self.fund(Amount::ZERO).await?;
                self.refresh(entry).await?;
            }
            Some(entry) => {
                if entry.bond != Amount::ZERO {
                    self.take_back(&entry).await?;
                }
                self.register(&params).await?;
            }
            None => self.register(&params).await?,
        }
        self.operator.entry().await
    }

    async fn register(&self, params: &Params) -> Result<(), ProviderError> {
        let least = params.min_provider_bond;
        let bond = self.offer.bond.unwrap_or(least);
        if bond < least {
            return Err(ProviderError::BondTooSmall { given: bond, least });
        }
        self.fund(bond).await?;
        let price_per_block = self.offer.price_per_block;
        self.say(Progress::Registering { bond, price_per_block });
        let identity = self.operator.keys.identity.public_key().0;
        let call =
            registerCall { identity, encryptionKey: self.encryption_key(), offer: self.wanted() };
        let height = self.operator.pay(call, bond).await?.height;
        self.say(Progress::Registered { address: self.operator.address(), height });
        Ok(())
    }

    /// Changes what is not as it should be.
    async fn refresh(&self, entry: Provider) -> Result<(), ProviderError> {
        let key = self.encryption_key();
        if entry.encryption_key != key {
            self.change("encryption key changed", rotateKeyCall { encryptionKey: key }).await?;
        }
        if Offer::from(&entry) != self.wanted() {
            self.change("offer changed", updateCall { offer: self.wanted() }).await?;
        }
        if entry.status == ProviderStatus::Draining {
            self.change("taking tasks again", IProviders::resumeCall {}).await?;
        }
        Ok(())
    }

    async fn change<C: neura_types::abi::SolCall>(
        &self,
        what: &'static str,
        call: C,
    ) -> Result<(), ProviderError> {
        let height = self.operator.call(call).await?.height;
        self.say(Progress::Updated { what, height });
        Ok(())
    }

    async fn take_back(&self, entry: &Provider) -> Result<(), ProviderError> {
        let height = self.operator.client.height().await?;
        if height < entry.unbonds_at {
            let (address, bond, until) = (entry.address, entry.bond, entry.unbonds_at);
            return Err(ProviderError::Unbonding { address, bond, until, height });
        }
        self.fund(Amount::ZERO).await?;
        let amount = self.operator.withdraw_bond().await?;
        self.say(Progress::BondReturned { amount });
        Ok(())
    }

    /// Sees to it that the account can pay `bond` and fees.
    async fn fund(&self, bond: Amount) -> Result<(), ProviderError> {
        let client = &self.operator.client;
        let address = self.operator.address();
        let need = U256::from(bond.0).saturating_add(U256::from(FEE_RESERVE.0));
        let mut have = client.account(address).await?.balance.0;
        // The first grant is what the faucet usually gives; what is missing then is asked for by number.
        let mut missing = None;
        for _ in 0..MAX_GRANTS {
            if have >= need || !client.status().await?.faucet {
                break;
            }
            self.say(Progress::FaucetAsked { address, need });
            let grant = client.faucet(address, missing).await?;
            client.confirm(grant.hash).await?;
            self.say(Progress::FaucetPaid { amount: grant.amount });
            have = client.account(address).await?.balance.0;
            missing = Amount::from_u256(need.saturating_sub(have)).ok();
        }
        if have >= need { Ok(()) } else { Err(ProviderError::Funds { address, have, need, bond }) }
    }

    fn encryption_key(&self) -> B256 {
        B256::new(*self.operator.keys.encryption.public_key().as_bytes())
    }

    fn wanted(&self) -> Offer {
        Offer {
            payout: self.offer.payout.unwrap_or_else(|| self.operator.address()),
            capability: self.capability.into(),
            executors: self.executors.clone(),
            pricePerBlock: self.offer.price_per_block.0,
            region: self.offer.region.clone(),
            endpoint: self.offer.endpoint.clone(),
            capacity: self.offer.capacity,
        }
    }

    fn say(&self, progress: Progress) {
        (self.observer)(&progress);
    }
}
