//! What people and programs write: JSON, addresses of content, amounts, keys.

use neura_blobs::{EncryptionPublicKey, Locator};
use neura_model::real::Realm;
use neura_types::{
    Amount, Genesis,
    keys::parse_hex32,
    rest::{
        AccountInfo, BlockDetail, ChainEvent, EpochInfo, FaucetRequest, MatchRequest, Problem,
        Status, SubmitRequest, TransactionInfo, Wei,
    },
    validator::Validator,
};

use crate::{
    Target,
    check::{stable_json, stable_text, texts},
};

pub(super) const TARGETS: &[Target] = &[
    Target::new("json-rpc", rpc, bodies),
    Target::new("rest-body", rest_body, rest_bodies),
    Target::new("rest-answer", rest_answer, rest_answers),
    Target::new("genesis", genesis, genesis_files),
    Target::new("amount", amount, texts!["1", "0.5 ANKR", "12345.000000000000000001", "7 wei"]),
    Target::new("wei", wei, texts!["\"1\"", "\"115792089237316195423570985008687907853\"", "7"]),
    Target::new("key-text", key_text, || {
        vec![[b'0'; 64].to_vec(), [&b"0x"[..], &[b'a'; 64]].concat()]
    }),
    Target::new("locator", locator, locators),
    Target::new("public-key", public_key, || vec![[b'9'; 64].to_vec()]),
];

fn rpc(bytes: &[u8]) {
    neura_api::read_body(bytes);
}

fn bodies() -> Vec<Vec<u8>> {
    let word = "0x".to_owned() + &"12".repeat(32);
    let address = "0x".to_owned() + &"34".repeat(20);
    let call = format!(
        r#"{{"from":"{address}","to":"{address}","gas":"0x5208","gasPrice":"0x1","value":"0x0","nonce":"0x1","data":"0xabcd","accessList":[{{"address":"{address}","storageKeys":["{word}"]}}],"chainId":"0x1"}}"#
    );
    let filter = format!(
        r#"{{"fromBlock":"0x1","toBlock":"latest","address":["{address}"],"topics":[null,"{word}",["{word}",null]]}}"#
    );
    let request = |id: &str, method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[{params}]}}"#)
    };
    let one = request("1", "eth_call", &format!(r#"{call},"latest""#));
    let two = request("\"a\"", "eth_getLogs", &filter);
    let three =
        request("null", "eth_getBalance", &format!(r#""{address}",{{"blockHash":"{word}"}}"#));
    let four = request("2", "eth_feeHistory", r#"4,"0x10",[25.0,75]"#);
    let batch = format!("[{one},{two},{three},{four}]");
    [one, two, three, four, batch].map(String::into_bytes).to_vec()
}

fn rest_body(bytes: &[u8]) {
    stable_json::<SubmitRequest>(bytes);
    stable_json::<MatchRequest>(bytes);
    stable_json::<FaucetRequest>(bytes);
}

fn rest_bodies() -> Vec<Vec<u8>> {
    let address = "0x".to_owned() + &"34".repeat(20);
    vec![
        br#"{"raw":"0x02f8"}"#.to_vec(),
        br#"{"requirement":{},"executor":"int8"}"#.to_vec(),
        format!(r#"{{"address":"{address}","amount":"1"}}"#).into_bytes(),
    ]
}

fn rest_answer(bytes: &[u8]) {
    stable_json::<Status>(bytes);
    stable_json::<BlockDetail>(bytes);
    stable_json::<TransactionInfo>(bytes);
    stable_json::<AccountInfo>(bytes);
    stable_json::<EpochInfo>(bytes);
    stable_json::<ChainEvent>(bytes);
    stable_json::<Problem>(bytes);
}

fn rest_answers() -> Vec<Vec<u8>> {
    let problem =
        r#"{"type":"about:blank","title":"Not found","status":404,"code":"x","detail":"no"}"#;
    vec![problem.as_bytes().to_vec()]
}

/// A genesis file that is read is written as one with the same hash.
fn genesis(bytes: &[u8]) {
    let Ok(genesis) = Genesis::from_json(bytes) else { return };
    let text = genesis.to_json().expect("what was read can be written");
    let again = Genesis::from_json(text.as_bytes()).expect("what was written can be read");
    assert_eq!(genesis.hash(), again.hash());
    let _any = (genesis.stake(), genesis.supply().expect("it was checked"));
}

fn genesis_files() -> Vec<Vec<u8>> {
    let realm = Realm::new(1);
    let validators = (0..2u8).map(|index| Validator {
        public_key: realm.key(index.into()).public_key(),
        account: neura_types::Address::repeat_byte(index),
        power: 10,
    });
    let genesis = Genesis {
        chain_id: 4_242,
        timestamp_ms: 1_700_000_000_000,
        params: neura_types::Params::default(),
        treasury: neura_types::Address::repeat_byte(9),
        faucet: None,
        validators: validators.collect(),
        accounts: vec![neura_types::genesis::GenesisAccount {
            address: neura_types::Address::repeat_byte(8),
            balance: Amount(1 << 80),
        }],
    };
    vec![genesis.to_json().expect("written").into_bytes()]
}

fn amount(bytes: &[u8]) {
    stable_text(bytes, |text| Amount::parse(text).ok());
}

fn wei(bytes: &[u8]) {
    stable_json::<Wei>(bytes);
}

fn key_text(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _any = parse_hex32(text);
    }
}

/// A locator has one text.
fn locator(bytes: &[u8]) {
    if let Some((text, locator)) =
        std::str::from_utf8(bytes).ok().and_then(|text| Some((text, text.parse::<Locator>().ok()?)))
    {
        assert_eq!(locator.to_string(), text);
    }
}

fn locators() -> Vec<Vec<u8>> {
    let own = Locator::of(b"content").to_string();
    let other = |text: &str| text.as_bytes().to_vec();
    vec![
        own.into_bytes(),
        other("ipfs:bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
        other("ar:bNbA3TEQVL60xlgCcqdz4ZPHFZ711cZ3hmkpGttDt_U"),
    ]
}

/// A public key has one text.
fn public_key(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(key) = text.parse::<EncryptionPublicKey>() {
        assert_eq!(key.to_string(), text);
    }
}
