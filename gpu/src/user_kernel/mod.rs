//! Check a user's WGSL before a driver sees it, and bound what it can do.
//!
//! The source may hold compute entry points, storage and uniform buffers of group 0, workgroup memory and functions;
//! nothing else: no textures, no extensions. Barriers stand only where all invocations of a workgroup come (see `barrier`).
//! What is checked is rewritten so that every loop pays with fuel (see `fuel`): an invocation that has none left leaves its
//! loops, and says so.

mod barrier;
mod fuel;
mod iterations;
#[cfg(test)]
mod tests;

pub(crate) use fuel::FLAG_GROUP;
use serde::{Deserialize, Serialize};
use wgpu::naga::{
    self, AddressSpace, Block, GlobalVariable, Module, ShaderStage, Statement, StorageAccess,
    TypeInner,
    proc::Layouter,
    valid::{Capabilities, ValidationFlags, Validator},
};

use crate::MAX_BINDING_BYTES;

/// Longest source, in bytes.
pub const MAX_KERNEL_SOURCE: usize = 256 << 10;
/// Most buffers of a kernel: what every driver binds, less the one that reports spent fuel.
pub const MAX_KERNEL_BUFFERS: usize = 7;
/// Most passes of a job.
pub const MAX_KERNEL_PASSES: usize = 1_024;
/// Most workgroups in each dimension: WebGPU's default limit.
pub const MAX_WORKGROUPS: u32 = 65_535;
/// Most invocations of a workgroup: WebGPU's default limit.
pub const MAX_WORKGROUP_SIZE: u32 = 256;
/// Most workgroup memory of a module, in bytes: WebGPU's default limit.
const MAX_WORKGROUP_BYTES: u64 = 16 << 10;
/// Most private and function memory of a module, in bytes: registers and their spill of one invocation.
const MAX_LOCAL_BYTES: u64 = 64 << 10;
/// Most statements and expressions of an entry point with all its calls expanded, as drivers expand them.
const MAX_EXPANDED: u64 = 1 << 18;
/// Stack for naga, whose parser recurses as deep as a source's brackets.
const PARSER_STACK: usize = 16 << 20;

/// Why a kernel is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The source is not WGSL.
    #[error("the shader is not valid: {reason}")]
    Invalid {
        /// What naga says, with the place.
        reason: String,
    },
    /// The source uses something that jobs may not use.
    #[error("the shader uses {what}: {allowed}")]
    NotAllowed {
        /// What it uses.
        what: String,
        /// What jobs may use.
        allowed: &'static str,
    },
    /// Not all invocations of a workgroup may come to a barrier.
    #[error(
        "line {line} of the shader: not all invocations of a workgroup may come to this barrier, since an invocation's \
         id, or memory that kernels write, decides who does: move it out of the branch or loop and before the return, \
         or read what decides with workgroupUniformLoad"
    )]
    BarrierApart {
        /// The barrier's line, from 1.
        line: u32,
    },
    /// The device's driver would end an invocation's loops before they are done.
    #[error(
        "an invocation of '{entry}' makes {iterations} loop iterations at least, and this device's driver ends them after \
         {limit}: spread them over more invocations or passes, or choose a provider with another driver"
    )]
    LoopsTooLong {
        /// The entry point.
        entry: String,
        /// Iterations that the source shows, the last look at each loop's condition among them.
        iterations: u64,
        /// Iterations that the driver makes.
        limit: u32,
    },
    /// A number is out of its bounds.
    #[error("{what} is {value}, and {max} at most is possible")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its value.
        value: u64,
        /// Its bound.
        max: u64,
    },
    /// Source, buffers and passes do not fit each other.
    #[error("{reason}")]
    Mismatch {
        /// How.
        reason: String,
    },
}

/// A buffer of a job, bound to group 0 at its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelBuffer {
    /// Size in bytes, a multiple of 4, at most [`MAX_BINDING_BYTES`].
    pub bytes: u64,
    /// What its first bytes hold at the beginning; the others are zero.
    pub contents: Vec<u8>,
    /// Whether its contents are part of the result.
    pub output: bool,
}

/// A dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPass {
    /// The entry point.
    pub entry: String,
    /// Workgroups in each dimension.
    pub workgroups: [u32; 3],
}

/// What dispatches start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launches {
    /// Workgroups.
    pub workgroups: u64,
    /// Invocations of all workgroups.
    pub invocations: u64,
}

/// What there is of a job between two of its passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelState {
    /// Passes done.
    pub passes: u64,
    /// Contents of the buffers that kernels can write, one after the other.
    pub contents: Vec<u8>,
}

/// How a kernel uses a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    Uniform,
    ReadOnly,
    ReadWrite,
}

/// A job of a user's own kernels that was checked: the only kind that a device runs.
#[derive(Debug, Clone)]
pub struct UserKernel {
    pub(crate) module: Module,
    pub(crate) usages: Vec<Usage>,
    pub(crate) buffers: Vec<KernelBuffer>,
    pub(crate) passes: Vec<KernelPass>,
    pub(crate) fuel: u32,
}

impl UserKernel {
    /// Checks a source with its buffers and passes. `fuel` is how many loop iterations one invocation may make.
    ///
    /// # Errors
    /// [`KernelError`]: what is wrong with the job.
    pub fn new(
        source: &str,
        buffers: Vec<KernelBuffer>,
        passes: Vec<KernelPass>,
        fuel: u32,
    ) -> Result<Self, KernelError> {
        at_most("the length of the shader", source.len() as u64, MAX_KERNEL_SOURCE as u64)?;
        check_sizes(&buffers, &passes)?;
        let module = parse(source)?;
        check_module(&module)?;
        barrier::check(&module, source)?;
        let usages = check_bindings(&module, &buffers)?;
        check_passes(&module, &passes)?;
        let kernel = Self { module, usages, buffers, passes, fuel };
        // What the driver will get must be valid whatever the fuel is.
        kernel.fuelled(fuel)?;
        Ok(kernel)
    }

    /// Bytes of device memory that the buffers take, the copies for reading back included.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let of = |buffer: &KernelBuffer| buffer.bytes.saturating_mul(1 + u64::from(buffer.output));
        self.buffers.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Number of passes.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.passes.len() as u64
    }

    /// What all passes start together.
    #[must_use]
    pub fn launches(&self) -> Launches {
        let mut all = Launches::default();
        for pass in &self.passes {
            let groups = pass.workgroups.iter().map(|side| u64::from(*side)).product();
            all.workgroups = all.workgroups.saturating_add(groups);
            all.invocations =
                all.invocations.saturating_add(groups.saturating_mul(self.group_size(pass)));
        }
        all
    }

    /// Checks that a driver which ends an invocation's loops after `limit` iterations does not surely end those of a pass.
    ///
    /// # Errors
    /// [`KernelError::LoopsTooLong`] if it does. Most loops do not show how long they are; they spend their fuel.
    pub(crate) fn check_loops(&self, limit: u32) -> Result<(), KernelError> {
        let run = |name: &str| self.passes.iter().any(|pass| pass.entry == name);
        for entry in self.module.entry_points.iter().filter(|entry| run(&entry.name)) {
            let iterations = iterations::least(&self.module, entry);
            if iterations > limit.into() {
                return Err(KernelError::LoopsTooLong {
                    entry: entry.name.clone(),
                    iterations,
                    limit,
                });
            }
        }
        Ok(())
    }

    /// Invocations of a workgroup of a pass.
    fn group_size(&self, pass: &KernelPass) -> u64 {
        let entry = self.module.entry_points.iter().find(|entry| entry.name == pass.entry);
        entry.map_or(0, |entry| entry.workgroup_size.iter().map(|side| u64::from(*side)).product())
    }

    /// Checks that a state can be one of this job: between two passes, with contents as long as its buffers.
    ///
    /// # Errors
    /// [`KernelError::Mismatch`] if it is not.
    pub fn check_state(&self, state: &KernelState) -> Result<(), KernelError> {
        let written = self.buffers.iter().zip(&self.usages);
        let written = written.filter(|(_, usage)| **usage == Usage::ReadWrite);
        let bytes: u64 = written.map(|(buffer, _)| buffer.bytes).sum();
        let (passes, found) = (state.passes, state.contents.len() as u64);
        if passes == 0 || passes >= self.passes() {
            let all = self.passes();
            return Err(mismatch(format!("the state is after pass {passes} of {all}")));
        }
        if found != bytes {
            return Err(mismatch(format!("the state has {found} bytes, the buffers {bytes}")));
        }
        Ok(())
    }

    /// The module with fuel injected, validated.
    pub(crate) fn fuelled(&self, fuel: u32) -> Result<Module, KernelError> {
        let mut module = self.module.clone();
        fuel::inject(&mut module, fuel);
        validate(&module)?;
        Ok(module)
    }
}

fn at_most(what: &'static str, value: u64, max: u64) -> Result<(), KernelError> {
    if value <= max { Ok(()) } else { Err(KernelError::TooLarge { what, value, max }) }
}

fn mismatch(reason: String) -> KernelError {
    KernelError::Mismatch { reason }
}

fn check_sizes(buffers: &[KernelBuffer], passes: &[KernelPass]) -> Result<(), KernelError> {
    at_most("the number of buffers", buffers.len() as u64, MAX_KERNEL_BUFFERS as u64)?;
    at_most("the number of passes", passes.len() as u64, MAX_KERNEL_PASSES as u64)?;
    if passes.is_empty() {
        return Err(mismatch("the job has no pass: name an entry point to run".into()));
    }
    for (place, buffer) in buffers.iter().enumerate() {
        at_most("the size of a buffer", buffer.bytes, MAX_BINDING_BYTES)?;
        if buffer.bytes == 0 || !buffer.bytes.is_multiple_of(4) {
            let bytes = buffer.bytes;
            return Err(mismatch(format!(
                "buffer {place} has {bytes} bytes: take a multiple of 4"
            )));
        }
        if buffer.contents.len() as u64 > buffer.bytes {
            let (given, bytes) = (buffer.contents.len(), buffer.bytes);
            return Err(mismatch(format!(
                "buffer {place} has {bytes} bytes, its contents {given}"
            )));
        }
    }
    for pass in passes {
        for groups in pass.workgroups {
            at_most("the number of workgroups", groups.into(), MAX_WORKGROUPS.into())?;
        }
    }
    Ok(())
}

/// Parses and validates on a stack of its own: the parser recurses as deep as the source nests.
fn parse(source: &str) -> Result<Module, KernelError> {
    let parsed = || {
        let module = naga::front::wgsl::parse_str(source)
            .map_err(|error| invalid(error.emit_to_string(source)))?;
        validate(&module)?;
        Ok(module)
    };
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK);
        let thread = parser.spawn_scoped(scope, parsed).map_err(|error| invalid(error.to_string()));
        // A panic of the parser is a shader that it cannot read.
        thread?.join().unwrap_or_else(|_| Err(invalid("the shader cannot be read".into())))
    })
}

fn validate(module: &Module) -> Result<(), KernelError> {
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(module)
        .map(|_| ())
        .map_err(|error| {
            let place: Vec<String> = error.spans().map(|(_, text)| text.clone()).collect();
            invalid(format!("{}: {}", error.as_inner(), place.join(", ")))
        })
}

/// Longest text of a parser that is passed on, in bytes.
const MAX_REASON: usize = 1_000;

fn invalid(mut reason: String) -> KernelError {
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    KernelError::Invalid { reason }
}

fn not_allowed(what: impl Into<String>, allowed: &'static str) -> KernelError {
    KernelError::NotAllowed { what: what.into(), allowed }
}

/// The allow-list of a whole module.
fn check_module(module: &Module) -> Result<(), KernelError> {
    if module.entry_points.iter().any(|entry| entry.stage != ShaderStage::Compute) {
        return Err(not_allowed("a stage of graphics", "jobs have compute entry points only"));
    }
    if !module.overrides.is_empty() {
        return Err(not_allowed("override constants", "write their values into the shader"));
    }
    for (_, ty) in module.types.iter() {
        if !matches!(
            ty.inner,
            TypeInner::Scalar(_)
                | TypeInner::Vector { .. }
                | TypeInner::Matrix { .. }
                | TypeInner::Atomic(_)
                | TypeInner::Pointer { .. }
                | TypeInner::ValuePointer { .. }
                | TypeInner::Array { .. }
                | TypeInner::Struct { .. }
        ) {
            return Err(not_allowed(
                "textures, samplers or another type of graphics",
                "jobs compute on buffers",
            ));
        }
    }
    check_memory(module)?;
    check_expansion(module)
}

/// Bounds what the module's own variables take.
fn check_memory(module: &Module) -> Result<(), KernelError> {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).map_err(|error| invalid(error.to_string()))?;
    let size = |ty| u64::from(layouter[ty].size);
    let of_space = |space| {
        let variables = module.global_variables.iter().map(|(_, variable)| variable);
        variables.filter(|v| v.space == space).map(|v| size(v.ty)).fold(0, u64::saturating_add)
    };
    at_most("the workgroup memory", of_space(AddressSpace::WorkGroup), MAX_WORKGROUP_BYTES)?;
    let functions = module.functions.iter().map(|(_, function)| function);
    let entries = module.entry_points.iter().map(|entry| &entry.function);
    let locals: u64 = functions
        .chain(entries)
        .flat_map(|function| function.local_variables.iter().map(|(_, variable)| size(variable.ty)))
        .fold(of_space(AddressSpace::Private), u64::saturating_add);
    at_most("the memory of variables", locals, MAX_LOCAL_BYTES)
}

/// Bounds what drivers make of the entry points: they put the body of a function in the place of each of its calls, so
/// that sixty functions of two calls each would never be compiled.
fn check_expansion(module: &Module) -> Result<(), KernelError> {
    // A function stands after those that it calls.
    let mut sizes: Vec<u64> = Vec::with_capacity(module.functions.len());
    for (_, function) in module.functions.iter() {
        let size =
            expanded(&function.body, &sizes).saturating_add(function.expressions.len() as u64);
        sizes.push(size);
    }
    for entry in &module.entry_points {
        let function = &entry.function;
        let size =
            expanded(&function.body, &sizes).saturating_add(function.expressions.len() as u64);
        at_most("the size of the shader with its calls expanded", size, MAX_EXPANDED)?;
    }
    Ok(())
}

fn expanded(block: &Block, sizes: &[u64]) -> u64 {
    let of = |statement: &Statement| match statement {
        Statement::Block(inner) => expanded(inner, sizes),
        Statement::If { accept, reject, .. } => {
            expanded(accept, sizes).saturating_add(expanded(reject, sizes))
        }
        Statement::Switch { cases, .. } => {
            cases.iter().map(|case| expanded(&case.body, sizes)).fold(0, u64::saturating_add)
        }
        Statement::Loop { body, continuing, .. } => {
            expanded(body, sizes).saturating_add(expanded(continuing, sizes))
        }
        Statement::Call { function, .. } => {
            sizes.get(function.index()).copied().unwrap_or(u64::MAX)
        }
        _ => 0,
    };
    block.iter().map(|statement| of(statement).saturating_add(1)).fold(0, u64::saturating_add)
}

/// Matches the declared buffers with those of the job.
fn check_bindings(module: &Module, buffers: &[KernelBuffer]) -> Result<Vec<Usage>, KernelError> {
    let mut usages = vec![Usage::ReadOnly; buffers.len()];
    let mut declared = vec![false; buffers.len()];
    for (_, variable) in module.global_variables.iter() {
        let usage = match variable.space {
            AddressSpace::Private | AddressSpace::WorkGroup => continue,
            AddressSpace::Uniform => Usage::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => Usage::ReadOnly,
            AddressSpace::Storage { .. } => Usage::ReadWrite,
            _ => return Err(not_allowed("another kind of memory", "jobs compute on buffers")),
        };
        let place = place_of(variable, buffers.len())?;
        if std::mem::replace(&mut declared[place], true) && usages[place] != usage {
            return Err(mismatch(format!("binding {place} is declared twice")));
        }
        usages[place] = usage;
    }
    if let Some(place) = declared.iter().position(|declared| !declared) {
        return Err(mismatch(format!(
            "the job has a buffer {place}, and the shader has no @group(0) @binding({place})"
        )));
    }
    Ok(usages)
}

fn place_of(variable: &GlobalVariable, buffers: usize) -> Result<usize, KernelError> {
    let name = variable.name.as_deref().unwrap_or("a buffer");
    let Some(binding) = &variable.binding else {
        return Err(mismatch(format!("'{name}' has no binding")));
    };
    if binding.group != 0 {
        return Err(mismatch(format!("'{name}' is in group {}: jobs have group 0", binding.group)));
    }
    usize::try_from(binding.binding).ok().filter(|place| *place < buffers).ok_or_else(|| {
        mismatch(format!(
            "'{name}' is at binding {}, and the job has {buffers} buffers",
            binding.binding
        ))
    })
}

fn check_passes(module: &Module, passes: &[KernelPass]) -> Result<(), KernelError> {
    for pass in passes {
        let Some(entry) = module.entry_points.iter().find(|entry| entry.name == pass.entry) else {
            let names: Vec<&str> =
                module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
            return Err(mismatch(format!(
                "the shader has no entry point '{}'; there are: {}",
                pass.entry,
                names.join(", ")
            )));
        };
        let size = entry.workgroup_size.iter().fold(1u32, |size, side| size.saturating_mul(*side));
        at_most("the size of a workgroup", size.into(), MAX_WORKGROUP_SIZE.into())?;
    }
    Ok(())
}
