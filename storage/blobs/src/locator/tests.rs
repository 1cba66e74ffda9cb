//! Spelling of locators.

use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Locator, LocatorError> {
    text.parse()
}

#[test]
fn the_locator_of_content_is_its_blake3_hash() {
    assert_eq!(
        Locator::of(b"").to_string(),
        "neura:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
}

#[test]
fn canonical_locators_of_every_kind_are_read_and_written_unchanged() {
    let namespace = "00".repeat(18) + &"ab".repeat(11);
    for (text, kind) in [
        (Locator::of(b"x").to_string(), LocatorKind::Neura),
        (
            "ipfs:bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".into(),
            LocatorKind::Ipfs,
        ),
        ("ar:hKMMPNh_emBf8v_at1tFzNYACisyMQNcKzeeE1QE9p8".into(), LocatorKind::Arweave),
        (format!("celestia:12/{namespace}/{}", "0f".repeat(32)), LocatorKind::Celestia),
        ("eigenda:01f9".into(), LocatorKind::EigenDa),
    ] {
        let locator = parse(&text).expect("canonical");
        assert_eq!((locator.to_string(), locator.kind()), (text.clone(), kind));
        assert_eq!(locator.hash().is_some(), kind == LocatorKind::Neura);
        let json = serde_json::to_string(&locator).expect("to JSON");
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Locator>(&json).expect("from JSON"), locator);
    }
}

#[test]
fn every_other_spelling_is_refused() {
    let hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    let namespace = "00".repeat(29);
    let commitment = "00".repeat(32);
    for text in [
        String::new(),
        hash.into(),
        "neura:".into(),
        format!("neura:{}", hash.to_uppercase()),
        format!("NEURA:{hash}"),
        format!("neura:0x{}", &hash[2..]),
        format!(" neura:{hash}"),
        format!("neura:{hash} "),
        format!("neura:{hash}00"),
        format!("neura://{hash}"),
        "ftp:abc".into(),
        "ipfs:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".into(),
        "ipfs:BAFKREIGH2AKISCAILDCQABSYG3DFR6CHU3FGPREGIYMSCK7E7AQA4S52ZY".into(),
        "ar:hKMMPNh_emBf8v_at1tFzNYACisyMQNcKzeeE1QE9p9".into(),
        "ar:short".into(),
        format!("celestia:012/{namespace}/{commitment}"),
        format!("celestia:+12/{namespace}/{commitment}"),
        format!("celestia:0/{namespace}/{commitment}"),
        format!("celestia:12/{namespace}/{commitment}/"),
        format!("celestia:12/{namespace}"),
        "eigenda:".into(),
        "eigenda:0".into(),
        "eigenda:AB".into(),
    ] {
        assert!(parse(&text).is_err(), "{text:?} was taken");
    }
}

#[test]
fn a_locator_longer_than_the_bound_is_refused_before_it_is_looked_at() {
    let text = format!("eigenda:{}", "0".repeat(MAX_LOCATOR_BYTES));
    assert_eq!(parse(&text), Err(LocatorError::TooLong { length: text.len() }));
}

proptest! {
    #[test]
    fn whatever_parses_is_written_back_the_same(
        text in "(neura|ipfs|ar|celestia|eigenda|x)?:?[a-zA-Z0-9/_+-]{0,130}"
    ) {
        if let Ok(locator) = parse(&text) {
            prop_assert_eq!(locator.to_string(), text);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        let _ = parse(&text);
    }
}
