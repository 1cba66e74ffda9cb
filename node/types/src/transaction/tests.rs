use proptest::prelude::*;

use super::*;

const CHAIN: ChainId = 26_770;

fn unsigned(nonce: u64) -> UnsignedTransaction {
    UnsignedTransaction {
        chain_id: CHAIN,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(7)),
        value: U256::from(5),
        input: Bytes::from_static(b"data"),
    }
}

fn identity() -> SecretKey {
    SecretKey::from_seed(&[3; 32])
}

#[test]
fn the_sender_of_an_ethereum_transaction_is_recovered() {
    let key = EthKey::from_bytes([1; 32]).unwrap();
    let tx = Transaction::decode(unsigned(4).sign_eth(&key), CHAIN).unwrap();
    assert_eq!((tx.sender, tx.nonce, tx.tx_type), (key.address(), 4, 2));
}

#[test]
fn the_sender_of_an_identity_transaction_is_its_key() {
    let tx = Transaction::decode(unsigned(9).sign_ed25519(&identity()), CHAIN).unwrap();
    assert_eq!((tx.sender, tx.nonce, tx.tx_type), (identity().public_key().address(), 9, 0x4e));
    assert_eq!(tx.hash, crate::hash::keccak(&tx.raw));
}

#[test]
fn a_transaction_for_another_chain_is_refused_by_name() {
    let raw = unsigned(0).sign_ed25519(&identity());
    assert_eq!(
        Transaction::decode(raw, 1),
        Err(TransactionError::WrongChain { expected: 1, got: CHAIN })
    );
}

#[test]
fn an_unprotected_legacy_transaction_is_refused() {
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;
    let tx = TxLegacy { chain_id: None, gas_limit: 21_000, ..TxLegacy::default() };
    let signature = EthKey::from_bytes([1; 32]).unwrap().sign_digest(tx.signature_hash());
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    assert_eq!(Transaction::decode(raw, CHAIN), Err(TransactionError::Unprotected));
}

#[test]
fn a_high_s_signature_is_refused() {
    use alloy_consensus::{SignableTransaction, TxEip1559};
    use alloy_eips::eip2718::Encodable2718;
    let tx = TxEip1559 { chain_id: CHAIN, gas_limit: 21_000, ..TxEip1559::default() };
    let low = EthKey::from_bytes([1; 32]).unwrap().sign_digest(tx.signature_hash());
    let order = alloy_primitives::uint!(
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256
    );
    let high = alloy_primitives::Signature::new(low.r(), order - low.s(), !low.v());
    let raw = TxEnvelope::from(tx.into_signed(high)).encoded_2718();
    assert!(matches!(Transaction::decode(raw, CHAIN), Err(TransactionError::Signature(_))));
}

#[test]
fn a_transaction_that_delegates_names_who_signed_each_delegation() {
    use alloy_consensus::{SignableTransaction, TxEip7702};
    use alloy_eips::{eip2718::Encodable2718, eip7702::Authorization};
    let [sender, authority] = [1, 2].map(|n| EthKey::from_bytes([n; 32]).unwrap());
    let unsigned =
        Authorization { chain_id: U256::from(CHAIN), address: Address::repeat_byte(9), nonce: 0 };
    let signed = unsigned.clone().into_signed(authority.sign_digest(unsigned.signature_hash()));
    let nobody = SignedAuthorization::new_unchecked(unsigned, 7, U256::ZERO, U256::ZERO);
    let tx = TxEip7702 {
        chain_id: CHAIN,
        gas_limit: 100_000,
        authorization_list: vec![signed.clone(), nobody],
        ..TxEip7702::default()
    };
    let signature = sender.sign_digest(tx.signature_hash());
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    let tx = Transaction::decode(raw, CHAIN).unwrap();
    assert_eq!((tx.sender, tx.tx_type), (sender.address(), SET_CODE_TX_TYPE));
    let authorities: Vec<_> = tx.delegations.iter().map(|d| d.authority).collect();
    assert_eq!(authorities, [Some(authority.address()), None]);
    assert_eq!(tx.delegations[0].signed, signed);
}

#[test]
fn blob_transactions_and_unknown_types_are_refused_by_name() {
    for kind in [3u8, 5, 0x4d, 0x7f] {
        assert_eq!(
            Transaction::decode(vec![kind, 0xc0], CHAIN),
            Err(TransactionError::UnsupportedType(kind))
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), own in any::<bool>()) {
        let mut bytes = bytes;
        if own { bytes.insert(0, ED25519_TX_TYPE); }
        let _ = Transaction::decode(bytes, CHAIN);
    }

    #[test]
    fn any_changed_byte_of_an_identity_transaction_breaks_it(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let mut raw = unsigned(1).sign_ed25519(&identity()).to_vec();
        let at = at.index(raw.len());
        raw[at] ^= flip;
        prop_assert!(Transaction::decode(raw, CHAIN).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused(extra in proptest::collection::vec(any::<u8>(), 1..20)) {
        let mut own = unsigned(1).sign_ed25519(&identity()).to_vec();
        own.extend(&extra);
        prop_assert!(Transaction::decode(own, CHAIN).is_err());
        let mut eth = unsigned(1).sign_eth(&EthKey::from_bytes([1; 32]).unwrap()).to_vec();
        eth.extend(&extra);
        prop_assert!(Transaction::decode(eth, CHAIN).is_err());
    }
}
