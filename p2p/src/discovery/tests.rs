use super::*;

fn behaviour() -> Behaviour {
    Behaviour::new(PeerId::random(), Some(StreamProtocol::new("/test/kad/1")))
}

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

#[test]
fn the_routing_table_takes_few_peers_of_one_public_network() {
    let mut behaviour = behaviour();
    for last in 0..100 {
        behaviour.learn(PeerId::random(), &[address(&format!("/ip4/1.2.3.{last}/tcp/1"))]);
    }
    assert_eq!(behaviour.table_len(), MAX_TABLE_PER_GROUP);
    behaviour.learn(PeerId::random(), &[address("/ip4/1.2.4.1/tcp/1")]);
    assert_eq!(behaviour.table_len(), MAX_TABLE_PER_GROUP + 1);
}

#[test]
fn the_routing_table_is_bounded_and_holds_few_addresses_of_a_peer() {
    let mut behaviour = behaviour();
    for number in 0..20_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        behaviour.learn(PeerId::random(), &[address(&format!("/ip4/10.{b}.{c}.{d}/tcp/1"))]);
    }
    // 20 places for each length of a common prefix with the local id; long ones do not occur.
    assert!(behaviour.table_len() <= 20 * 24, "{}", behaviour.table_len());

    let peer = PeerId::random();
    let mut behaviour = self::behaviour();
    for round in 1..10 {
        let told: Vec<_> =
            (1..50).map(|last| address(&format!("/ip4/10.0.{round}.{last}/tcp/1"))).collect();
        behaviour.learn(peer, &told);
    }
    behaviour.set_part(Scope::Any, true);
    let connection = ConnectionId::new_unchecked(1);
    let dialled = behaviour
        .handle_pending_outbound_connection(connection, Some(peer), &[], Endpoint::Dialer)
        .unwrap();
    assert_eq!(dialled.len(), MAX_ADDRESSES);
    assert!(dialled.iter().all(|a| a.to_string().starts_with("/ip4/10.0.9.")), "{dialled:?}");
}

#[test]
fn private_addresses_of_others_are_not_dialled_in_the_internet() {
    let mut behaviour = behaviour();
    let peer = PeerId::random();
    behaviour.learn(peer, &[address("/ip4/192.168.1.1/tcp/80"), address("/ip4/1.2.3.4/tcp/1")]);
    let dialled = |behaviour: &mut Behaviour| {
        let connection = ConnectionId::new_unchecked(1);
        behaviour
            .handle_pending_outbound_connection(connection, Some(peer), &[], Endpoint::Dialer)
            .unwrap()
    };
    assert_eq!(dialled(&mut behaviour), [address("/ip4/1.2.3.4/tcp/1")]);
    behaviour.set_part(Scope::Any, true);
    assert_eq!(dialled(&mut behaviour).len(), 2);
}

#[test]
fn without_discovery_nothing_is_learnt_or_looked_up() {
    let mut off = Behaviour::new(PeerId::random(), None);
    off.learn(PeerId::random(), &[address("/ip4/1.2.3.4/tcp/1")]);
    off.look_up(PeerId::random());
    assert_eq!((off.is_on(), off.table_len(), off.lookups()), (false, 0, 0));
}
