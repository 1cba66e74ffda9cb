//! A sealed payload, streamed through.

use std::{
    fs,
    io::{self, Read, Write},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use neura_blobs::{EncryptionSecretKey, EnvelopeContext, Purpose, open_stream, seal_stream};
use serde::Serialize;

use super::{Goal, rounded};

const MIB: f64 = (1 << 20) as f64;
/// What the payload repeats: as many bytes as no size of chunk divides, so that no chunk looks like its neighbour.
const PERIOD: usize = 65_521;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    measures: &'static str,
    mib: f64,
    seconds: f64,
    mib_per_second: f64,
    /// By how much this process grew over what it was at before.
    goal: Goal,
}

/// Seals and opens `bytes` bytes at the same time, through a pipe.
pub(super) fn measure(bytes: u64) -> Result<Report> {
    let key = EncryptionSecretKey::generate(&mut rand::rng());
    let context = EnvelopeContext {
        chain_id: 1,
        purpose: Purpose::Payload,
        owner: [1; 20],
        provider: [2; 20],
        binding: [3; 32],
    };
    let before = peak_resident_bytes()?;
    let (reader, writer) = io::pipe()?;
    let started = Instant::now();
    let public = key.public_key();
    let sealing = thread::spawn(move || {
        let source = Pattern::new().take(bytes);
        seal_stream(&context, &[public], (source, bytes), writer, &mut rand::rng())
    });
    let mut check = Pattern::new();
    let opened = open_stream(&context, &key, reader, bytes, &mut check)?;
    sealing.join().ok().context("the sealing thread panicked")??;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(opened == bytes && check.right, "the payload came out changed");
    let grown = peak_resident_bytes()?.saturating_sub(before) as f64 / MIB;
    Ok(Report {
        measures: "sealed and opened at once, a pipe between, one core each",
        mib: bytes as f64 / MIB,
        seconds: rounded(seconds),
        mib_per_second: rounded(bytes as f64 / seconds / MIB),
        goal: Goal::below("MiB of memory that sealing and opening take", 16.0, Some(grown)),
    })
}

/// Greatest resident size of this process so far.
fn peak_resident_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("the system does not tell the greatest size of this process")? << 10)
}

/// Endless bytes as a source, and as a sink that compares with them.
#[derive(Debug)]
struct Pattern {
    bytes: Vec<u8>,
    /// Place of the next byte.
    at: usize,
    /// Whether all that was written was right.
    right: bool,
}

impl Pattern {
    fn new() -> Self {
        let bytes = (0..PERIOD).map(|at| (at * at / 7) as u8).collect();
        Self { bytes, at: 0, right: true }
    }

    /// The next bytes, at most so many.
    fn next(&mut self, most: usize) -> &[u8] {
        let start = self.at;
        let end = (start + most).min(PERIOD);
        self.at = end % PERIOD;
        &self.bytes[start..end]
    }
}

impl Read for Pattern {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(to.len());
        to[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Pattern {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let expected = self.next(from.len());
        let (length, right) = (expected.len(), from.starts_with(expected));
        self.right &= right;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_many_chunks_comes_out_as_it_went_in() {
        let report = measure(3 << 20).unwrap();
        assert_eq!((report.mib, report.goal.measured.is_some()), (3.0, true));
    }

    #[test]
    fn a_changed_byte_is_seen() {
        let mut bytes = vec![0; 200_000];
        Pattern::new().read_exact(&mut bytes).unwrap();
        let right = |bytes: &[u8]| {
            let mut check = Pattern::new();
            check.write_all(bytes).unwrap();
            check.right
        };
        assert!(right(&bytes));
        bytes[199_999] ^= 1;
        assert!(!right(&bytes));
    }
}
