use super::{
    super::{Purpose, open, seal},
    *,
};

const CONTEXT: EnvelopeContext = EnvelopeContext {
    chain_id: 7,
    purpose: Purpose::Checkpoint,
    owner: [1; 20],
    provider: [2; 20],
    binding: [3; 32],
};

fn key() -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([9; 32])
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut envelope = Vec::new();
    let source = (content, content.len() as u64);
    let to = [key().public_key()];
    seal_stream(&CONTEXT, &to, source, &mut envelope, &mut rand::rng()).unwrap();
    envelope
}

fn opened(envelope: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut plain = Vec::new();
    let length = open_stream(&CONTEXT, &key(), envelope, 1 << 20, &mut plain)?;
    assert_eq!(length, plain.len() as u64);
    Ok(plain)
}

#[test]
fn streams_and_envelopes_in_memory_read_each_other() {
    for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
        let content = content(length);
        let streamed = sealed(&content);
        assert_eq!(open(&CONTEXT, &key(), &streamed, 1 << 20).unwrap().as_slice(), content);
        let whole = seal(&CONTEXT, &[key().public_key()], &content, &mut rand::rng()).unwrap();
        assert_eq!(opened(&whole).unwrap(), content);
        assert_eq!(streamed.len(), whole.len());
    }
}

#[test]
fn a_stream_cut_off_anywhere_or_with_more_at_its_end_is_refused() {
    let envelope = sealed(&content(2 * CHUNK_BYTES));
    for length in [0, 3, PREFIX_BYTES, PREFIX_BYTES + 9, 70_000, envelope.len() - 1] {
        let refused = opened(&envelope[..length]).unwrap_err();
        let truncated = matches!(refused, StreamError::Envelope(EnvelopeError::Truncated { .. }));
        assert!(truncated, "{length}: {refused}");
    }
    let more = [&envelope[..], &[0]].concat();
    let refused = opened(&more).unwrap_err();
    assert!(matches!(refused, StreamError::Envelope(EnvelopeError::TrailingBytes { .. })));
}

#[test]
fn a_changed_byte_or_another_context_is_refused() {
    let envelope = sealed(&content(CHUNK_BYTES + 5));
    for at in [PREFIX_BYTES - 1, PREFIX_BYTES + 20, 40_000, envelope.len() - 1] {
        let mut changed = envelope.clone();
        changed[at] ^= 1;
        let refused = opened(&changed).unwrap_err();
        let tampered =
            matches!(refused, StreamError::Envelope(EnvelopeError::WrongContextOrTampered));
        assert!(tampered, "{at}: {refused}");
    }
    let other = EnvelopeContext { chain_id: 8, ..CONTEXT };
    let mut plain = Vec::new();
    open_stream(&other, &key(), &envelope[..], 1 << 20, &mut plain).unwrap_err();
    assert!(plain.is_empty());
}

#[test]
fn content_shorter_than_announced_is_not_sealed() {
    let mut envelope = Vec::new();
    let to = [key().public_key()];
    let source = (&[1_u8; 10][..], 11);
    let refused = seal_stream(&CONTEXT, &to, source, &mut envelope, &mut rand::rng()).unwrap_err();
    assert!(matches!(refused, StreamError::Short { expected: 11, actual: 10 }), "{refused}");
}

#[test]
fn a_size_over_the_limit_is_refused_before_anything_is_written() {
    let envelope = sealed(&content(100));
    let mut plain = Vec::new();
    let refused = open_stream(&CONTEXT, &key(), &envelope[..], 99, &mut plain).unwrap_err();
    let expected = EnvelopeError::TooLarge { size: 100, max: 99 };
    assert!(matches!(refused, StreamError::Envelope(error) if error == expected));
    assert!(plain.is_empty());
}
