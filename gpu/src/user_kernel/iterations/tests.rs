use super::*;
use wgpu::naga::front::wgsl;

/// Counts a kernel with this body.
fn counted(body: &str) -> u64 {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        const SIDE = 70000;
        fn hundred() {{ for (var i = 0; i < 100; i++) {{ out[i] = 1u; }} }}
        fn put(to: ptr<function, u32>) {{ *to = 9u; }}
        @compute @workgroup_size(1) fn main() {{ {body} }}"
    );
    let module = wgsl::parse_str(&source).unwrap();
    least(&module, &module.entry_points[0])
}

#[test]
fn loops_over_constants_are_counted_with_their_last_look() {
    for (body, iterations) in [
        ("for (var i = 0u; i < 10u; i++) { out[i] = i; }", 11),
        ("for (var i = 0; i < SIDE; i++) { out[i] = 1u; }", 70_001),
        ("for (var i = 9; i >= 0; i -= 2) { out[i] = 1u; }", 6),
        ("for (var i = 1u; i != 64u; i *= 2u) { out[i] = i; }", 7),
        ("for (var i = 32u; i > 0u; i >>= 1u) { out[i] = i; }", 7),
        ("for (var i = 0; i < 10; i++) { for (var j = 0; j < 20; j++) { out[j] = 1u; } }", 221),
        ("var i = 3u; while i < 10u { out[i] = i; continue; }", 0),
        ("var i = 3u; loop { if i >= 10u { break; } out[i] = i; continuing { i++; } }", 8),
        ("for (var i = 0; i < 5; i++) { if out[i] > 3u { continue; } hundred(); }", 6),
        (
            "for (var i = 0; i < 5; i++) { switch out[i] { case 1u: { continue; } default: {} } hundred(); }",
            6,
        ),
        ("for (var i = 0; i < 5; i++) { hundred(); }", 6 + 5 * 101),
        ("hundred(); hundred();", 202),
        ("if out[0] > 1u { hundred(); } else { hundred(); hundred(); }", 101),
        ("for (var i = 5; i < 5; i++) { out[i] = 1u; }", 1),
        ("if out[0] > 1u { return; } hundred();", 0),
    ] {
        assert_eq!(counted(body), iterations, "{body}");
    }
    assert!(counted("for (var i = 0u; i < 1u; i *= 2u) { out[i] = i; }") > MOST_STEPS / 2);
}

#[test]
fn a_source_made_to_count_long_is_counted_soon() {
    let endless = "for (var i = 0u; i < 1u; i *= 2u) { out[i] = i; }".repeat(1_000);
    assert!(counted(&endless) < 2 * MOST_STEPS);
    let sum = format!(
        "let n = 1u{}; for (var i = 0u; i < n; i++) {{ out[i] = i; }}",
        " + out[1]".repeat(300)
    );
    assert_eq!(counted(&sum), 0);
}

#[test]
fn what_the_source_does_not_tell_counts_as_nothing() {
    for body in [
        "for (var i = 0u; i < out[0]; i++) { out[i] = i; }",
        "for (var i = out[0]; i < 70000u; i++) { out[i] = i; }",
        "for (var i = 0u; i < 70000u; i++) { if out[i] > 3u { break; } }",
        "for (var i = 0u; i < 70000u; i++) { if out[i] > 3u { return; } }",
        "for (var i = 0u; i < 70000u; i++) { if out[i] > 3u { i = 69999u; } }",
        "for (var i = 0u; i < 70000u; i++) { put(&i); }",
        "for (var i = 0u; i < 70000u; i += out[0]) { out[i] = i; }",
        "if out[0] > 3u { for (var i = 0u; i < 70000u; i++) { out[i] = i; } }",
        "var i = 0u; if out[0] > 3u { i = 69999u; } for (; i < 70000u; i++) { out[i] = i; }",
        "var i = 0u; put(&i); for (; i < 70000u; i++) { out[i] = i; }",
        "switch out[0] { case 1u: { hundred(); } default: {} }",
        "loop { if out[0] > 3u { break; } hundred(); }",
        "var i = 9u; let n = i; i = 0u; for (; i < n; i++) { out[i] = i; }",
    ] {
        assert_eq!(counted(body), 0, "{body}");
    }
}
