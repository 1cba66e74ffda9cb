//! Run users' own kernels on the GPU.

use neura_gpu::{
    GpuError, KernelBuffer, KernelError, KernelPass, KernelRunner, KernelState, Launches,
    UserKernel,
};
use neura_types::job::{FaultCode, JobFault, JobFormat, JobResult, WgslJob};

use super::{Bounds, Relay, of_device, of_job, output};
use crate::{
    Device,
    worker::{FailureKind, JobFailure},
};

pub(super) fn check(payload: &[u8], bounds: &Bounds) -> Result<Launches, JobFailure> {
    let (kernel, _) = read(payload)?;
    let (needed, budget) = (kernel.memory_bytes(), bounds.memory_bytes);
    if needed > budget {
        return Err(of_device(&GpuError::OverBudget { needed, budget }));
    }
    Ok(kernel.launches())
}

pub(super) fn run(
    payload: &[u8],
    device: &Device,
    bounds: &Bounds,
    relay: &mut Relay<'_>,
) -> Result<JobResult, JobFailure> {
    let (kernel, names) = read(payload)?;
    let Some(selector) = device.selector() else {
        let detail = "kernels in WGSL need a GPU adapter, and this provider runs on 'cpu'".into();
        return Err(JobFailure { kind: FailureKind::Device, detail });
    };
    let runner =
        KernelRunner::new(&selector, bounds.budget()).map_err(|error| of_device(&error))?;
    relay.opened(runner.info().clone());
    let start = relay.resumed(|step, state| {
        let state = KernelState { passes: step, contents: state.to_vec() };
        kernel.check_state(&state).map(|()| state)
    });
    if let Some(state) = &start {
        relay.log(format!("going on after pass {}", state.passes));
    }
    let ran = runner.run_from(&kernel, start.as_ref(), |passes, state| {
        relay.progress(passes, kernel.passes(), || "passes".to_owned());
        if passes < kernel.passes()
            && relay.wants_checkpoint()
            && let Some(state) = state()?
        {
            relay.checkpoint(passes, &state.contents);
        }
        Ok(())
    });
    match ran {
        Ok(outputs) => {
            let outputs = names.into_iter().zip(outputs).map(|(name, bytes)| output(name, bytes));
            Ok(JobResult { fault: None, outputs: outputs.collect() })
        }
        Err(error) => match own_fault(&error) {
            Some(fault) => Ok(JobResult { fault: Some(fault), outputs: Vec::new() }),
            None => Err(of_device(&error)),
        },
    }
}

/// What a job of too many iterations is told, whether the driver's limit showed in its source or while it ran: nothing
/// that the provider is to blame for.
fn own_fault(error: &GpuError) -> Option<JobFault> {
    let (GpuError::OutOfFuel { .. } | GpuError::Kernel(KernelError::LoopsTooLong { .. })) = error
    else {
        return None;
    };
    Some(JobFault { code: FaultCode::OutOfFuel, detail: error.to_string() })
}

/// Checks a job's shader with its buffers and passes, as a provider does.
///
/// # Errors
/// What is wrong with it.
pub fn check_kernel(job: &WgslJob) -> Result<(), KernelError> {
    kernel(job.clone()).map(drop)
}

fn kernel(job: WgslJob) -> Result<UserKernel, KernelError> {
    let buffers = job.buffers.into_iter().map(|buffer| KernelBuffer {
        bytes: buffer.bytes,
        contents: buffer.contents,
        output: buffer.output,
    });
    let passes = job
        .passes
        .into_iter()
        .map(|pass| KernelPass { entry: pass.entry, workgroups: pass.workgroups });
    UserKernel::new(&job.source, buffers.collect(), passes.collect(), job.fuel)
}

/// The kernel, and the names of its outputs: their places in the list of buffers.
fn read(payload: &[u8]) -> Result<(UserKernel, Vec<usize>), JobFailure> {
    let job = WgslJob::decode(payload).map_err(of_job)?;
    let outputs = job.buffers.iter().enumerate().filter(|(_, buffer)| buffer.output);
    let names = outputs.map(|(place, _)| place).collect();
    Ok((kernel(job).map_err(of_job)?, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_iterations_are_the_jobs_own_fault_whenever_they_show() {
        let too_long =
            KernelError::LoopsTooLong { entry: "main".into(), iterations: 65_536, limit: 65_534 };
        let fault = own_fault(&GpuError::Kernel(too_long)).expect("a fault of the job");
        assert_eq!(fault.code, FaultCode::OutOfFuel);
        assert!(fault.detail.contains("65536 loop iterations"), "{}", fault.detail);
        let spent = GpuError::OutOfFuel { fuel: 65_534, asked: 1 << 20 };
        assert_eq!(own_fault(&spent).expect("a fault of the job").code, FaultCode::OutOfFuel);
        assert!(own_fault(&GpuError::NoAdapter).is_none(), "the provider's affair");
    }
}
