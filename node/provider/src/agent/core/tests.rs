use super::*;

const GIB: u64 = 1 << 30;

/// Jobs that are computed at a time on a machine of so many cores and so much memory.
fn at_once(cpu_cores: u32, ram_gib: u32, memory: Option<u64>) -> [usize; 2] {
    let capability = Capability {
        gpu_model: String::new(),
        gpu_backend: String::new(),
        gpu_memory_mib: 0,
        cpu_cores,
        ram_mib: ram_gib * 1_024,
        disk_mib: 0,
    };
    let places = Places::new(&capability, memory);
    [Executor::Int8, Executor::Wasm].map(|executor| places.of(executor).available_permits())
}

#[test]
fn the_device_does_one_job_and_the_processor_as_many_as_have_core_and_memory() {
    assert_eq!(at_once(16, 64, Some(8 * GIB)), [1, 7], "memory for eight, one on the device");
    assert_eq!(at_once(4, 64, Some(8 * GIB)), [1, 4], "a core each");
    assert_eq!(at_once(4, 64, None), [1, 4]);
    assert_eq!(at_once(16, 4, Some(8 * GIB)), [1, 1], "one is always taken");
    assert_eq!(at_once(0, 0, Some(0)), [1, 1], "where the system does not tell");
}
