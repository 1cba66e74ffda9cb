use std::time::Duration;

use super::*;

fn gate(limits: Limits) -> Gate {
    Gate::new(&limits, false, Counter::default())
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// Somebody whose handshake goes on.
fn knock(gate: &mut Gate, connection: usize, from: &str) -> Result<(), Refusal> {
    gate.knock(ip(from), Instant::now())?;
    let pending = Pending { direction: Direction::Inbound, host: ip(from).map(host_of) };
    gate.pending.insert(ConnectionId::new_unchecked(connection), pending);
    Ok(())
}

/// An inbound connection from its handshake to its end.
fn enter(gate: &mut Gate, connection: usize, peer: PeerId, from: &str) -> Result<(), Refusal> {
    gate.admit_inbound(peer, ip(from), Instant::now())?;
    let connection = ConnectionId::new_unchecked(connection);
    gate.pending.remove(&connection);
    gate.open.insert(connection, Open { peer, direction: Direction::Inbound, ip: ip(from) });
    Ok(())
}

fn leave(gate: &mut Gate, connection: usize) {
    gate.open.remove(&ConnectionId::new_unchecked(connection));
}

#[test]
fn connections_per_host_are_bounded_and_counted_back() {
    let mut gate = gate(Limits { max_connections_per_ip: 2, ..Limits::default() });
    let crowded = |host: &str| Err(Refusal::CrowdedHost(host.parse().unwrap()));
    assert_eq!(knock(&mut gate, 1, "10.0.0.1"), Ok(()));
    assert_eq!(enter(&mut gate, 1, PeerId::random(), "10.0.0.1"), Ok(()));
    assert_eq!(knock(&mut gate, 2, "10.0.0.1"), Ok(()));
    assert_eq!(knock(&mut gate, 3, "10.0.0.1"), crowded("10.0.0.1"));
    assert_eq!(knock(&mut gate, 4, "10.0.0.2"), Ok(()));
    leave(&mut gate, 1);
    assert_eq!(knock(&mut gate, 5, "10.0.0.1"), Ok(()));
}

#[test]
fn a_host_of_ipv6_is_its_slash_64() {
    let mut gate = gate(Limits { max_connections_per_ip: 1, ..Limits::default() });
    assert_eq!(knock(&mut gate, 1, "2a01:4f8:1:2::3"), Ok(()));
    assert!(knock(&mut gate, 2, "2a01:4f8:1:2:ffff::").is_err());
    assert_eq!(knock(&mut gate, 3, "2a01:4f8:1:3::3"), Ok(()));
}

#[test]
fn processes_of_this_machine_are_not_counted_as_one_host() {
    let mut gate = gate(Limits { max_connections_per_ip: 1, ..Limits::default() });
    for connection in 0..50 {
        assert_eq!(knock(&mut gate, connection, "127.0.0.1"), Ok(()));
        assert_eq!(enter(&mut gate, connection, PeerId::random(), "127.0.0.1"), Ok(()));
    }
}

#[test]
fn a_neighbourhood_of_addresses_gets_a_bounded_number_of_places() {
    let mut gate = gate(Limits { max_connections_per_group: 3, ..Limits::default() });
    for last in 1..=3 {
        let from = format!("1.2.3.{last}");
        assert_eq!(enter(&mut gate, last, PeerId::random(), &from), Ok(()));
    }
    let refused = enter(&mut gate, 4, PeerId::random(), "1.2.3.4");
    assert!(matches!(refused, Err(Refusal::CrowdedGroup(_))));
    assert_eq!(enter(&mut gate, 5, PeerId::random(), "1.2.4.4"), Ok(()));
}

#[test]
fn reserved_peers_find_a_place_when_all_others_are_taken() {
    let mut gate = gate(Limits { max_inbound_connections: 2, ..Limits::default() });
    let validators = [PeerId::random(), PeerId::random()];
    gate.set_reserved(HashSet::from(validators));
    assert_eq!(enter(&mut gate, 0, validators[0], "10.1.0.0"), Ok(()));
    for connection in 1..=2 {
        assert_eq!(enter(&mut gate, connection, PeerId::random(), "10.0.0.1"), Ok(()));
    }
    let refused = enter(&mut gate, 3, PeerId::random(), "10.0.0.2");
    assert_eq!(refused, Err(Refusal::NoPlace(Direction::Inbound)));
    assert_eq!(enter(&mut gate, 4, validators[1], "10.1.0.1"), Ok(()));
    assert_eq!(gate.ordinary(Direction::Inbound), 2);
}

#[test]
fn a_validator_that_leaves_the_set_is_counted_as_an_ordinary_peer() {
    let mut gate = gate(Limits { max_inbound_connections: 1, ..Limits::default() });
    let former = PeerId::random();
    gate.set_reserved(HashSet::from([former]));
    assert_eq!(enter(&mut gate, 0, former, "10.0.0.1"), Ok(()));
    assert_eq!(gate.ordinary(Direction::Inbound), 0);
    gate.set_reserved(HashSet::new());
    assert_eq!(gate.ordinary(Direction::Inbound), 1);
    assert!(enter(&mut gate, 1, PeerId::random(), "10.0.0.2").is_err());
}

#[test]
fn a_crowd_of_handshakes_does_not_keep_out_the_hosts_of_reserved_peers() {
    let mut gate = gate(Limits { max_pending_inbound: 3, ..Limits::default() });
    let validator = PeerId::random();
    gate.set_reserved(HashSet::from([validator]));
    gate.trust(validator, &"/ip4/10.9.9.9/tcp/1".parse().unwrap());
    for connection in 1..=3 {
        assert_eq!(knock(&mut gate, connection, &format!("10.0.0.{connection}")), Ok(()));
    }
    assert_eq!(knock(&mut gate, 4, "10.0.0.4"), Err(Refusal::TooManyPending));
    for connection in 5..=7 {
        assert_eq!(knock(&mut gate, connection, "10.9.9.9"), Ok(()));
    }
    assert_eq!(knock(&mut gate, 8, "10.9.9.9"), Err(Refusal::TooManyPending));
    assert_eq!(gate.pending(), 6);
}

#[test]
fn a_host_that_knocks_without_end_is_made_to_wait() {
    let mut gate = gate(Limits::default());
    let now = Instant::now();
    let heard = (0..1000).filter(|_| gate.knock(ip("10.0.0.1"), now).is_ok()).count();
    assert_eq!(heard, KNOCKS_BURST as usize);
    assert_eq!(gate.knock(ip("10.0.0.2"), now), Ok(()));
    assert_eq!(gate.knock(ip("10.0.0.1"), now + Duration::from_secs(1)), Ok(()));
}

#[test]
fn a_peer_has_few_connections_and_a_banned_one_none() {
    let mut gate = gate(Limits::default());
    let (peer, now) = (PeerId::random(), Instant::now());
    for connection in 0..MAX_PER_ORDINARY_PEER {
        assert_eq!(enter(&mut gate, connection, peer, "10.0.0.1"), Ok(()));
    }
    assert_eq!(enter(&mut gate, 9, peer, "10.0.0.1"), Err(Refusal::CrowdedPeer));
    assert_eq!(gate.admit_dial(peer, now), Err(Refusal::CrowdedPeer));
    let banned = PeerId::random();
    gate.ban(banned, now + Duration::from_secs(60));
    assert_eq!(gate.admit_dial(banned, now), Err(Refusal::BannedPeer));
    assert_eq!(gate.admit_dial(banned, now + Duration::from_secs(61)), Ok(()));
}

#[test]
fn a_banned_host_keeps_its_reserved_peers() {
    let mut gate = gate(Limits::default());
    let (validator, now) = (PeerId::random(), Instant::now());
    gate.set_reserved(HashSet::from([validator]));
    gate.ban_host("10.0.0.1".parse().unwrap(), now + Duration::from_secs(60));
    let refused = Err(Refusal::BannedHost("10.0.0.1".parse().unwrap()));
    assert_eq!(gate.admit_inbound(PeerId::random(), ip("10.0.0.1"), now), refused);
    assert_eq!(knock(&mut gate, 1, "10.0.0.1"), refused);
    assert_eq!(gate.admit_inbound(validator, ip("10.0.0.1"), now), Ok(()));
}

#[test]
fn a_hidden_node_connects_with_reserved_peers_only() {
    let mut gate = Gate::new(&Limits::default(), true, Counter::default());
    let (sentry, now) = (PeerId::random(), Instant::now());
    gate.set_reserved(HashSet::from([sentry]));
    assert_eq!(gate.admit_inbound(sentry, ip("1.2.3.4"), now), Ok(()));
    assert_eq!(gate.admit_dial(sentry, now), Ok(()));
    let stranger = PeerId::random();
    assert_eq!(gate.admit_inbound(stranger, ip("1.2.3.4"), now), Err(Refusal::NotReserved));
    assert_eq!(gate.admit_dial(stranger, now), Err(Refusal::NotReserved));
}

#[test]
fn outbound_places_are_bounded_apart_from_inbound_ones() {
    let limits =
        Limits { max_outbound_connections: 1, max_inbound_connections: 0, ..Limits::default() };
    let mut gate = gate(limits);
    let now = Instant::now();
    assert_eq!(gate.admit_dial(PeerId::random(), now), Ok(()));
    let open = Open { peer: PeerId::random(), direction: Direction::Outbound, ip: ip("1.2.3.4") };
    gate.open.insert(ConnectionId::new_unchecked(1), open);
    let refused = Err(Refusal::NoPlace(Direction::Outbound));
    assert_eq!(gate.admit_dial(PeerId::random(), now), refused);
    assert_eq!(gate.outbound_in(group_of(ip("1.2.3.9").unwrap()).unwrap()), 1);
}
