use super::*;

fn report() -> MachineReport {
    inspect(&Device::Cpu, &std::env::temp_dir()).unwrap()
}

#[test]
fn a_device_is_read_as_it_is_written() {
    for device in [Device::Best, Device::Cpu, Device::Named("RTX 4090".into())] {
        assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
    }
    assert_eq!("".parse::<Device>().unwrap(), Device::Best);
}

#[test]
fn the_cpu_reference_is_offered_as_what_it_is() {
    let offered = report().capability();
    assert_eq!(offered.gpu_backend, "cpu");
    assert!(offered.cpu_cores > 0 && offered.ram_mib > 0);
    assert_eq!(offered.disk_mib % DISK_STEP_MIB, 0);
}

#[test]
fn an_adapter_that_is_not_there_is_refused_with_what_to_do() {
    let device = Device::Named("no such adapter".into());
    let error = inspect(&device, &std::env::temp_dir()).unwrap_err();
    assert_eq!(error.code(), "no_device");
    let text = error.to_string();
    assert!(text.contains("mesa-vulkan-drivers") && text.contains("--device cpu"), "{text}");
}

#[test]
fn names_are_cut_to_what_the_registry_takes() {
    let mut report = report();
    report.device.name = "é".repeat(100);
    assert_eq!(report.capability().gpu_model, "é".repeat(64));
}

#[test]
fn the_screen_shows_each_part() {
    let mut report = report();
    report.others = vec![report.device.clone()];
    let text = report.to_string();
    for part in ["GPU ", "not used: ", "CPU ", "RAM ", "disk "] {
        assert!(text.contains(part), "{text}");
    }
}
