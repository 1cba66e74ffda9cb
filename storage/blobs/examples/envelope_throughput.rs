//! Seals and opens a 64 MiB envelope a few times and prints the best rates as one line of JSON.
//!
//! `cargo run -p neura-blobs --example envelope_throughput`
#![allow(clippy::print_stdout, reason = "the line of JSON is this program's result")]

use neura_blobs::{
    DEFAULT_MAX_BLOB_BYTES, EncryptionSecretKey, EnvelopeContext, Locator, Purpose, open, seal,
};
use std::{error::Error, time::Instant};

const ROUNDS: usize = 5;
const RECIPIENTS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let rng = &mut rand::rng();
    let keys: Vec<_> = (0..RECIPIENTS).map(|_| EncryptionSecretKey::generate(rng)).collect();
    let recipients: Vec<_> = keys.iter().map(EncryptionSecretKey::public_key).collect();
    let context = EnvelopeContext {
        chain_id: 1,
        purpose: Purpose::Payload,
        owner: [1; 20],
        provider: [2; 20],
        binding: [3; 32],
    };
    let plaintext = vec![0x5a; usize::try_from(DEFAULT_MAX_BLOB_BYTES)?];
    let (mut seal_s, mut open_s, mut hash_s) = (f64::MAX, f64::MAX, f64::MAX);
    let mut envelope_bytes = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let envelope = seal(&context, &recipients, &plaintext, rng)?;
        seal_s = seal_s.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let opened = open(&context, &keys[0], &envelope, DEFAULT_MAX_BLOB_BYTES)?;
        open_s = open_s.min(start.elapsed().as_secs_f64());
        if *opened != plaintext {
            return Err("the envelope opened to something else".into());
        }
        let start = Instant::now();
        let _ = Locator::of(&envelope);
        hash_s = hash_s.min(start.elapsed().as_secs_f64());
        envelope_bytes = envelope.len();
    }
    let mib = plaintext.len() as f64 / f64::from(1 << 20);
    println!(
        "{{\"bench\":\"envelope\",\"plaintext_bytes\":{},\"envelope_bytes\":{envelope_bytes},\
         \"recipients\":{RECIPIENTS},\"seal_ms\":{:.1},\"open_ms\":{:.1},\"hash_ms\":{:.1},\
         \"seal_mib_s\":{:.0},\"open_mib_s\":{:.0}}}",
        plaintext.len(),
        seal_s * 1e3,
        open_s * 1e3,
        hash_s * 1e3,
        mib / seal_s,
        mib / open_s,
    );
    Ok(())
}
