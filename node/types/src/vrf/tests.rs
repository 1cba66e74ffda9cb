use alloy_primitives::{B256, hex};
use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::*;

use super::*;

/// RFC 9381, appendix B.3, examples 16 to 18: seed, key, input, proof, output.
const EXAMPLES: [[&str; 5]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97\
         27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff\
         66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465\
         301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb\
         5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0\
         e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45\
         2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    ],
];

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

#[test]
fn examples_of_the_rfc_are_proved_and_verified_to_the_bit() {
    for [seed, key, input, proof, output] in EXAMPLES {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let seed: [u8; 32] = bytes(seed).try_into().unwrap();
        let key = PublicKey(B256::from_slice(&bytes(key)));
        let expected = Proof(FixedBytes::from_slice(&bytes(proof)));
        // The RFC takes nonces from the second half of the expanded seed, as signatures do.
        let nonces: [u8; 32] = sha512(&[&seed])[32..].try_into().unwrap();
        assert_eq!(prove((&seed, &key), &nonces, &bytes(input)), Some(expected));
        assert_eq!(key.verify_proof(&bytes(input), &expected).unwrap().to_vec(), bytes(output));

        // Another nonce: another proof of the same output.
        let ours = SecretKey::from_seed(&seed).prove(&bytes(input)).unwrap();
        assert_ne!(ours, expected);
        assert_eq!(key.verify_proof(&bytes(input), &ours).unwrap().to_vec(), bytes(output));
    }
}

#[test]
fn nonces_do_not_come_from_the_secret_that_signatures_take_them_from() {
    let signer = key(1);
    let proof = signer.prove(b"input").unwrap();
    let base = encode_to_curve(&signer.public_key(), b"input").unwrap();
    // Signs the bytes that the nonce of the proof is made of; with one nonce for both, two equations give the key.
    let signature = signer.sign(base.compress().as_bytes());
    let Parts { challenge, response, .. } = proof.parts().unwrap();
    let secret = point(&signer.public_key().0.0).unwrap();
    let commitment = EdwardsPoint::mul_base(&response) - secret * challenge;
    assert_ne!(commitment.compress().as_bytes(), &signature.0[..32]);
}

#[test]
fn a_key_of_small_order_proves_nothing() {
    let identity = EdwardsPoint::mul_base(&Scalar::ZERO).compress().0;
    let proof = Proof(FixedBytes::from_slice(&[&identity[..], &[0; 48]].concat()));
    let honest = key(2).prove(b"input").unwrap();
    for proof in [proof, honest, Proof(FixedBytes::ZERO)] {
        assert_eq!(PublicKey(B256::new(identity)).verify_proof(b"input", &proof), None);
    }
}

/// The key's holder can make many proofs for an input; were the cofactor not cleared, each would give another output.
#[test]
fn proofs_that_differ_by_a_point_of_small_order_give_one_output() {
    let (signer, input) = (key(5), b"input");
    let (public, honest) = (signer.public_key(), signer.prove(input).unwrap());
    let expanded = sha512(&[&[5; 32]]);
    let secret = Scalar::from_bytes_mod_order(clamp_integer(expanded[..32].try_into().unwrap()));
    let base = encode_to_curve(&public, input).unwrap();
    let gamma = base * secret + EIGHT_TORSION[1];
    let shifted = (1u64..).find_map(|nonce| {
        let nonce = Scalar::from(nonce);
        let commitments = [EdwardsPoint::mul_base(&nonce), base * nonce];
        let challenge = challenge_of(&public, &[base, gamma, commitments[0], commitments[1]]);
        let response = nonce + challenge * secret;
        let parts = [&gamma.compress().0[..], &challenge.as_bytes()[..16], response.as_bytes()];
        let eight_divides = challenge.as_bytes()[0].is_multiple_of(8);
        eight_divides.then(|| Proof(FixedBytes::from_slice(&parts.concat())))
    });
    let shifted = shifted.unwrap();
    assert_ne!(shifted.0[..32], honest.0[..32]);
    assert_eq!(public.verify_proof(input, &shifted), honest.output());
}

#[test]
fn only_one_encoding_of_point_and_scalar_is_read() {
    // y = p and y = 1 with the sign of a zero x: two more ways to write points of small order.
    let mut above = [0xff; 32];
    (above[0], above[31]) = (0xed, 0x7f);
    let mut negative_zero = [0; 32];
    (negative_zero[0], negative_zero[31]) = (1, 0x80);
    assert_eq!([point(&above), point(&negative_zero)], [None, None]);

    let good = key(3).prove(b"input").unwrap();
    let response = Scalar::from_canonical_bytes(good.0[48..].try_into().unwrap()).unwrap();
    let mut carry = 0u16;
    let order = (-Scalar::ONE).to_bytes();
    let mut malleated = good;
    for (at, byte) in malleated.0[48..].iter_mut().enumerate() {
        let one = u16::from(at == 0);
        let sum = u16::from(response.to_bytes()[at]) + u16::from(order[at]) + one + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert!(malleated.parts().is_none() && malleated.output().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// A proof holds for its key and its input only, gives the output that it carries, and not one bit of it is free.
    #[test]
    fn a_proof_holds_for_its_key_and_input_only(
        seed in any::<[u8; 32]>(),
        input in proptest::collection::vec(any::<u8>(), 0..64),
        other in any::<u8>(),
        bit in 0..PROOF_BYTES * 8,
    ) {
        let signer = SecretKey::from_seed(&seed);
        let public = signer.public_key();
        let proof = signer.prove(&input).unwrap();
        prop_assert_eq!(signer.prove(&input), Some(proof));
        let output = public.verify_proof(&input, &proof);
        prop_assert!(output.is_some());
        prop_assert_eq!(output, proof.output());

        let longer: Vec<u8> = input.iter().copied().chain([other]).collect();
        prop_assert_eq!(public.verify_proof(&longer, &proof), None);
        let stranger = SecretKey::from_seed(&sha512(&[&seed])[..32].try_into().unwrap());
        prop_assert_eq!(stranger.public_key().verify_proof(&input, &proof), None);
        let mut damaged = proof;
        damaged.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(public.verify_proof(&input, &damaged), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), PROOF_BYTES)) {
        let proof = Proof(FixedBytes::from_slice(&bytes));
        prop_assert_eq!(key(4).public_key().verify_proof(b"input", &proof), None);
    }
}
