use proptest::prelude::*;

use super::*;

const TEXT: &str = "\
: keep-alive\n\
\n\
id: run-1\nevent: block_ordered\n\
data: {\"kind\":\"block_ordered\",\"id\":\"0x0000000000000000000000000000000000000000000000000000000000000001\",\n\
data: \"height\":7,\"transactions\":0,\"timestamp_ms\":9}\n\
\n\
id:run-2\r\nevent: of_a_later_version\r\ndata: {\"kind\":\"of_a_later_version\"}\r\n\r\n\
id: run-3\nevent: missed\ndata: {\"kind\":\"missed\"}\n\n\
id: run-4\ndata: {\"kind\":";

fn heights(parser: &Parser<ChainEvent>) -> Vec<Option<u64>> {
    let height = |event: &ChainEvent| match event {
        ChainEvent::BlockOrdered { height, .. } => Some(*height),
        _ => None,
    };
    parser.ready.iter().map(height).collect()
}

proptest! {
    #[test]
    fn events_are_the_same_however_the_bytes_are_cut(size in 1usize..40) {
        let mut parser = Parser::<ChainEvent>::default();
        for part in TEXT.as_bytes().chunks(size) {
            parser.feed(part).unwrap();
        }
        prop_assert_eq!(heights(&parser), [Some(7), None]);
        prop_assert_eq!(parser.id.as_deref(), Some("run-3"), "an unfinished event is not seen");
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Parser::<ChainEvent>::default().feed(&bytes);
    }
}

#[test]
fn an_event_without_end_is_refused_before_it_fills_the_memory() {
    let part = vec![b'x'; MAX_EVENT / 4 + 1];
    let mut one_line = Parser::<ChainEvent>::default();
    assert!((0..4).any(|_| one_line.feed(&part) == Err(TooLong)));
    let mut many_lines = Parser::<ChainEvent>::default();
    let line = [b"data: ", &part[..], b"\n"].concat();
    assert!((0..4).any(|_| many_lines.feed(&line) == Err(TooLong)));
}

#[test]
fn what_a_broken_connection_left_is_not_mixed_with_what_follows() {
    let mut parser = Parser::<ChainEvent>::default();
    parser.feed(b"id: 1\ndata: {\"kind\":\"missed\"}\n\nid: 2\ndata: {\"ki").unwrap();
    parser.restart();
    parser.feed(b"id: 3\ndata: {\"kind\":\"missed\"}\n\n").unwrap();
    assert_eq!((parser.ready.len(), parser.id.as_deref()), (2, Some("3")));
}
