//! Peer identities from ed25519 keys.

use libp2p::{
    PeerId,
    identity::{Keypair, PublicKey, ed25519},
};

/// Why bytes are not an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not the encoding of an ed25519 public key.
    #[error("these 32 bytes are not an ed25519 public key: {reason}")]
    PublicKey {
        /// What the decoder said.
        reason: String,
    },
    /// Not an ed25519 seed.
    #[error("these 32 bytes are not an ed25519 seed: {reason}")]
    Seed {
        /// What the decoder said.
        reason: String,
    },
}

/// The peer id of the holder of an ed25519 public key (32 bytes).
///
/// # Errors
/// [`IdentityError::PublicKey`] if the bytes encode no point of the curve.
pub fn peer_id_from_public_key(key: &[u8; 32]) -> Result<PeerId, IdentityError> {
    let key = ed25519::PublicKey::try_from_bytes(key)
        .map_err(|e| IdentityError::PublicKey { reason: e.to_string() })?;
    Ok(PublicKey::from(key).to_peer_id())
}

/// The peer id of the holder of an ed25519 seed (32 bytes, RFC 8032 secret key).
///
/// # Errors
/// [`IdentityError::Seed`] if the library refuses the seed.
pub fn peer_id_from_seed(seed: &[u8; 32]) -> Result<PeerId, IdentityError> {
    Ok(keypair_from_seed(seed)?.public().to_peer_id())
}

pub(crate) fn keypair_from_seed(seed: &[u8; 32]) -> Result<Keypair, IdentityError> {
    // The decoder wipes the copy that it is given.
    let mut copy = *seed;
    Keypair::ed25519_from_bytes(&mut copy[..])
        .map_err(|e| IdentityError::Seed { reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_key_and_the_seed_name_the_same_peer() {
        let seed = [7; 32];
        let public = keypair_from_seed(&seed).unwrap().public();
        let bytes = public.clone().try_into_ed25519().unwrap().to_bytes();
        assert_eq!(peer_id_from_public_key(&bytes), Ok(public.to_peer_id()));
        assert_eq!(peer_id_from_seed(&seed), Ok(public.to_peer_id()));
    }

    #[test]
    fn bytes_off_the_curve_are_refused() {
        let mut off = [0xff; 32];
        off[0] = 0x02;
        off[31] = 0x7f;
        let refused = (0..=255u8).any(|b| {
            off[1] = b;
            peer_id_from_public_key(&off).is_err()
        });
        assert!(refused);
    }
}
