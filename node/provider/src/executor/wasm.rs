//! Run WebAssembly programs in an interpreter: fuel, memory and output bounded, nothing of the machine in reach.

#[cfg(test)]
mod tests;

use neura_types::job::{FaultCode, JobFault, JobFormat, JobResult, NamedBytes, WasmJob};
use wasmi::{
    Config, EnforcedLimits, Engine, ExternType, Linker, Module, Store, StoreLimitsBuilder,
    TrapCode,
    errors::{ErrorKind, InstantiationError},
};

use super::{Bounds, Relay, wasi};
use crate::worker::{FailureKind, JobFailure};

/// Most memory that a program may ask for, in bytes: all that 32-bit addresses reach.
pub(crate) const MAX_MEMORY: u64 = 4 << 30;
/// Deepest recursion of a program's calls.
const MAX_RECURSION: usize = 8_192;
/// Most entries of a program's tables.
const MAX_TABLE: usize = 1 << 20;
/// Most tables of a program: compilers make one.
const MAX_TABLES: usize = 16;
/// Bytes of a page of a program's memory.
const PAGE: u64 = 64 << 10;

/// Checks a job's program as a provider does, whatever memory that has.
///
/// # Errors
/// What is wrong with it.
pub fn check_program(job: &WasmJob) -> Result<(), JobFailure> {
    let bounds = Bounds { memory_bytes: MAX_MEMORY, max_result: 0, timeout_ms: 0 };
    look(job.clone(), &bounds)
}

/// Reads and translates a job without running it.
pub(super) fn check(payload: &[u8], bounds: &Bounds) -> Result<(), JobFailure> {
    look(WasmJob::decode(payload).map_err(of_job)?, bounds)
}

/// Puts a program together. Without fuel nothing of it runs, its start function neither.
fn look(job: WasmJob, bounds: &Bounds) -> Result<(), JobFailure> {
    let silent = &mut |_| {};
    prepare(&WasmJob { fuel: 0, ..job }, bounds, wasi::Lines::new(silent)).map(drop)
}

/// Runs a job to its end; what it writes to standard error its owner is told line by line.
pub(super) fn run(
    payload: &[u8],
    bounds: &Bounds,
    relay: &mut Relay<'_>,
) -> Result<JobResult, JobFailure> {
    let job = WasmJob::decode(payload).map_err(of_job)?;
    let tell = &mut |line| relay.log(line);
    let (mut store, start) = prepare(&job, bounds, wasi::Lines::new(tell))?;
    let ended = start.and_then(|start| start.call(&mut store, ()));
    let fault = ended.err().and_then(|error| fault(&error));
    let mut world = store.into_data();
    world.lines.end();
    let output = |name: &str, bytes| NamedBytes { name: name.into(), bytes };
    let outputs = vec![output("stdout", world.stdout), output("stderr", world.stderr)];
    Ok(JobResult { fault, outputs })
}

type Start = Result<wasmi::TypedFunc<(), ()>, wasmi::Error>;

/// A store with the program in it and its beginning: an error there is already the program's own, such as one of its
/// start function.
fn prepare<'a>(
    job: &WasmJob,
    bounds: &Bounds,
    lines: wasi::Lines<'a>,
) -> Result<(Store<wasi::World<'a>>, Start), JobFailure> {
    if job.memory_bytes > bounds.memory_bytes.min(MAX_MEMORY) {
        let most = bounds.memory_bytes.min(MAX_MEMORY);
        return Err(of_job(format!(
            "the job asks for {} bytes of memory, {most} are given here",
            job.memory_bytes
        )));
    }
    let mut config = Config::default();
    config.consume_fuel(true).enforced_limits(EnforcedLimits::default());
    config.set_max_recursion_depth(MAX_RECURSION);
    let engine = Engine::new(&config);
    let module = Module::new(&engine, &job.module)
        .map_err(|error| of_job(format!("the module is not valid: {error}")))?;
    let mut linker = Linker::new(&engine);
    wasi::link(&mut linker).map_err(of_job)?;
    let mut store = Store::new(&engine, world(job, bounds, lines));
    store.limiter(|world| &mut world.limits);
    store.set_fuel(job.fuel).map_err(of_job)?;
    match module.get_export("_start") {
        Some(ExternType::Func(start))
            if start.params().is_empty() && start.results().is_empty() => {}
        found => {
            let found =
                if found.is_some() { "its _start is another thing" } else { "there is none" };
            return Err(of_job(format!(
                "the module must export a function _start without parameters or results, and {found}: build a program \
                 for wasm32-wasip1"
            )));
        }
    }
    let linked = linker.instantiate_and_start(&mut store, &module);
    if let Err(error) = &linked
        && let Some(refusal) = refusal(error, &module, job)
    {
        return Err(of_job(refusal));
    }
    let start = linked.and_then(|instance| instance.get_typed_func(&store, "_start"));
    Ok((store, start))
}

/// Why a module is no program that can be run, if that is why it was not put together.
fn refusal(error: &wasmi::Error, module: &Module, job: &WasmJob) -> Option<String> {
    Some(match error.kind() {
        ErrorKind::Instantiation(
            InstantiationError::FailedToInstantiateMemory(_) | InstantiationError::TooManyMemories,
        ) => {
            let wanted = module.exports().find_map(|export| match export.ty() {
                ExternType::Memory(memory) => Some(memory.minimum().saturating_mul(PAGE)),
                _ => None,
            });
            let wanted = wanted.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default();
            format!(
                "the module wants one memory{wanted} to begin with, and the job gives it {} bytes: raise memory_mib",
                job.memory_bytes
            )
        }
        ErrorKind::Instantiation(
            InstantiationError::FailedToInstantiateTable(_) | InstantiationError::TooManyTables,
        ) => format!(
            "the module wants more tables than {MAX_TABLES}, or one of more than {MAX_TABLE} entries"
        ),
        ErrorKind::Linker(_) | ErrorKind::Instantiation(_) => {
            let foreign = module.imports().find(|import| import.module() != wasi::MODULE);
            let what = foreign.map_or_else(
                || format!("what {} does not have, or has otherwise", wasi::MODULE),
                |import| format!("'{}' of '{}'", import.name(), import.module()),
            );
            format!(
                "the module imports {what}: programs have the functions of {} only",
                wasi::MODULE
            )
        }
        _ => return None,
    })
}

fn world<'a>(job: &WasmJob, bounds: &Bounds, lines: wasi::Lines<'a>) -> wasi::World<'a> {
    let mut seed = blake3::Hasher::new_derive_key("neura wasm job random bytes v1");
    seed.update(&job.module).update(&job.input);
    let memory = usize::try_from(job.memory_bytes).unwrap_or(usize::MAX);
    wasi::World {
        args: job.args.iter().map(|arg| arg.clone().into_bytes()).collect(),
        input: job.input.clone(),
        read: 0,
        stdout: Vec::new(),
        stderr: Vec::new(),
        lines,
        max_output: usize::try_from(bounds.max_result / 2).unwrap_or(usize::MAX),
        random: seed.finalize_xof(),
        limits: StoreLimitsBuilder::new()
            .memory_size(memory)
            .table_elements(MAX_TABLE)
            .instances(1)
            .memories(1)
            .tables(MAX_TABLES)
            .build(),
    }
}

/// What an end means; none for a good one.
fn fault(error: &wasmi::Error) -> Option<JobFault> {
    let fault = |code, detail: String| Some(JobFault { code, detail });
    match error.i32_exit_status() {
        Some(0) => return None,
        Some(code) => {
            return fault(FaultCode::ExitCode, format!("the program ended with code {code}"));
        }
        None => {}
    }
    if error.downcast_ref::<wasi::TooMuchOutput>().is_some() {
        return fault(FaultCode::OutputTooLarge, error.to_string());
    }
    match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => {
            fault(FaultCode::OutOfFuel, "the program spent the fuel that the job gave it".into())
        }
        Some(TrapCode::GrowthOperationLimited) => fault(FaultCode::OutOfMemory, error.to_string()),
        _ => fault(FaultCode::Trapped, error.to_string()),
    }
}

fn of_job(error: impl ToString) -> JobFailure {
    JobFailure { kind: FailureKind::Job, detail: error.to_string() }
}
