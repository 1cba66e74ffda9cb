use super::super::{KernelBuffer, KernelError, KernelPass, UserKernel};

/// A kernel with a buffer that it writes, one that it reads, one of parameters, workgroup memory, and this body.
fn kernel(functions: &str, body: &str) -> Result<UserKernel, KernelError> {
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<storage, read> given: array<u32>;
        @group(0) @binding(2) var<uniform> size: vec4<u32>;
        var<workgroup> shared_sums: array<u32, 64>;
        var<private> own: u32;
        {functions}
        struct Input {{
            @builtin(workgroup_id) group: vec3<u32>,
            @builtin(local_invocation_index) index: u32,
        }}
        @compute @workgroup_size(64)
        fn main(input: Input, @builtin(global_invocation_id) id: vec3<u32>,
            @builtin(num_workgroups) groups: vec3<u32>) {{
            let i = input.index;
            out[id.x] = given[i] + size.x + shared_sums[i] + own + groups.x;
            {body}
        }}"
    );
    let buffer = KernelBuffer { bytes: 256, contents: Vec::new(), output: true };
    let pass = KernelPass { entry: "main".into(), workgroups: [1; 3] };
    UserKernel::new(&source, vec![buffer; 3], vec![pass], 100)
}

/// Checks that a kernel is refused for its barrier, and nothing else.
fn refused(functions: &str, body: &str) {
    let refused = kernel(functions, body).err();
    assert!(matches!(refused, Some(KernelError::BarrierApart { .. })), "{body}: {refused:?}");
}

#[test]
fn barriers_to_which_all_come_are_accepted() {
    for body in [
        "workgroupBarrier(); storageBarrier();",
        // A sum over a workgroup.
        "for (var step = 32u; step > 0u; step /= 2u) {
            if i < step { shared_sums[i] += shared_sums[i + step]; }
            workgroupBarrier();
        }",
        // Tiles of a product, as many as a parameter says.
        "var sum = 0u;
        for (var tile = 0u; tile < size.x / 8u; tile++) {
            shared_sums[i] = given[tile * 64u + i];
            workgroupBarrier();
            for (var k = 0u; k < i; k++) { sum += shared_sums[k]; }
            workgroupBarrier();
        }
        out[i] = sum;",
        "if given[input.group.x] > 3u && groups.x > 1u { workgroupBarrier(); }",
        "for (var k = 0u; k < i; k++) { if k == 5u { continue; } out[k] = k; } workgroupBarrier();",
        "switch size.y { case 1u: { workgroupBarrier(); } default: { if i == 0u { break; } own = 1u; } }
        workgroupBarrier();",
        "if size.x == 0u { return; } workgroupBarrier();",
        "let agreed = workgroupUniformLoad(&shared_sums[3]); if agreed > 2u { workgroupBarrier(); }",
        "var n = 0u; loop { workgroupBarrier(); continuing { n++; break if n >= size.z; } }",
        "var at: vec3<u32> = input.group; at.x += 1u; if at.x < 9u { workgroupBarrier(); }",
        "if i == 0u { return; }",
    ] {
        kernel("", body).unwrap_or_else(|error| panic!("{body}: {error}"));
    }
    let meet = "fn meet(n: u32) -> u32 { workgroupBarrier(); return n * 2u; }";
    kernel(meet, "if meet(size.x) > 3u { out[i] = meet(2u); workgroupBarrier(); }").unwrap();
}

#[test]
fn a_barrier_to_which_not_all_may_come_is_refused_with_its_line() {
    for body in [
        "if i < 3u { workgroupBarrier(); }",
        "if i < 3u { storageBarrier(); }",
        "if out[0] > 3u { workgroupBarrier(); }",
        "if shared_sums[0] > 3u { workgroupBarrier(); }",
        "if own > 3u { workgroupBarrier(); }",
        "if given[i] > 3u { workgroupBarrier(); }",
        "if i == 0u { return; } workgroupBarrier();",
        "if size.x > 1u { if id.x == 0u { return; } } workgroupBarrier();",
        "for (var k = 0u; k < i; k++) { workgroupBarrier(); }",
        "loop { if i == 3u { break; } workgroupBarrier(); if size.x > 0u { break; } }",
        // The second time around, some are gone.
        "loop { workgroupBarrier(); if i == 3u { break; } if size.x > 0u { break; } }",
        "loop { workgroupBarrier(); if i == 3u { return; } if size.x > 0u { break; } }",
        "for (var k = 0u; k < 4u; k++) { if i == k { continue; } workgroupBarrier(); }",
        "var n = 0u; loop { workgroupBarrier(); continuing { n++; break if n >= i; } }",
        "switch i { case 1u: { workgroupBarrier(); } default: {} }",
        "switch size.x { default: { if i == 0u { break; } workgroupBarrier(); } }",
        "var n = 0u; if i == 2u { n = 1u; } if n == 1u { workgroupBarrier(); }",
        "var n = 0u; for (var k = 0u; k < i; k++) { n++; } if n > 4u { workgroupBarrier(); }",
        "var v = vec2<u32>(); v[i & 1u] = 1u; if v.x > 0u { workgroupBarrier(); }",
        "let old = out[i]; let most = select(size.x, size.y, old > 3u); if most > 1u { workgroupBarrier(); }",
        "if i > 2u && size.x > 3u { workgroupBarrier(); }",
        "if i < 3u { out[0] = workgroupUniformLoad(&shared_sums[3]); }",
    ] {
        let refused = kernel("", &format!("\n{body}")).err();
        assert!(matches!(refused, Some(KernelError::BarrierApart { line: 17 })), "{body}");
    }
}

#[test]
fn functions_are_seen_through() {
    let meet = "fn meet() { workgroupBarrier(); } fn through(n: u32) { if n > 3u { meet(); } }";
    kernel(meet, "through(size.x); meet();").unwrap();
    for body in ["if i == 0u { meet(); }", "through(i);", "if i == 0u { through(1u); }"] {
        refused(meet, body);
    }
    let called = "fn chosen(n: u32) -> u32 { if own > n { return 1u; } return 2u; }
    fn put(at: ptr<function, u32>) { *at = own; }
    fn got(at: ptr<function, u32>) -> u32 { return *at; }";
    for body in [
        "if chosen(3u) == 1u { workgroupBarrier(); }",
        "var n = 0u; put(&n); if n == 1u { workgroupBarrier(); }",
        "var n = i; if got(&n) == 1u { workgroupBarrier(); }",
    ] {
        refused(called, body);
    }
}

#[test]
fn a_variable_differs_from_where_it_was_last_set() {
    for body in [
        "var n = i; out[n] = 1u; n = size.x; if n > 3u { workgroupBarrier(); }",
        "var k: u32; for (k = i; k < 9u; k++) { own += k; } for (k = 0u; k < 9u; k++) { workgroupBarrier(); }",
        "for (var k = 0u; k < 9u; k++) { var n = size.x; if n > k { workgroupBarrier(); } n = i; own = n; }",
    ] {
        kernel("", body).unwrap_or_else(|error| panic!("{body}: {error}"));
    }
    for body in [
        "var n = size.x; n = i; if n > 3u { workgroupBarrier(); }",
        "var n = i; if size.y > 3u { n = size.x; } if n > 3u { workgroupBarrier(); }",
        "var n = size.x; if size.y > 3u { n = i; } else { n = 4u; } if n > 3u { workgroupBarrier(); }",
        "var n = size.x; for (var k = 0u; k < 9u; k++) { if n > k { workgroupBarrier(); } n = i; }",
        "var n = i; for (var k = 0u; k < size.y; k++) { n = 4u; } if n > 3u { workgroupBarrier(); }",
        "var n = i; loop { if size.x > 3u { break; } n = 4u; if size.y > 3u { break; } } if n > 3u { workgroupBarrier(); }",
        "var n = 4u; loop { n = i; if size.x > 3u { continue; } n = 4u; continuing { break if n > 3u; } } workgroupBarrier();
        loop { n = i; if size.x > 3u { continue; } n = 4u; workgroupBarrier(); continuing { break if n > 3u; } }",
        "var n = i; switch size.x { case 1u: { n = 1u; } default: {} } if n > 3u { workgroupBarrier(); }",
        "var n = i; if i < 3u { n = 4u; } if n > 3u { workgroupBarrier(); }",
        "var v = vec2<u32>(i); v.x = 1u; if v.y > 3u { workgroupBarrier(); }",
    ] {
        refused("", body);
    }
}

#[test]
fn a_function_gives_what_all_share_for_what_all_share() {
    let up = "fn up(x: u32) -> u32 { var n = x; if n > 3u { n = 3u; } return n; }";
    kernel(up, "out[i] = up(i); if up(size.x) > 1u { workgroupBarrier(); }").unwrap();
    kernel(up, "if i < 3u { out[i] = up(4u); } if up(size.x) > 1u { workgroupBarrier(); }")
        .unwrap();
    refused(up, "out[i] = up(size.x); if up(i) > 1u { workgroupBarrier(); }");
    refused(up, "var n = 0u; if i < 3u { n = up(4u); } if n > 1u { workgroupBarrier(); }");
    let through =
        "fn up(x: u32) -> u32 { return x + 1u; } fn twice(x: u32) -> u32 { return up(up(x)); }
    fn meet(x: u32) { if twice(x) > 3u { workgroupBarrier(); } }";
    kernel(through, "out[i] = twice(i); meet(size.x);").unwrap();
    refused(through, "meet(size.x); meet(i);");
    refused(through, "if i < 3u { meet(size.x); }");
}
