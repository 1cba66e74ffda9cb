//! The chain of epochs: followed where it is proven, refused where one link of it is not.

use neura_types::{certificate::CommitCertificate, rest::EpochInfo};

use super::*;

/// A chain of epochs whose validators change by one each time, as a node tells it.
struct Epochs {
    trusted: Trusted,
    told: Vec<EpochInfo>,
}

fn header_of(info: &EpochInfo) -> Header {
    codec::decode(&info.end.as_ref().unwrap().header).unwrap()
}

/// The end of an epoch under signatures of its validators with these seeds.
fn end(chain: &ChainContext, config: &EpochConfig, header: &Header, signers: &[u8]) -> EpochEnd {
    let (justify, timeout) = (B256::repeat_byte(1), None);
    let id = hash_value(Domain::Block, &(header, justify, timeout));
    let statement = Statement::Commit { view: header.view, block: id };
    let digest = statement.digest(chain, config.epoch);
    let signatures = signers.iter().filter_map(|seed| {
        let index = config.set.index_of(&key(*seed).public_key())?;
        Some((index, key(*seed).sign(digest.as_slice())))
    });
    let proof = CommitProof::Certificate(CommitCertificate {
        epoch: config.epoch,
        view: header.view,
        block: id,
        signers: Signers::collect(&config.set, signatures),
    });
    let header = codec::encode(header).into();
    EpochEnd { id, header, justify, timeout, proof: codec::encode(&proof).into() }
}

impl Epochs {
    fn new(count: u8) -> Self {
        let chain = ChainContext { chain_id: 7, genesis: B256::repeat_byte(1) };
        let genesis = Block::genesis(chain.genesis, 0, ExecutedRoot::default());
        let configs: Vec<_> = (0..=count).map(|e| config(e.into(), e..e + 4)).collect();
        let anchor = Anchor::genesis(genesis.id());
        let trusted = Trusted { chain, anchor, config: configs[0].clone() };
        let mut told: Vec<EpochInfo> = configs
            .into_iter()
            .map(|config| EpochInfo { digest: config.digest(), config, end: None })
            .collect();
        for epoch in 0..count {
            let index = usize::from(epoch);
            let (config, next) = (told[index].config.clone(), told[index + 1].digest);
            let header = Header {
                epoch: epoch.into(),
                view: config.last + 3,
                height: config.last,
                next_epoch: Some(next),
                ..genesis.header.clone()
            };
            let signers = [epoch, epoch + 1, epoch + 3];
            told[index].end = Some(end(&trusted.chain, &config, &header, &signers));
        }
        Self { trusted, told }
    }

    /// Signs an end again after `change`.
    fn sign_again(&mut self, epoch: usize, signers: &[u8], change: impl FnOnce(&mut Header)) {
        let info = &mut self.told[epoch];
        let mut header = header_of(info);
        change(&mut header);
        info.end = Some(end(&self.trusted.chain, &info.config, &header, signers));
    }

    /// Follows what is told; returns how far it is proven.
    async fn follow(&self, to: Epoch) -> (Trusted, Result<(), ClientError>) {
        let answer = |info: &EpochInfo| {
            (format!("/v1/epochs/{}", info.config.epoch), serde_json::to_vec(info).unwrap())
        };
        let client = serving(self.told.iter().map(answer).collect()).await;
        let mut trusted = self.trusted.clone();
        let result = follow(&client, &mut trusted, to).await;
        (trusted, result)
    }

    /// Expects that nothing beyond `epoch` is proven.
    async fn stops_at(&self, epoch: Epoch) {
        let (trusted, result) = self.follow(3).await;
        assert_not_proven(result);
        assert_eq!(trusted.config, self.told[usize::try_from(epoch).unwrap()].config);
    }
}

#[tokio::test]
async fn the_chain_of_epochs_leads_from_genesis_to_validators_that_genesis_did_not_know() {
    let epochs = Epochs::new(5);
    let (trusted, result) = epochs.follow(5).await;
    result.unwrap();
    assert_eq!(trusted.config, epochs.told[5].config);
    assert_eq!(trusted.anchor.block, epochs.told[4].end.as_ref().unwrap().id);
    assert_eq!(trusted.anchor.view, header_of(&epochs.told[4]).view);

    let from_checkpoint = Epochs { trusted: epochs.follow(2).await.0, told: epochs.told.clone() };
    let (again, result) = from_checkpoint.follow(5).await;
    result.unwrap();
    assert_eq!(again, trusted);
}

#[tokio::test]
async fn an_epoch_that_is_not_over_leads_no_further() {
    let epochs = Epochs::new(2);
    epochs.stops_at(2).await;
}

#[tokio::test]
async fn a_configuration_that_the_last_block_does_not_name_is_refused() {
    let mut epochs = Epochs::new(3);
    epochs.told[2].config = config(2, 20..24);
    let (trusted, result) = epochs.follow(3).await;
    assert_not_proven(result);
    assert_eq!(trusted.config.epoch, 1);

    // Nor one whose digest the node claims, and whose end its own validators sign.
    epochs.told[2].digest = Epochs::new(3).told[2].digest;
    epochs.sign_again(2, &[20, 21, 22, 23], |_| {});
    assert_not_proven(epochs.follow(3).await.1);
}

#[tokio::test]
async fn an_epoch_cannot_be_left_out() {
    let mut epochs = Epochs::new(3);
    // The end of epoch 1 signed under the set of epoch 1, told as the end of epoch 0.
    epochs.told[0].end = epochs.told[1].end.clone();
    epochs.stops_at(0).await;

    // An end that names the epoch after the next.
    let mut epochs = Epochs::new(3);
    let after_next = epochs.told[2].digest;
    epochs.sign_again(0, &[0, 1, 2], |header| header.next_epoch = Some(after_next));
    epochs.told[1].config = epochs.told[2].config.clone();
    let (trusted, result) = epochs.follow(3).await;
    result.unwrap_err();
    assert_eq!(trusted.config.epoch, 0);
}

#[tokio::test]
async fn a_block_before_the_last_ends_no_epoch() {
    let mut epochs = Epochs::new(3);
    epochs.sign_again(1, &[1, 2, 3, 4], |header| header.height -= 1);
    epochs.stops_at(1).await;
}

#[tokio::test]
async fn an_end_without_quorum_or_signed_by_others_is_refused() {
    let mut epochs = Epochs::new(3);
    epochs.sign_again(1, &[1, 2], |_| {});
    epochs.stops_at(1).await;

    // Signers of the next epoch, one of whom is no member of this one.
    let mut epochs = Epochs::new(3);
    epochs.sign_again(0, &[1, 2, 4], |_| {});
    epochs.stops_at(0).await;

    let mut epochs = Epochs::new(3);
    epochs.trusted.chain.chain_id = 8;
    epochs.stops_at(0).await;
}

#[tokio::test]
async fn an_end_whose_parts_are_not_those_of_its_block_is_refused() {
    let mut epochs = Epochs::new(3);
    let mut header = header_of(&epochs.told[1]);
    header.next_epoch = Some(B256::ZERO);
    epochs.told[1].end.as_mut().unwrap().header = codec::encode(&header).into();
    epochs.stops_at(1).await;

    let mut epochs = Epochs::new(3);
    epochs.told[1].end.as_mut().unwrap().justify = B256::ZERO;
    epochs.stops_at(1).await;

    let mut epochs = Epochs::new(3);
    epochs.told[1].end.as_mut().unwrap().proof = Bytes::from_static(&[1, 2, 3]);
    epochs.stops_at(1).await;
}
