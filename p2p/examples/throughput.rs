//! Measures one direction between two nodes in this process, over loopback TCP and QUIC.
//!
//! `cargo run -p neura-p2p --example throughput [MiB]` prints one JSON line.

// The line is the program's output.
#![allow(clippy::print_stdout)]

use std::{collections::BTreeSet, error::Error, time::Instant};

use bytes::Bytes;
use neura_p2p::{
    Class, Event, Multiaddr, Network, NetworkConfig, PeerId, SendError, chain_tag,
    peer_id_from_seed,
};

const BATCH_BYTES: usize = 256 * 1024;
const PINGS: usize = 2000;
const VOTE: Bytes = Bytes::from_static(&[7; 200]);

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mib: usize = std::env::args().nth(1).map_or(Ok(512), |n| n.parse())?;
    let tcp = measure("/ip4/127.0.0.1/tcp/0", mib).await?;
    let quic = measure("/ip4/127.0.0.1/udp/0/quic-v1", mib).await?;
    println!(
        "{{\"bench\":\"p2p-throughput\",\"frame_bytes\":{BATCH_BYTES},\"mib\":{mib},\
         \"tcp_mb_per_s\":{:.1},\"quic_mb_per_s\":{:.1},\
         \"tcp_vote_round_trip_us\":{:.1},\"quic_vote_round_trip_us\":{:.1}}}",
        tcp.mb_per_s, quic.mb_per_s, tcp.round_trip_us, quic.round_trip_us
    );
    Ok(())
}

struct Measured {
    mb_per_s: f64,
    round_trip_us: f64,
}

async fn measure(address: &str, mib: usize) -> Outcome<Measured> {
    let ids = [peer_id_from_seed(&[1; 32])?, peer_id_from_seed(&[2; 32])?];
    let mut receiver = Network::start(config(1, address, ids, Vec::new())?).await?;
    let listening = receiver.handle.listen_addrs().remove(0);
    let mut sender = Network::start(config(2, address, ids, vec![(ids[0], listening)])?).await?;
    connected(&mut sender).await;

    let echo = receiver.handle.clone();
    let frames = mib * 1024 * 1024 / BATCH_BYTES;
    let received = tokio::spawn(async move {
        let mut batches = 0;
        while let Some(event) = receiver.events.next().await {
            let Event::Message { from, class, bytes } = event else { continue };
            if class == Class::Consensus {
                echo.send(from, class, bytes).expect("the sender stays connected");
            } else {
                batches += 1;
                if batches == frames {
                    break;
                }
            }
        }
        Instant::now()
    });

    let round_trip_us = round_trip(&mut sender, ids[0]).await?;
    let start = Instant::now();
    let batch = Bytes::from(vec![42; BATCH_BYTES]);
    for _ in 0..frames {
        while let Err(SendError::Full { .. }) =
            sender.handle.send(ids[0], Class::Batch, batch.clone())
        {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    let seconds = (received.await? - start).as_secs_f64();
    sender.handle.shutdown().await;
    Ok(Measured { mb_per_s: (frames * BATCH_BYTES) as f64 / 1e6 / seconds, round_trip_us })
}

/// Mean time from sending a vote to having it back.
async fn round_trip(sender: &mut Network, peer: PeerId) -> Outcome<f64> {
    let start = Instant::now();
    for _ in 0..PINGS {
        sender.handle.send(peer, Class::Consensus, VOTE)?;
        while !matches!(sender.events.next().await, Some(Event::Message { .. })) {}
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / PINGS as f64)
}

async fn connected(network: &mut Network) {
    while !matches!(network.events.next().await, Some(Event::Connected(_)) | None) {}
}

fn config(
    number: u8,
    listen: &str,
    validators: [PeerId; 2],
    bootstrap: Vec<(PeerId, Multiaddr)>,
) -> Outcome<NetworkConfig> {
    let mut config = NetworkConfig::new([number; 32], chain_tag(1, &[7; 32]));
    config.listen = vec![listen.parse()?];
    config.validators = BTreeSet::from(validators);
    config.bootstrap = bootstrap;
    Ok(config)
}
