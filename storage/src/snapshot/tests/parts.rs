//! Spans, the reach of headers, and the files of a folder.

use super::{super::manifest::first_header, *};

#[test]
fn headers_begin_where_blockhash_reaches() {
    assert_eq!([1, 254, 255, 256, 1_000].map(first_header), [1, 1, 1, 2, 746]);
}

#[test]
fn spans_halve_and_follow_each_other() {
    let [left, right] = Span::WHOLE.halves();
    assert_eq!((left.above(), right.above()), (Some(right.start), None));
    assert!(left.contains(&B256::repeat_byte(0x7f)) && !left.contains(&B256::repeat_byte(0x80)));
    let deep = Span { start: B256::repeat_byte(0xab), bits: 255 };
    assert!(!deep.is_sound(), "a bit below those of the span is set");
    assert!(!Span { start: B256::ZERO, bits: 256 }.is_sound());
    let mut span = Span::WHOLE;
    for _ in 0..255 {
        let [left, right] = span.halves();
        assert!(left.is_sound() && right.is_sound());
        assert_eq!(right.above(), span.above());
        span = right;
    }
    assert_eq!((span.depth(), Span::WHOLE.depth()), (64, 0));
}
