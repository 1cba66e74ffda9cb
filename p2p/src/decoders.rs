//! Read what stands on streams, without streams: what fuzzing feeds.

use futures::{executor::block_on, io::Cursor};
use libp2p::{Multiaddr, PeerId, StreamProtocol, request_response::Codec as _};

use crate::{
    address::{Scope, ip_of, is_public},
    frame,
    requests::{Codec, Request, Response},
};

const NAME: StreamProtocol = StreamProtocol::new("/decoders");

/// The frames at the start of a stream, each of at most `max` bytes, and how many of the bytes they take.
pub fn frames(bytes: &[u8], max: usize) -> (Vec<Vec<u8>>, usize) {
    block_on(async {
        let (mut stream, mut frames, mut end) = (Cursor::new(bytes), Vec::new(), 0);
        while let Ok(length) = frame::read_length(&mut stream, max).await {
            let Ok(body) = frame::read_body(&mut stream, length).await else { break };
            end += frame::HEADER_BYTES + body.len();
            frames.push(body);
        }
        (frames, end)
    })
}

/// The bytes of frames on a stream.
pub fn write_frames(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().flat_map(|body| [&frame::header(body.len())[..], body].concat()).collect()
}

/// The request and the answer that stand in a stream, if they do.
pub fn exchange(bytes: &[u8], max: usize) -> (Option<bytes::Bytes>, Option<bytes::Bytes>) {
    block_on(async {
        let mut codec = Codec { max_request_bytes: max, max_response_bytes: max };
        let request = codec.read_request(&NAME, &mut Cursor::new(bytes)).await;
        let answer = codec.read_response(&NAME, &mut Cursor::new(bytes)).await;
        let request = match request {
            Ok(Request::Whole(bytes)) => Some(bytes),
            _ => None,
        };
        let answer = match answer {
            Ok(Response::Answer(bytes)) => Some(bytes),
            _ => None,
        };
        (request, answer)
    })
}

/// Whether an address that a peer tells is dialled in the internet, and is what it should then be.
pub fn address(peer: PeerId, bytes: &[u8]) -> Option<bool> {
    let told = Multiaddr::try_from(bytes.to_vec()).ok()?;
    let dialled = Scope::Public.dialable(peer, &told)?;
    Some(ip_of(&dialled).is_some_and(is_public))
}
