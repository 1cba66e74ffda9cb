use super::*;

const DOUBLE: &str = "
@group(0) @binding(0) var<storage, read_write> values: array<u32>;
@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < arrayLength(&values) { values[id.x] *= 2u; }
}";

fn buffer(bytes: u64) -> KernelBuffer {
    KernelBuffer { bytes, contents: Vec::new(), output: true }
}

fn pass(entry: &str) -> KernelPass {
    KernelPass { entry: entry.into(), workgroups: [1; 3] }
}

fn check(source: &str, buffers: usize) -> Result<UserKernel, KernelError> {
    UserKernel::new(source, vec![buffer(64); buffers], vec![pass("main")], 100)
}

#[test]
fn a_kernel_with_its_buffers_is_accepted() {
    let kernel = UserKernel::new(DOUBLE, vec![buffer(256)], vec![pass("double")], 10).unwrap();
    assert_eq!(kernel.usages, [Usage::ReadWrite]);
    assert_eq!(kernel.memory_bytes(), 512);
}

#[test]
fn buffers_and_passes_must_fit_the_source() {
    let new = |buffers, passes| UserKernel::new(DOUBLE, buffers, passes, 10).unwrap_err();
    let text = |error: KernelError| error.to_string();
    assert!(text(new(vec![], vec![pass("double")])).contains("binding 0"));
    assert!(text(new(vec![buffer(4); 2], vec![pass("double")])).contains("buffer 1"));
    assert!(text(new(vec![buffer(6)], vec![pass("double")])).contains("multiple of 4"));
    assert!(text(new(vec![buffer(4)], vec![pass("triple")])).contains("there are: double"));
    assert!(text(new(vec![buffer(4)], vec![])).contains("no pass"));
    let contents = KernelBuffer { contents: vec![0; 8], ..buffer(4) };
    assert!(text(new(vec![contents], vec![pass("double")])).contains("contents 8"));
    let many = KernelPass { workgroups: [1, 65_536, 1], ..pass("double") };
    assert!(matches!(new(vec![buffer(4)], vec![many]), KernelError::TooLarge { .. }));
    let large = vec![buffer(MAX_BINDING_BYTES + 4)];
    assert!(matches!(new(large, vec![pass("double")]), KernelError::TooLarge { .. }));
}

#[test]
fn launches_are_added_up_over_passes() {
    let wide = KernelPass { workgroups: [MAX_WORKGROUPS, MAX_WORKGROUPS, 1], ..pass("double") };
    let kernel = |passes| UserKernel::new(DOUBLE, vec![buffer(4)], passes, 10).unwrap().launches();
    let groups: u64 = 65_535 * 65_535;
    let twice = Launches { workgroups: groups + 1, invocations: (groups + 1) * 64 };
    assert_eq!(kernel(vec![pass("double"), wide]), twice);
    let most = KernelPass { workgroups: [MAX_WORKGROUPS; 3], ..pass("double") };
    assert_eq!(kernel(vec![most; MAX_KERNEL_PASSES]).invocations, groups * 65_535 * 65_536);
}

#[test]
fn what_is_not_wgsl_is_refused_with_the_place() {
    let error = check("@compute @workgroup_size(1) fn main() { let x = ; }", 0).unwrap_err();
    assert!(matches!(&error, KernelError::Invalid { reason } if reason.contains(":1:")), "{error}");
    assert!(check("\0\u{feff}fn", 0).is_err());
    assert!(check(&"(".repeat(100_000), 0).is_err());
    let nested = format!(
        "@compute @workgroup_size(1) fn main() {{ var x = {}1{}; }}",
        "(".repeat(50_000),
        ")".repeat(50_000)
    );
    assert!(check(&nested, 0).is_err());
}

#[test]
fn only_computing_on_buffers_is_allowed() {
    let main = "@compute @workgroup_size(1) fn main() {}";
    for other in [
        "@group(0) @binding(0) var t: texture_2d<f32>;",
        "@group(0) @binding(0) var s: sampler;",
        "override n: u32 = 3;",
        "@fragment fn f() {}",
        "enable f16; var<private> h: f16;",
    ] {
        assert!(check(&format!("{other}\n{main}"), 1).is_err(), "{other}");
    }
}

#[test]
fn memory_of_a_kernel_is_bounded() {
    let with = |memory: &str| {
        check(&format!("{memory}\n@compute @workgroup_size(1) fn main() {{ a[0] = 1u; }}"), 0)
    };
    assert!(with("var<private> a: array<u32, 1000>;").is_ok());
    assert!(with("var<private> a: array<u32, 100000>;").is_err());
    assert!(with("var<workgroup> a: array<u32, 1000>;").is_ok());
    assert!(with("var<workgroup> a: array<u32, 5000>;").is_err());
    let wide = "@compute @workgroup_size(512) fn main() {}";
    assert!(matches!(check(wide, 0), Err(KernelError::TooLarge { .. })));
}

#[test]
fn calls_that_multiply_are_refused_before_a_driver_expands_them() {
    let doubling = |depth: u32| {
        let functions: String =
            (1..=depth).map(|n| format!("fn f{n}() {{ f{0}(); f{0}(); }}\n", n - 1)).collect();
        check(
            &format!(
                "var<private> n: u32; fn f0() {{ n += 1u; }}\n{functions}\n@compute @workgroup_size(1) fn main() {{ f{depth}(); }}"
            ),
            0,
        )
    };
    doubling(10).unwrap();
    assert!(matches!(doubling(60), Err(KernelError::TooLarge { .. })));
}

#[test]
fn loops_and_barriers_can_all_be_metered() {
    let source = "
    var<workgroup> sums: array<u32, 64>;
    @group(0) @binding(0) var<storage, read_write> out: array<u32>;
    struct Pair { a: u32, b: vec2<f32> }
    fn pair(n: u32) -> Pair { var p: Pair; loop { p.a += n; if p.a > 9u { break; } } return p; }
    fn nothing() { while true { return; } }
    @compute @workgroup_size(64)
    fn main(@builtin(local_invocation_index) i: u32) {
        for (var step = 32u; step > 0u; step /= 2u) {
            workgroupBarrier();
            if i < step { sums[i] += sums[i + step]; }
        }
        switch i { case 1u: { nothing(); } default: { for (var j = 0u; j < 3u; j++) { out[j] = pair(j).a; } } }
        var k = 0u;
        loop { continuing { k++; break if k > 4u; } }
    }";
    check(source, 1).unwrap();
}
