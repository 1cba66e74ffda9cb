//! Run a user's own kernels, on a device opened for them alone.

use std::borrow::Cow;

use super::{Budget, Context, Run};
use crate::{
    DeviceInfo, GpuError, KernelBuffer, KernelError, KernelState, Selector, UserKernel,
    device::select,
    user_kernel::{FLAG_GROUP, Usage},
};

/// A device for users' kernels.
///
/// Buffers are zeroed by wgpu before a kernel sees them, so that nothing of an earlier job is left in them.
#[derive(Debug)]
pub struct KernelRunner {
    info: DeviceInfo,
    pub(super) context: Context,
    pub(super) budget: Budget,
}

impl KernelRunner {
    /// Opens the first of the adapters that `selector` means.
    ///
    /// # Errors
    /// As [`super::WgpuBackend::with_options`], less what a self-test says: no result of the chain depends on it.
    pub fn new(selector: &Selector, budget: Budget) -> Result<Self, GpuError> {
        let mut first_error = None;
        for (adapter, mut info) in select(selector)? {
            let plain = (wgpu::Limits::defaults(), wgpu::Features::empty());
            let opened = Context::open_with(&adapter, &info.name, plain);
            let tested = opened.and_then(|context| {
                let probe = |run: &Run<'_>| super::probe_loops(run, &info.name);
                info.loop_limit = context.start(budget.timeout)?.guarded(probe)?;
                Ok(context)
            });
            match tested {
                Ok(context) => return Ok(Self { info, context, budget }),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(GpuError::NoAdapter))
    }

    /// The device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Runs the passes one after the other; gives the contents of the buffers that are outputs, in order.
    ///
    /// # Errors
    /// [`GpuError::OverBudget`] before anything is done, and [`KernelError::LoopsTooLong`] if the source shows that the
    /// driver would end its loops early; [`GpuError::OutOfFuel`] if an invocation spent its fuel, or only as it ran came to
    /// where the driver would; the device's own errors otherwise.
    pub fn run(&self, kernel: &UserKernel) -> Result<Vec<Vec<u8>>, GpuError> {
        self.run_from(kernel, None, |_, _| Ok(()))
    }

    /// The same, from a state between two passes, or from the beginning. After each pass `after` is told how many are
    /// done, and can read the state; there is none once an invocation has spent its fuel.
    ///
    /// # Errors
    /// As [`KernelRunner::run`]; [`GpuError::Kernel`] for a state that [`UserKernel::check_state`] refuses; what `after`
    /// gives.
    pub fn run_from(
        &self,
        kernel: &UserKernel,
        start: Option<&KernelState>,
        after: impl FnMut(u64, &ReadState<'_>) -> Result<(), GpuError>,
    ) -> Result<Vec<Vec<u8>>, GpuError> {
        start.map_or(Ok(()), |state| kernel.check_state(state)).map_err(GpuError::Kernel)?;
        let (needed, budget) = (kernel.memory_bytes(), self.budget.max_bytes);
        if needed > budget {
            return Err(GpuError::OverBudget { needed, budget });
        }
        // Iterations beyond a driver's limit would be left out without a word.
        let limit = self.info.loop_limit.map_or(u32::MAX, |limit| limit.saturating_sub(1));
        let fuel = kernel.fuel.min(limit);
        if fuel < kernel.fuel {
            kernel.check_loops(fuel).map_err(GpuError::Kernel)?;
        }
        let module = kernel.fuelled(fuel).map_err(GpuError::Kernel)?;
        self.context.start(self.budget.timeout)?.guarded(|run| {
            let outputs = dispatch(run, kernel, module, start, after)?;
            outputs.ok_or(GpuError::OutOfFuel { fuel, asked: kernel.fuel })
        })
    }
}

/// Reads the state between two passes.
type ReadState<'a> = dyn Fn() -> Result<Option<KernelState>, GpuError> + 'a;

/// The outputs, or none if fuel was spent.
fn dispatch(
    run: &Run<'_>,
    kernel: &UserKernel,
    module: wgpu::naga::Module,
    start: Option<&KernelState>,
    mut after: impl FnMut(u64, &ReadState<'_>) -> Result<(), GpuError>,
) -> Result<Option<Vec<Vec<u8>>>, GpuError> {
    let device = run.device();
    let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("user kernel"),
        source: wgpu::ShaderSource::Naga(Cow::Owned(module)),
    });
    let own = layout(device, &kernel.usages);
    let metered = layout(device, &[Usage::ReadWrite]);
    let mut layouts = vec![None; FLAG_GROUP as usize + 1];
    layouts[0] = Some(&own);
    layouts[FLAG_GROUP as usize] = Some(&metered);
    let pipelines = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &layouts,
        immediate_size: 0,
    });
    let buffers = filled(run, kernel, start);
    let flag = run.storage("fuel", 4);
    let groups =
        [group(device, &own, &buffers), group(device, &metered, std::slice::from_ref(&flag))];
    let done = start.map_or(0, |state| state.passes);
    let skipped = usize::try_from(done).unwrap_or(usize::MAX);
    for (pass, done) in kernel.passes.iter().skip(skipped).zip(done + 1..) {
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&pass.entry),
            layout: Some(&pipelines),
            module: &shader,
            entry_point: Some(&pass.entry),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        run.pass(&pipeline, [&groups[0], &groups[1]], pass.workgroups);
        // A pass that never ends is found before the next one is queued.
        run.wait()?;
        after(done, &|| {
            if run.read(&flag, 4)? != [0] {
                return Ok(None);
            }
            let mut contents = Vec::new();
            for (made, buffer) in written(kernel, &buffers) {
                contents.extend(bytemuck::cast_slice(&run.read(made, buffer.bytes)?));
            }
            Ok(Some(KernelState { passes: done, contents }))
        })?;
    }
    if run.read(&flag, 4)? != [0] {
        return Ok(None);
    }
    let outputs = buffers.iter().zip(&kernel.buffers).filter(|(_, buffer)| buffer.output);
    let read = |(made, buffer): (&wgpu::Buffer, &KernelBuffer)| {
        Ok(bytemuck::pod_collect_to_vec(&run.read(made, buffer.bytes)?))
    };
    outputs.map(read).collect::<Result<_, _>>().map(Some)
}

/// The buffers as the job gives them, or as they were at a state.
fn filled(run: &Run<'_>, kernel: &UserKernel, start: Option<&KernelState>) -> Vec<wgpu::Buffer> {
    let made = kernel.buffers.iter().zip(&kernel.usages).map(|(buffer, usage)| {
        let made = run.buffer("job", buffer.bytes, usage_of(*usage));
        let mut contents = buffer.contents.clone();
        contents.resize(contents.len().next_multiple_of(4), 0);
        run.write(&made, &contents);
        made
    });
    let buffers: Vec<wgpu::Buffer> = made.collect();
    let mut rest = start.map_or(&[][..], |state| &state.contents);
    for (made, buffer) in written(kernel, &buffers) {
        let length = usize::try_from(buffer.bytes).unwrap_or(usize::MAX).min(rest.len());
        let (contents, after) = rest.split_at(length);
        if !contents.is_empty() {
            run.write(made, contents);
        }
        rest = after;
    }
    buffers
}

/// The buffers that kernels can write, with their descriptions.
fn written<'a>(
    kernel: &'a UserKernel,
    buffers: &'a [wgpu::Buffer],
) -> impl Iterator<Item = (&'a wgpu::Buffer, &'a KernelBuffer)> {
    let all = buffers.iter().zip(&kernel.buffers).zip(&kernel.usages);
    all.filter(|(_, usage)| **usage == Usage::ReadWrite).map(|(both, _)| both)
}

fn usage_of(usage: Usage) -> wgpu::BufferUsages {
    let binding = match usage {
        Usage::Uniform => wgpu::BufferUsages::UNIFORM,
        Usage::ReadOnly | Usage::ReadWrite => wgpu::BufferUsages::STORAGE,
    };
    binding | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC
}

fn layout(device: &wgpu::Device, usages: &[Usage]) -> wgpu::BindGroupLayout {
    let entry = |(binding, usage): (u32, &Usage)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match usage {
                Usage::Uniform => wgpu::BufferBindingType::Uniform,
                Usage::ReadOnly => wgpu::BufferBindingType::Storage { read_only: true },
                Usage::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = (0..).zip(usages).map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &entries,
    })
}

fn group(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    buffers: &[wgpu::Buffer],
) -> wgpu::BindGroup {
    let entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}

impl From<KernelError> for GpuError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KernelPass;

    #[test]
    fn loops_that_a_driver_would_end_early_are_refused_or_run_out_of_fuel() {
        let mut runner = KernelRunner::new(&Selector::Best, Budget::default()).unwrap();
        runner.info.loop_limit = Some(1_001);
        let run = |bound: &str, fuel| {
            let source = format!(
                "@group(0) @binding(0) var<storage, read_write> n: array<u32>;
                @compute @workgroup_size(1) fn main() {{ for (var i = 0u; i < {bound}; i++) {{ n[1] += 1u; }} }}"
            );
            let contents = [1_000_u32, 0].map(u32::to_le_bytes).concat();
            let buffer = KernelBuffer { bytes: 8, contents, output: true };
            let pass = KernelPass { entry: "main".into(), workgroups: [1; 3] };
            runner.run(&UserKernel::new(&source, vec![buffer], vec![pass], fuel).unwrap())
        };
        assert_eq!(run("999u", 5_000).unwrap()[0][4..], 999_u32.to_le_bytes());
        let entry = "main".to_owned();
        let refused = KernelError::LoopsTooLong { entry, iterations: 1_001, limit: 1_000 };
        assert_eq!(run("1000u", 5_000), Err(GpuError::Kernel(refused)));
        // What the source does not show is found as it runs; so is what the job itself forbids.
        assert_eq!(run("n[0]", 5_000), Err(GpuError::OutOfFuel { fuel: 1_000, asked: 5_000 }));
        assert_eq!(run("1000u", 900), Err(GpuError::OutOfFuel { fuel: 900, asked: 900 }));
    }
}
