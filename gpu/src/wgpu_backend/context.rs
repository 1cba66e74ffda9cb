//! Hold an open device, and turn each of its ways to fail into an error.

use crate::{GpuError, MAX_BINDING_BYTES, device::units, kernels::gemm_i8::Units};
use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// Greatest buffer asked of a device: WebGPU's default, above every buffer we make.
const MAX_BUFFER_BYTES: u64 = 2 * MAX_BINDING_BYTES;

/// Buffers that a kernel of ours binds: WebGPU's default.
const MAX_BINDINGS: u32 = 8;

/// Matrix units.
const MATRIX: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;

/// An open device.
#[derive(Debug)]
pub(super) struct Context {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Why the device must not be used any more.
    lost: Arc<Mutex<Option<String>>>,
    /// The first error that no scope caught.
    uncaught: Arc<Mutex<Option<String>>>,
    /// Held by the request that is being carried out.
    turn: Mutex<()>,
    /// What variants of our own product may use.
    units: Units,
}

impl Context {
    /// Opens `adapter` with the limits that our own kernels need.
    pub(super) fn open(adapter: &wgpu::Adapter, name: &str) -> Result<Self, GpuError> {
        let limits = wgpu::Limits {
            max_storage_buffers_per_shader_stage: MAX_BINDINGS,
            ..wgpu::Limits::downlevel_defaults()
        };
        let units = units(adapter);
        let mut features = adapter.features() & wgpu::Features::SHADER_F16;
        features.set(wgpu::Features::SUBGROUP, units.lanes.is_some());
        features.set(MATRIX, units.matrices.is_some());
        let opened = Self::open_with(adapter, name, (limits, features))?;
        Ok(Context { units, ..opened })
    }

    /// Opens `adapter` with these limits and features, and our sizes of buffers.
    pub(super) fn open_with(
        adapter: &wgpu::Adapter,
        name: &str,
        (limits, features): (wgpu::Limits, wgpu::Features),
    ) -> Result<Self, GpuError> {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: MAX_BINDING_BYTES,
            max_buffer_size: MAX_BUFFER_BYTES,
            ..limits
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("neura-gpu"),
            required_features: features,
            required_limits: limits.or_worse_values_from(&adapter.limits()),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            experimental_features: experimental(features),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|error| GpuError::Open {
            adapter: name.to_owned(),
            reason: error.to_string(),
        })?;
        let lost = Arc::new(Mutex::new(None));
        let uncaught = Arc::new(Mutex::new(None));
        let sink = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, text| {
            locked(&sink).get_or_insert(format!("{reason:?}: {text}"));
        });
        let sink = Arc::clone(&uncaught);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            locked(&sink).get_or_insert(error.to_string());
        }));
        Ok(Context { device, queue, lost, uncaught, turn: Mutex::new(()), units: Units::default() })
    }

    /// Whether kernels may compute with 16-bit floats.
    pub(super) fn has_halves(&self) -> bool {
        self.device.features().contains(wgpu::Features::SHADER_F16)
    }

    /// What variants of the product may use.
    pub(super) fn units(&self) -> Units {
        self.units
    }

    /// Waits for the device's turn and starts a request that must be done within `limit`.
    pub(super) fn start(&self, limit: Duration) -> Result<Run<'_>, GpuError> {
        let turn = locked(&self.turn);
        self.check_lost()?;
        Ok(Run { context: self, limit, started: Instant::now(), _turn: turn })
    }

    /// Marks the device as not to be used again; the first reason stays.
    fn give_up(&self, reason: String) -> GpuError {
        let reason = locked(&self.lost).get_or_insert(reason).clone();
        GpuError::Lost { reason }
    }

    fn check_lost(&self) -> Result<(), GpuError> {
        match &*locked(&self.lost) {
            Some(reason) => Err(GpuError::Lost { reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

/// One request being carried out: the only way to the device.
#[derive(Debug)]
pub(super) struct Run<'a> {
    context: &'a Context,
    limit: Duration,
    started: Instant,
    _turn: MutexGuard<'a, ()>,
}

impl Run<'_> {
    /// Does `work` and returns its outcome, unless the device reported an error meanwhile.
    pub(super) fn guarded<T>(
        self,
        work: impl FnOnce(&Self) -> Result<T, GpuError>,
    ) -> Result<T, GpuError> {
        let device = &self.context.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let outcome = work(&self);
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        let memory = pollster::block_on(memory.pop());
        // Other errors follow from the one that comes first in this order.
        if let Err(error @ GpuError::Timeout { .. }) = outcome {
            return Err(error);
        }
        self.context.check_lost()?;
        if let Some(error) = memory {
            return Err(GpuError::OutOfMemory { reason: error.to_string() });
        }
        let driver = internal.or(validation).map(|error| error.to_string());
        if let Some(reason) = driver.or_else(|| locked(&self.context.uncaught).take()) {
            return Err(GpuError::Driver { reason });
        }
        outcome
    }

    /// Compiles a kernel whose entry point is `main`.
    pub(super) fn pipeline(&self, label: &str, source: &str) -> wgpu::ComputePipeline {
        let device = &self.context.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        })
    }

    /// A zeroed buffer that kernels read and write.
    pub(super) fn storage(&self, label: &str, bytes: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC;
        self.buffer(label, bytes, usage)
    }

    /// The same, or none if there is no memory left for it, which is then no error.
    pub(super) fn storage_if_any(&self, label: &str, bytes: u64) -> Option<wgpu::Buffer> {
        let memory = self.context.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.storage(label, bytes);
        pollster::block_on(memory.pop()).is_none().then_some(buffer)
    }

    /// A buffer with these contents, whose length is a multiple of 4.
    pub(super) fn upload(&self, label: &str, contents: &[u8]) -> wgpu::Buffer {
        let buffer = self.storage(label, contents.len() as u64);
        self.write(&buffer, contents);
        buffer
    }

    /// Replaces the first bytes of a buffer before the next dispatch.
    pub(super) fn write(&self, buffer: &wgpu::Buffer, contents: &[u8]) {
        self.context.queue.write_buffer(buffer, 0, contents);
    }

    /// Queues a kernel: `params` is its uniform at binding 0, `buffers` follow from binding 1.
    pub(super) fn dispatch(
        &self,
        pipeline: &wgpu::ComputePipeline,
        params: &[u8],
        buffers: &[&wgpu::Buffer],
        groups: (u32, u32),
    ) {
        let device = &self.context.device;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniform = self.buffer("params", params.len() as u64, usage);
        self.write(&uniform, params);
        let entries: Vec<_> = (0..)
            .zip(std::iter::once(&uniform).chain(buffers.iter().copied()))
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        self.pass(pipeline, [&bindings], [groups.0, groups.1, 1]);
    }

    /// Queues a kernel with its groups of bindings.
    pub(super) fn pass<const GROUPS: usize>(
        &self,
        pipeline: &wgpu::ComputePipeline,
        bindings: [&wgpu::BindGroup; GROUPS],
        workgroups: [u32; 3],
    ) {
        let Context { device, queue, .. } = self.context;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        for (group, bindings) in (0..).zip(bindings) {
            pass.set_bind_group(group, bindings, &[]);
        }
        let [x, y, z] = workgroups;
        pass.dispatch_workgroups(x, y, z);
        drop(pass);
        queue.submit([encoder.finish()]);
    }

    /// Queues recorded commands.
    pub(super) fn submit(&self, commands: wgpu::CommandBuffer) {
        self.context.queue.submit([commands]);
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.context.device
    }

    /// Waits for everything queued, and reads the first `bytes` of a buffer as words.
    pub(super) fn read(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<i32>, GpuError> {
        let Context { device, queue, .. } = self.context;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let copy = self.buffer("read back", bytes, usage);
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, bytes);
        queue.submit([encoder.finish()]);
        let (sender, receiver) = mpsc::channel();
        copy.map_async(wgpu::MapMode::Read, .., move |mapped| {
            // The receiver is gone only if the wait has failed already.
            let _ = sender.send(mapped.is_ok());
        });
        self.wait()?;
        if receiver.try_recv() != Ok(true) {
            self.context.check_lost()?;
            return Err(GpuError::Driver { reason: "the result could not be read".to_owned() });
        }
        let view = copy
            .get_mapped_range(..)
            .map_err(|error| GpuError::Driver { reason: error.to_string() })?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }

    /// Waits for everything queued, as long as the request's time allows.
    pub(super) fn wait(&self) -> Result<(), GpuError> {
        let left = self.limit.saturating_sub(self.started.elapsed());
        let polled = if left.is_zero() {
            Err(wgpu::PollError::Timeout)
        } else {
            let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(left) };
            // wgpu panics when the device is lost during the wait; nothing of ours is half-done.
            let device = AssertUnwindSafe(&self.context.device);
            panic::catch_unwind(|| device.poll(wait)).map_err(|_| {
                self.context.give_up("the driver lost it during a request".to_owned())
            })?
        };
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(self.abandon()),
            Err(error) => Err(GpuError::Driver { reason: error.to_string() }),
        }
    }

    /// Gives the device up: what it is doing cannot be stopped, and may never end.
    fn abandon(&self) -> GpuError {
        self.context.give_up(format!("an earlier request did not finish within {:?}", self.limit));
        // Dropping the last handle of a queue waits until it is idle. Keeping one for ever lets
        // the process go on, and end.
        std::mem::forget(self.context.queue.clone());
        GpuError::Timeout { limit: self.limit }
    }

    pub(super) fn buffer(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        self.context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    }
}

/// Leave to use what wgpu calls experimental, if it is among the features.
#[allow(unsafe_code, reason = "wgpu has no other way to it (ADR 0017)")]
fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.contains(MATRIX) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the contract is to know that its cooperative matrices may still have errors of memory safety. One kernel
    // of ours uses them, on arrays and at places of constant bounds. Users' kernels run on devices that are
    // opened without them.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

/// What the lock holds: none of these values can be left half-changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
