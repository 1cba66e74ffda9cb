//! Carry steps out on a device.

use super::{
    params,
    program::{Code, Dispatch, Draw, Form, Place, Program, Step},
};
use crate::{
    GpuError,
    kernels::cells,
    wgpu_backend::{Kernels, context::Run},
};
use neura_int8::{Model, ParamId, Sampling};
use std::collections::BTreeMap;

/// Bytes between the uniforms of two dispatches: what every driver accepts as an offset.
const UNIFORM_STRIDE: usize = 256;

/// A model's parameters, and memory for its values.
#[derive(Debug)]
pub(super) struct Memory {
    params: BTreeMap<(ParamId, Form), wgpu::Buffer>,
    powers: wgpu::Buffer,
    zeros: wgpu::Buffer,
    slots: Vec<wgpu::Buffer>,
    /// Whose rows lie in the slots, after a step of a generation.
    pub(super) held: Option<Held>,
}

/// Rows of a generation that are in memory.
#[derive(Debug)]
pub(super) struct Held {
    /// Their tokens.
    pub(super) tokens: Vec<i32>,
    /// Rows that there is room for.
    pub(super) most: usize,
}

impl Held {
    /// Whether one more row makes the rows of these tokens.
    pub(super) fn goes_on_with(&self, tokens: &[i32], most: usize) -> bool {
        let before = tokens.split_last().map(|(_, before)| before);
        self.most == most && before == Some(&self.tokens)
    }
}

impl Memory {
    /// Uploads the parameters that `program` uses.
    pub(super) fn load(run: &Run<'_>, model: &Model, program: &Program) -> Self {
        let specs = model.manifest().params();
        let mut uploaded = BTreeMap::new();
        for (id, form) in program.params() {
            if let (Some(spec), Some(data)) = (specs.get(id.0 as usize), model.params().get(id)) {
                let contents = params::contents(spec, data, form);
                uploaded.insert((id, form), run.upload(&spec.name, &contents));
            }
        }
        let powers = run.upload("powers", bytemuck::cast_slice(&cells::powers()));
        let zeros = run.storage("zeros", program.zeros.max(4));
        Memory { params: uploaded, powers, zeros, slots: Vec::new(), held: None }
    }

    /// Makes room for a program; what is there stays where it is large enough.
    pub(super) fn fit(&mut self, run: &Run<'_>, program: &Program) {
        if self.zeros.size() < program.zeros {
            self.zeros = run.storage("zeros", program.zeros);
        }
        for (slot, bytes) in program.slots.iter().enumerate() {
            match self.slots.get_mut(slot) {
                Some(buffer) if buffer.size() >= *bytes => {}
                Some(buffer) => *buffer = run.storage("values", *bytes),
                None => self.slots.push(run.storage("values", *bytes)),
            }
        }
    }

    /// Gives the memory of values back.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    /// Bytes of the slots once `program` fits.
    pub(super) fn slot_bytes(&self, program: &Program) -> u64 {
        let there = self.slots.iter().map(wgpu::Buffer::size).chain(std::iter::repeat(0));
        let asked = program.slots.iter().copied().chain(std::iter::repeat(0));
        let slots = self.slots.len().max(program.slots.len());
        there.zip(asked).take(slots).map(|(there, asked)| there.max(asked)).sum()
    }

    pub(super) fn slot(&self, slot: usize) -> Result<&wgpu::Buffer, GpuError> {
        self.find(Place::Slot(slot))
    }

    fn find(&self, place: Place) -> Result<&wgpu::Buffer, GpuError> {
        let found = match place {
            Place::Slot(slot) => self.slots.get(slot),
            Place::Param(id, form) => self.params.get(&(id, form)),
            Place::Zeros => Some(&self.zeros),
            Place::Powers => Some(&self.powers),
        };
        found.ok_or_else(|| GpuError::Driver { reason: format!("{place:?} is not in its memory") })
    }
}

/// Bytes of the uniforms of a program.
pub(super) fn uniform_bytes(program: &Program) -> u64 {
    (program.steps.len() * UNIFORM_STRIDE) as u64
}

/// What carries a program out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carrier<'a, 'r> {
    pub(super) run: &'a Run<'r>,
    pub(super) kernels: &'a Kernels,
    pub(super) memory: &'a Memory,
    /// Work that is queued at once.
    pub(super) most_work: u64,
}

impl Carrier<'_, '_> {
    /// Queues every step; where tokens are drawn, what comes before is waited for.
    pub(super) fn execute(&self, program: &Program, sampling: &Sampling) -> Result<(), GpuError> {
        let uniforms = self.uniforms(program);
        let mut batch: Vec<(usize, &Dispatch)> = Vec::new();
        let mut work = 0;
        for (index, step) in program.steps.iter().enumerate() {
            match step {
                Step::Run(dispatch) => {
                    if work + dispatch.work > self.most_work {
                        self.queue(&uniforms, &std::mem::take(&mut batch))?;
                        work = 0;
                    }
                    work += dispatch.work;
                    batch.push((index, dispatch));
                }
                Step::Draw(draw) => {
                    self.queue(&uniforms, &std::mem::take(&mut batch))?;
                    work = 0;
                    self.draw(draw, sampling)?;
                }
            }
        }
        self.queue(&uniforms, &batch)
    }

    fn uniforms(&self, program: &Program) -> wgpu::Buffer {
        let mut contents = vec![0; program.steps.len() * UNIFORM_STRIDE];
        for (step, place) in program.steps.iter().zip(contents.chunks_exact_mut(UNIFORM_STRIDE)) {
            if let Step::Run(dispatch) = step {
                place[..dispatch.params.len()].copy_from_slice(&dispatch.params);
            }
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let bytes = contents.len().max(UNIFORM_STRIDE) as u64;
        let buffer = self.run.buffer("uniforms", bytes, usage);
        self.run.write(&buffer, &contents);
        buffer
    }

    fn queue(&self, uniforms: &wgpu::Buffer, batch: &[(usize, &Dispatch)]) -> Result<(), GpuError> {
        if batch.is_empty() {
            return Ok(());
        }
        let device = self.run.device();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (index, dispatch) in batch {
            let pipeline = match dispatch.code {
                Code::Product => &self.kernels.gemm,
                Code::Cells(kernel) => {
                    let code = (kernel.name(), kernel.source());
                    self.kernels.cells.get(self.run, kernel as usize, code)
                }
            };
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &self.bind(pipeline, (uniforms, *index), dispatch)?, &[]);
            pass.dispatch_workgroups(dispatch.groups.0, dispatch.groups.1, 1);
        }
        drop(pass);
        self.run.submit(encoder.finish());
        Ok(())
    }

    fn bind(
        &self,
        pipeline: &wgpu::ComputePipeline,
        (uniforms, index): (&wgpu::Buffer, usize),
        dispatch: &Dispatch,
    ) -> Result<wgpu::BindGroup, GpuError> {
        let uniform = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: uniforms,
            offset: (index * UNIFORM_STRIDE) as u64,
            size: wgpu::BufferSize::new(UNIFORM_STRIDE as u64),
        });
        let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: uniform }];
        for (binding, place) in (1..).zip(&dispatch.places) {
            let resource = self.memory.find(*place)?.as_entire_binding();
            entries.push(wgpu::BindGroupEntry { binding, resource });
        }
        Ok(self.run.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        }))
    }

    fn draw(&self, draw: &Draw, sampling: &Sampling) -> Result<(), GpuError> {
        let bytes = (draw.lines * draw.length * 4) as u64;
        let logits = self.run.read(self.memory.slot(draw.logits)?, bytes)?;
        let lines = logits.chunks_exact(draw.length).zip(draw.first..);
        let tokens: Vec<i32> =
            lines.map(|(line, index)| draw.op.token(line, index, sampling)).collect();
        self.run.write(self.memory.slot(draw.tokens)?, bytemuck::cast_slice(&tokens));
        Ok(())
    }
}
