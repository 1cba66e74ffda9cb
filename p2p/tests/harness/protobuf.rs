//! Packets of gossipsub and Kademlia, written by hand so that they can be wrong.

/// A number of seven bits per byte.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field of bytes, a string or a message.
pub(crate) fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field of a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A packet with its length before it.
pub(crate) fn packet(parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    [varint(body.len() as u64), body].concat()
}

/// What a gossip packet can hold.
pub(crate) mod gossip {
    use super::{field, number};

    pub(crate) fn subscribe(topic: &str, wanted: bool) -> Vec<u8> {
        field(1, &[number(1, wanted.into()), field(2, topic.as_bytes())].concat())
    }

    pub(crate) fn publish(topic: &str, data: &[u8]) -> Vec<u8> {
        field(2, &[field(2, data), field(4, topic.as_bytes())].concat())
    }

    pub(crate) fn ihave(topic: &str, ids: &[Vec<u8>]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| field(2, id)).collect();
        field(3, &field(1, &[field(1, topic.as_bytes()), ids].concat()))
    }

    pub(crate) fn iwant(ids: &[Vec<u8>]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| field(1, id)).collect();
        field(3, &field(2, &ids))
    }

    pub(crate) fn graft(topic: &str) -> Vec<u8> {
        field(3, &field(3, &field(1, topic.as_bytes())))
    }

    pub(crate) fn prune(topic: &str) -> Vec<u8> {
        field(3, &field(4, &[field(1, topic.as_bytes()), number(3, 60)].concat()))
    }

    pub(crate) fn idontwant(ids: &[Vec<u8>]) -> Vec<u8> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| field(1, id)).collect();
        field(3, &field(5, &ids))
    }
}

/// Questions of Kademlia.
pub(crate) mod kad {
    use super::{field, number, packet};

    pub(crate) fn put_value(key: &[u8]) -> Vec<u8> {
        let record = [field(1, key), field(2, &[7; 100])].concat();
        packet(&[number(1, 0), field(2, key), field(3, &record)])
    }

    pub(crate) fn find_node(key: &[u8]) -> Vec<u8> {
        packet(&[number(1, 4), field(2, key)])
    }
}
