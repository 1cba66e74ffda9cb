//! Say which executors this machine can offer, and why not the others.

use std::fmt;

use neura_gpu::{Backend, Budget, DeviceInfo, KernelRunner, WgpuBackend};
use serde::Serialize;

use crate::{
    AgentConfig, Device, ProviderError, containers::Containers, executor::Executor,
    sandbox::Sandbox,
};

/// An executor, and whether it can be offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutorReport {
    /// Its name in offers and terms.
    pub name: &'static str,
    /// Whether it is offered.
    pub offered: bool,
    /// What it runs on, or why it is not offered and what to do.
    pub reason: String,
}

/// How jobs are confined, and what can be offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Means {
    /// Why jobs are not confined by bubblewrap, if they are not.
    pub unconfined: Option<String>,
    /// All executors of this build.
    pub executors: Vec<ExecutorReport>,
    #[serde(skip)]
    pub(crate) sandbox: Option<Sandbox>,
    #[serde(skip)]
    pub(crate) containers: Option<Containers>,
}

impl Means {
    /// Looks for the sandbox, and judges the executors.
    ///
    /// # Errors
    /// [`ProviderError::Config`] if the operator names an executor that there is not, or that cannot be offered.
    pub fn find(config: &AgentConfig) -> Result<Self, ProviderError> {
        let found = match config.sandbox {
            true => Sandbox::find(),
            false => Err("it is switched off".to_owned()),
        };
        let contained = Containers::find(&config.images, &std::env::temp_dir());
        let named = config.offer.executors.as_deref();
        let executors = Executor::ALL
            .map(|executor| {
                let wanted = named.map(|named| named.iter().any(|name| name == executor.name()));
                match executor {
                    Executor::Oci => judge_containers(&contained, wanted),
                    _ => judge(executor, &config.device, found.as_ref().err(), wanted),
                }
            })
            .to_vec();
        let unconfined = found.as_ref().err().cloned();
        let containers = contained.ok();
        let means = Self { unconfined, executors, sandbox: found.ok(), containers };
        named.unwrap_or_default().iter().try_for_each(|name| means.check(name))?;
        Ok(means)
    }

    /// Opens the device as jobs do, and no longer offers what it fails for: a driver that computes wrongly, say. Gives what
    /// the tests found out of the device. Blocks for up to some seconds. An agent that starts tests its device by itself, in
    /// a process of its own.
    pub fn test(&mut self, device: &Device) -> Option<DeviceInfo> {
        let selector = device.selector()?;
        let mut found = None;
        for report in self.executors.iter_mut().filter(|report| report.offered) {
            let opened = match Executor::named(report.name) {
                Some(Executor::Int8) => {
                    WgpuBackend::new(&selector).map(|backend| backend.info().clone())
                }
                Some(Executor::Wgsl) => KernelRunner::new(&selector, Budget::default())
                    .map(|runner| runner.info().clone()),
                _ => continue,
            };
            match opened {
                Ok(info) => {
                    report.reason += &format!(", whose driver passes its test: {}", info.driver);
                    if let Some(limit) = info.loop_limit {
                        report.reason += &format!("; it ends loops after {limit} iterations");
                    }
                    found = Some(info);
                }
                Err(error) => {
                    report.offered = false;
                    report.reason = error.to_string();
                }
            }
        }
        found
    }

    /// Names of what is offered.
    pub(crate) fn offered(&self) -> Vec<String> {
        let offered = self.executors.iter().filter(|report| report.offered);
        offered.map(|report| report.name.to_owned()).collect()
    }

    fn check(&self, name: &str) -> Result<(), ProviderError> {
        let wrong = |problem| Err(ProviderError::Config { setting: "executors", problem });
        match self.executors.iter().find(|report| report.name == name) {
            Some(report) if report.offered => Ok(()),
            Some(report) => wrong(format!("'{name}' cannot be offered: {}", report.reason)),
            None => {
                let all = Executor::ALL.map(Executor::name).join(", ");
                wrong(format!("there is no executor '{name}'; there are: {all}"))
            }
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unconfined {
            None => write!(f, "jobs  confined by bubblewrap and a filter of system calls")?,
            Some(why) => write!(f, "jobs  confined by a filter of system calls alone: {why}")?,
        }
        for report in &self.executors {
            let sign = if report.offered { "offered" } else { "not offered" };
            write!(f, "\n      {:<5} {sign}: {}", report.name, report.reason)?;
        }
        Ok(())
    }
}

/// Judges an executor; `wanted` is what the operator says of it, if anything.
fn judge(
    executor: Executor,
    device: &Device,
    unconfined: Option<&String>,
    wanted: Option<bool>,
) -> ExecutorReport {
    let cpu = *device == Device::Cpu;
    let runs_on = match executor {
        Executor::Int8 | Executor::Wgsl => format!("device '{device}'"),
        Executor::Onnx | Executor::Wasm | Executor::Oci => "the CPU".to_owned(),
    };
    let (offered, reason) = match (unconfined, wanted) {
        (_, Some(false)) => (false, "it is not among the executors that were named".to_owned()),
        _ if executor == Executor::Wgsl && cpu => {
            (false, "it needs a GPU adapter, and the device is 'cpu'".to_owned())
        }
        (Some(why), None) if executor.runs_foreign_code() => {
            (false, format!("it runs what strangers wrote, and there is no sandbox: {why}"))
        }
        (Some(_), Some(true)) if executor.runs_foreign_code() => {
            (true, format!("runs on {runs_on}, without a sandbox, as it was named"))
        }
        _ => (true, format!("runs on {runs_on}")),
    };
    ExecutorReport { name: executor.name(), offered, reason }
}

/// Judges the executor of containers: an operator turns it on by naming images.
fn judge_containers(found: &Result<Containers, String>, wanted: Option<bool>) -> ExecutorReport {
    let (offered, reason) = match (found, wanted) {
        (_, Some(false)) => (false, "it is not among the executors that were named".to_owned()),
        (Err(why), _) => (false, why.clone()),
        (Ok(containers), _) => {
            let images: Vec<_> = containers.names().collect();
            (true, format!("runs on the CPU, in crun, with the images {}", images.join(", ")))
        }
    };
    ExecutorReport { name: Executor::Oci.name(), offered, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(executor: Executor, device: Device, confined: bool, wanted: Option<bool>) -> bool {
        let why = "no sandbox".to_owned();
        judge(executor, &device, (!confined).then_some(&why), wanted).offered
    }

    #[test]
    fn foreign_code_is_offered_in_a_sandbox_or_by_name() {
        for executor in [Executor::Onnx, Executor::Wasm, Executor::Wgsl] {
            assert!(judged(executor, Device::Best, true, None));
            assert!(!judged(executor, Device::Best, false, None));
            assert!(judged(executor, Device::Best, false, Some(true)));
            assert!(!judged(executor, Device::Best, true, Some(false)));
        }
        assert!(judged(Executor::Int8, Device::Cpu, false, None));
    }

    fn tested(device: &Device) -> (Vec<ExecutorReport>, Option<DeviceInfo>) {
        let executors = [Executor::Int8, Executor::Wgsl, Executor::Wasm];
        let executors = executors.map(|executor| judge(executor, device, None, None)).to_vec();
        let mut means = Means { unconfined: None, executors, sandbox: None, containers: None };
        let found = means.test(device);
        (means.executors, found)
    }

    #[test]
    fn what_a_device_fails_for_is_not_offered_and_the_reason_is_said() {
        let [int8, wgsl, wasm] = &tested(&Device::Named("no such device".to_owned())).0[..] else {
            panic!("three executors were judged");
        };
        for report in [int8, wgsl] {
            assert!(!report.offered && report.reason.contains("no such device"), "{report:?}");
        }
        assert!(wasm.offered && !wasm.reason.contains("driver"), "{wasm:?}");
    }

    #[test]
    fn a_device_that_passes_its_test_is_offered_with_its_driver() {
        let (reports, found) = tested(&Device::Best);
        let limit = found.unwrap().loop_limit;
        let said = |limit| format!("; it ends loops after {limit} iterations");
        for report in &reports[..2] {
            assert!(report.offered && report.reason.contains("passes its test"), "{report:?}");
            assert_eq!(
                limit.map(said).is_some_and(|said| report.reason.contains(&said)),
                limit.is_some()
            );
        }
        let (reports, found) = tested(&Device::Cpu);
        assert!(!reports[0].reason.contains("driver") && found.is_none());
    }

    #[test]
    fn kernels_need_an_adapter() {
        assert!(!judged(Executor::Wgsl, Device::Cpu, true, None));
        assert!(!judged(Executor::Wgsl, Device::Cpu, true, Some(true)));
    }
}
