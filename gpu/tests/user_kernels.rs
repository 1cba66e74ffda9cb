//! Users' own kernels on whatever adapter the machine has.

use std::sync::OnceLock;

use neura_gpu::{
    Budget, GpuError, KernelBuffer, KernelPass, KernelRunner, KernelState, Launches, Selector,
    UserKernel,
};

/// The machine's adapter; the tests need one, if only a software driver.
fn runner() -> &'static KernelRunner {
    static RUNNER: OnceLock<KernelRunner> = OnceLock::new();
    RUNNER.get_or_init(|| KernelRunner::new(&Selector::Best, Budget::default()).unwrap())
}

fn words(values: &[u32]) -> KernelBuffer {
    let contents: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    KernelBuffer { bytes: contents.len() as u64, contents, output: true }
}

fn read(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn pass(entry: &str, workgroups: u32) -> KernelPass {
    KernelPass { entry: entry.into(), workgroups: [workgroups, 1, 1] }
}

#[test]
fn passes_run_one_after_the_other_over_the_same_buffers() {
    let source = "
    struct Size { n: u32 }
    @group(0) @binding(0) var<uniform> size: Size;
    @group(0) @binding(1) var<storage, read> source: array<u32>;
    @group(0) @binding(2) var<storage, read_write> to: array<u32>;
    @compute @workgroup_size(64)
    fn copy(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < size.n { to[id.x] = source[id.x]; }
    }
    @compute @workgroup_size(64)
    fn square(@builtin(global_invocation_id) id: vec3<u32>) {
        if id.x < size.n { to[id.x] *= to[id.x]; }
    }";
    let values: Vec<u32> = (0..100).collect();
    let input = KernelBuffer { output: false, ..words(&values) };
    let size = KernelBuffer { output: false, ..words(&[100, 0, 0, 0]) };
    let output = KernelBuffer { bytes: 400, contents: Vec::new(), output: true };
    let passes = vec![pass("copy", 2), pass("square", 2)];
    let kernel = UserKernel::new(source, vec![size, input, output], passes, 10).unwrap();
    let outputs = runner().run(&kernel).unwrap();
    assert_eq!(outputs.len(), 1);
    assert_eq!(read(&outputs[0]), values.iter().map(|value| value * value).collect::<Vec<_>>());
}

#[test]
fn a_job_taken_up_after_any_pass_gives_the_same_buffers() {
    let source = "
    @group(0) @binding(0) var<storage, read> step: array<u32>;
    @group(0) @binding(1) var<storage, read_write> odd: array<u32>;
    @group(0) @binding(2) var<storage, read_write> even: array<u32>;
    @compute @workgroup_size(64)
    fn there(@builtin(global_invocation_id) id: vec3<u32>) { even[id.x] = odd[id.x] * 3u + step[0]; }
    @compute @workgroup_size(64)
    fn back(@builtin(global_invocation_id) id: vec3<u32>) { odd[id.x] = even[id.x] ^ step[0]; }";
    let values: Vec<u32> = (0..64).collect();
    let step = KernelBuffer { output: false, ..words(&[7]) };
    let even = KernelBuffer { bytes: 256, contents: Vec::new(), output: true };
    let passes = (0..6).map(|at| pass(["there", "back"][at % 2], 1)).collect();
    let kernel = UserKernel::new(source, vec![step, words(&values), even], passes, 10).unwrap();
    let mut states = Vec::new();
    let whole = runner().run_from(&kernel, None, |done, state| {
        states.push(state()?.unwrap());
        assert_eq!(states.last().unwrap().passes, done);
        Ok(())
    });
    let whole = whole.unwrap();
    assert_eq!(states.len(), 6);
    let last = states.pop().unwrap();
    assert!(kernel.check_state(&last).is_err(), "nothing is left to do after it");
    for state in states {
        let mut done = Vec::new();
        let rest = runner().run_from(&kernel, Some(&state), |passes, _| {
            done.push(passes);
            Ok(())
        });
        assert_eq!(rest.unwrap(), whole, "after {}", state.passes);
        assert_eq!(done, (state.passes + 1..=6).collect::<Vec<_>>());
        let short = KernelState { contents: state.contents[1..].to_vec(), ..state };
        assert!(runner().run_from(&kernel, Some(&short), |_, _| Ok(())).is_err());
    }
}

#[test]
fn fuel_pays_for_exactly_so_many_iterations() {
    let source = "
    @group(0) @binding(0) var<storage, read_write> n: array<u32>;
    @compute @workgroup_size(1)
    fn main() {
        for (var i = 0u; i < n[0]; i++) { n[1] += 1u; }
    }";
    let run = |iterations, fuel| {
        let buffers = vec![words(&[iterations, 0])];
        runner().run(&UserKernel::new(source, buffers, vec![pass("main", 1)], fuel).unwrap())
    };
    // The head of the loop is passed once more than its body.
    assert_eq!(read(&run(1_000, 1_001).unwrap()[0]), [1_000, 1_000]);
    let spent = run(1_000, 1_000).unwrap_err();
    assert_eq!(spent, GpuError::OutOfFuel { fuel: 1_000, asked: 1_000 });
}

#[test]
fn an_endless_loop_is_stopped() {
    let endless = "
    @group(0) @binding(0) var<storage, read_write> n: array<u32>;
    @compute @workgroup_size(64)
    fn main() { loop { n[0] += 1u; if n[0] == 0u { break; } n[0] = 1u; } }";
    let kernel = UserKernel::new(endless, vec![words(&[0])], vec![pass("main", 1)], 5_000);
    let error = runner().run(&kernel.unwrap()).unwrap_err();
    assert!(matches!(error, GpuError::OutOfFuel { .. }), "{error}");
}

#[test]
fn indices_out_of_bounds_and_divisions_by_zero_are_contained() {
    let source = "
    @group(0) @binding(0) var<storage, read_write> n: array<u32, 4>;
    @group(0) @binding(1) var<storage, read_write> m: array<u32>;
    @compute @workgroup_size(1)
    fn main() {
        m[m[0]] = 7u;
        m[1] = 5u / m[3];
        n[m[2] & 3u] = m[4000000000u / (m[3] + 1u)];
    }";
    let buffers = vec![words(&[1; 4]), words(&[4_000_000_000, 0, 0, 0])];
    let kernel = UserKernel::new(source, buffers, vec![pass("main", 1)], 10).unwrap();
    assert_eq!(runner().run(&kernel).unwrap().len(), 2);
}

#[test]
fn starting_kernels_takes_time_that_is_measured() {
    let rate = runner().launch_rate().unwrap();
    assert!(rate.workgroups_per_second > 0 && rate.invocations_per_second > 0, "{rate:?}");
    let few = Launches { workgroups: 1, invocations: 1 };
    assert_eq!(rate.least_seconds(few), 0, "{rate:?}");
    let many = Launches { workgroups: u64::MAX, invocations: u64::MAX };
    assert!(rate.least_seconds(many) > 3_600, "{rate:?}");
}

#[test]
fn a_job_over_the_memory_is_refused_before_it_starts() {
    let budget = Budget { max_bytes: 1_000, ..Budget::default() };
    let small = KernelRunner::new(&Selector::Best, budget).unwrap();
    let source = "@group(0) @binding(0) var<storage, read_write> n: array<u32>;
    @compute @workgroup_size(1) fn main() { n[0] = 1u; }";
    let buffer = KernelBuffer { bytes: 4_096, contents: Vec::new(), output: true };
    let kernel = UserKernel::new(source, vec![buffer], vec![pass("main", 1)], 10).unwrap();
    assert_eq!(
        small.run(&kernel).unwrap_err(),
        GpuError::OverBudget { needed: 8_192, budget: 1_000 }
    );
}
