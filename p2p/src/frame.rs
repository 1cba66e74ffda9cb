//! Frames on a direct stream: a 4-byte little-endian length, then so many bytes.

use std::io;

use futures::{AsyncRead, AsyncReadExt};

/// Bytes of the length before each frame.
pub(crate) const HEADER_BYTES: usize = 4;

/// Why no frame follows.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The stream ended or failed, perhaps within a frame: the peer went away.
    Closed,
    /// The announced length is zero or above the maximum.
    Length(usize),
}

impl From<io::Error> for FrameError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// The header of a frame. Callers have checked that the length is below 64 MiB.
pub(crate) fn header(length: usize) -> [u8; HEADER_BYTES] {
    (length as u32).to_le_bytes()
}

/// Reads a header and checks the length, before anything is allocated for it.
pub(crate) async fn read_length<R>(stream: &mut R, max: usize) -> Result<usize, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let length = u32::from_le_bytes(header) as usize;
    if length == 0 || length > max { Err(FrameError::Length(length)) } else { Ok(length) }
}

/// Reads the body of a frame whose length has been checked.
pub(crate) async fn read_body<R>(stream: &mut R, length: usize) -> io::Result<Vec<u8>>
where
    R: AsyncRead + Unpin,
{
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 64;

    /// All frames of `bytes`, and why there are no more.
    fn frames(bytes: &[u8]) -> (Vec<Vec<u8>>, FrameError) {
        block_on(async {
            let (mut stream, mut frames) = (Cursor::new(bytes), Vec::new());
            loop {
                let length = match read_length(&mut stream, MAX).await {
                    Ok(length) => length,
                    Err(end) => return (frames, end),
                };
                match read_body(&mut stream, length).await {
                    Ok(body) => frames.push(body),
                    Err(e) => return (frames, e.into()),
                }
            }
        })
    }

    #[test]
    fn a_length_of_zero_or_above_the_maximum_is_refused() {
        for length in [0, MAX + 1, u32::MAX as usize] {
            let mut bytes = header(length).to_vec();
            bytes.extend([1; 2 * MAX]);
            let (read, end) = frames(&bytes);
            assert!(read.is_empty());
            assert!(matches!(end, FrameError::Length(l) if l == length));
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(
            input in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=MAX), 0..8),
            cut in 0usize..16,
        ) {
            let mut bytes = Vec::new();
            for frame in &input {
                bytes.extend(header(frame.len()));
                bytes.extend(frame);
            }
            let (read, end) = frames(&bytes);
            prop_assert_eq!(&read, &input);
            prop_assert!(matches!(end, FrameError::Closed));

            bytes.truncate(bytes.len().saturating_sub(cut));
            let (read, end) = frames(&bytes);
            prop_assert!(input.starts_with(&read));
            prop_assert!(matches!(end, FrameError::Closed));
        }

        #[test]
        fn garbage_never_panics_nor_exceeds_the_maximum(
            bytes in prop::collection::vec(any::<u8>(), 0..512),
        ) {
            let (read, _) = frames(&bytes);
            prop_assert!(read.iter().all(|frame| (1..=MAX).contains(&frame.len())));
        }
    }
}
