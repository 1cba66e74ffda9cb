//! Prove and verify outputs of a verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI of RFC 9381 (suite 3).
//!
//! For one key and one input there is one output, whatever proof it comes with: nobody foresees it without the secret
//! key, its holder cannot choose it, and everyone can check it. What depends on the secret takes the same time for all
//! keys. The function is that of the RFC but for the secret that nonces come from: were it the one that signatures
//! take theirs from, a signature of the very bytes that a proof hashes would give the key away.
#![expect(clippy::arithmetic_side_effects, reason = "in a finite group nothing overflows")]

use alloy_primitives::FixedBytes;
use curve25519_dalek::{
    edwards::{CompressedEdwardsY, EdwardsPoint},
    scalar::{Scalar, clamp_integer},
    traits::{IsIdentity, VartimeMultiscalarMul},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    hash::{Domain, hash},
    keys::{PublicKey, SecretKey},
};

/// Bytes of a [`Proof`]: a point, a challenge, a scalar.
pub const PROOF_BYTES: usize = 80;
/// Bytes of the challenge: 128 bits, as the suite has it.
const CHALLENGE_BYTES: usize = 16;

/// `suite_string`.
const SUITE: u8 = 3;
/// Domain separators of the suite: in front, and behind everything.
const ENCODE_TO_CURVE: [u8; 2] = [SUITE, 1];
const CHALLENGE: [u8; 2] = [SUITE, 2];
const PROOF_TO_HASH: [u8; 2] = [SUITE, 3];
const BACK: [u8; 1] = [0];

/// What the function gives: looks random to everyone who has not seen a proof of it.
pub type Output = [u8; 64];

/// Proof that an output belongs to a key and an input; carries the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof(pub FixedBytes<PROOF_BYTES>);

impl SecretKey {
    /// The proof of this key's output for an input; always the same bytes.
    ///
    /// None if no counter leads from the input to a point: one input in 2^256.
    pub fn prove(&self, input: &[u8]) -> Option<Proof> {
        let seed = Zeroizing::new(self.seed());
        let nonces = Zeroizing::new(hash(Domain::ProofNonce, seed.as_slice()).0);
        prove((&seed, &self.public_key()), &nonces, input)
    }
}

impl PublicKey {
    /// The output for an input, if the proof shows that it is this key's.
    ///
    /// None too for a key of small order, whose outputs are all the same.
    pub fn verify_proof(&self, input: &[u8], proof: &Proof) -> Option<Output> {
        let key = point(&self.0.0).filter(|key| !key.is_small_order())?;
        let Parts { gamma, challenge, response } = proof.parts()?;
        let base = encode_to_curve(self, input)?;
        // Points are negated, not the challenge: modulo the order, that would be another multiple of a point whose order
        // is not the group's.
        let u = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-key, &response);
        let v = EdwardsPoint::vartime_multiscalar_mul([response, challenge], [base, -gamma]);
        (challenge_of(self, &[base, gamma, u, v]) == challenge).then(|| output_of(&gamma))
    }
}

impl Proof {
    /// The output that the proof carries, unchecked; none if it carries none.
    pub fn output(&self) -> Option<Output> {
        self.parts().map(|parts| output_of(&parts.gamma))
    }

    fn parts(&self) -> Option<Parts> {
        let (gamma, rest) = self.0.as_slice().split_first_chunk::<32>()?;
        let (challenge, response) = rest.split_first_chunk::<CHALLENGE_BYTES>()?;
        Some(Parts {
            gamma: point(gamma)?,
            challenge: short_scalar(challenge),
            response: Scalar::from_canonical_bytes(response.try_into().ok()?).into_option()?,
        })
    }
}

/// A proof, decoded.
struct Parts {
    gamma: EdwardsPoint,
    challenge: Scalar,
    response: Scalar,
}

/// `ECVRF_prove` with the key of a seed (RFC 8032); `nonces` is a secret of 32 bytes.
fn prove((seed, key): (&[u8; 32], &PublicKey), nonces: &[u8; 32], input: &[u8]) -> Option<Proof> {
    let expanded = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
    let mut secret = Scalar::from_bytes_mod_order(clamp_integer(*expanded.first_chunk::<32>()?));
    let base = encode_to_curve(key, input)?;
    let gamma = base * secret;
    let mut nonce = Scalar::from_bytes_mod_order_wide(&Zeroizing::new(sha512(&[
        nonces,
        base.compress().as_bytes(),
    ])));
    let commitments = [EdwardsPoint::mul_base(&nonce), base * nonce];
    let challenge = challenge_of(key, &[base, gamma, commitments[0], commitments[1]]);
    let response = nonce + challenge * secret;
    secret.zeroize();
    nonce.zeroize();
    let mut proof = gamma.compress().0.to_vec();
    proof.extend(challenge.as_bytes().iter().take(CHALLENGE_BYTES));
    proof.extend(response.as_bytes());
    FixedBytes::try_from(proof.as_slice()).ok().map(Proof)
}

/// `ECVRF_encode_to_curve_try_and_increment`: a point of the prime-order group that follows from key and input.
fn encode_to_curve(key: &PublicKey, input: &[u8]) -> Option<EdwardsPoint> {
    (0..=u8::MAX).find_map(|counter| {
        let digest = sha512(&[&ENCODE_TO_CURVE, key.0.as_slice(), input, &[counter], &BACK]);
        let found = point(digest.first_chunk()?)?.mul_by_cofactor();
        (!found.is_identity()).then_some(found)
    })
}

/// `ECVRF_challenge_generation`.
fn challenge_of(key: &PublicKey, points: &[EdwardsPoint; 4]) -> Scalar {
    let [base, gamma, u, v] = points.map(|point| point.compress().0);
    let digest = sha512(&[&CHALLENGE, key.0.as_slice(), &base, &gamma, &u, &v, &BACK]);
    digest.first_chunk().map_or(Scalar::ZERO, short_scalar)
}

/// `ECVRF_proof_to_hash`: the cofactor makes all points that pass for one key and input give one output.
fn output_of(gamma: &EdwardsPoint) -> Output {
    sha512(&[&PROOF_TO_HASH, gamma.mul_by_cofactor().compress().as_bytes(), &BACK])
}

/// `string_to_point`: only the one encoding of each point.
fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let encoded = CompressedEdwardsY(*bytes);
    encoded.decompress().filter(|point| point.compress() == encoded)
}

fn short_scalar(challenge: &[u8; CHALLENGE_BYTES]) -> Scalar {
    Scalar::from(u128::from_le_bytes(*challenge))
}

fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
