//! The system interface of WebAssembly programs: their arguments, standard input and output, and nothing else.
//!
//! It is `wasi_snapshot_preview1` with no files, no sockets, no environment, a clock that stands still, and random bytes
//! that follow from the job: a program gives the same output on every machine. What a program may not do answers with an
//! error code that its standard library knows.

use super::MAX_TEXT;
use wasmi::{Caller, Error, FuncType, Linker, Memory, Val, ValType, errors::HostError};

/// Name of the interface's module.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

const SUCCESS: i32 = 0;
const BAD_FILE: i32 = 8;
const FAULT: i32 = 21;
const NOT_SUPPORTED: i32 = 52;
const NO_SEEK: i32 = 70;

/// Type of standard streams: a character device, so that libraries do not look for more.
const CHARACTER_DEVICE: u8 = 2;
/// Bytes that a host call moves for a unit of fuel.
const BYTES_PER_FUEL: u64 = 64;
/// Fuel of a host call, whatever it does.
const CALL_FUEL: u64 = 32;
/// Most pieces of one read or write.
const MAX_PIECES: u32 = 1_024;

/// Whole lines of a stream, told as they come.
pub(super) struct Lines<'a> {
    unfinished: Vec<u8>,
    tell: &'a mut dyn FnMut(String),
}

impl<'a> Lines<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(String)) -> Self {
        Self { unfinished: Vec::new(), tell }
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.unfinished.extend_from_slice(part);
            // Of a line without an end no more is kept than is told.
            if parts.peek().is_some() || self.unfinished.len() >= MAX_TEXT {
                self.end();
            }
        }
    }

    /// Tells the last line, if the stream does not end with one's end.
    pub(super) fn end(&mut self) {
        let line =
            String::from_utf8_lossy(&std::mem::take(&mut self.unfinished)).trim_end().to_owned();
        if !line.is_empty() {
            (self.tell)(line);
        }
    }
}

/// What a program has of the world.
pub(super) struct World<'a> {
    pub(super) args: Vec<Vec<u8>>,
    pub(super) input: Vec<u8>,
    pub(super) read: usize,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// Where standard error goes while the program runs.
    pub(super) lines: Lines<'a>,
    /// Most bytes of both streams together.
    pub(super) max_output: usize,
    pub(super) random: blake3::OutputReader,
    pub(super) limits: wasmi::StoreLimits,
}

/// A program wrote more than a result may hold.
#[derive(Debug)]
pub(super) struct TooMuchOutput;

impl std::fmt::Display for TooMuchOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the program wrote more than a result may hold")
    }
}

impl HostError for TooMuchOutput {}

/// Every other function of the interface with its parameters, `i` for 32 bits and `I` for 64: they answer that they are
/// not supported.
const REFUSED: [(&str, &str); 31] = [
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_datasync", "i"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Links the whole interface.
pub(super) fn link(linker: &mut Linker<World<'_>>) -> Result<(), Error> {
    linker.func_wrap(MODULE, "args_sizes_get", args_sizes)?;
    linker.func_wrap(MODULE, "args_get", args)?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut caller: Caller<'_, World<'_>>, count, size| {
            answer(&mut caller, |caller, memory| {
                memory.put(caller, count, &0u32.to_le_bytes())?;
                memory.put(caller, size, &0u32.to_le_bytes())
            })
        },
    )?;
    linker.func_wrap(MODULE, "environ_get", |_: i32, _: i32| SUCCESS)?;
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |mut caller: Caller<'_, World<'_>>, _: i32, at: u32| {
            answer(&mut caller, |caller, memory| memory.put(caller, at, &1u64.to_le_bytes()))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut caller: Caller<'_, World<'_>>, _: i32, _: i64, at: u32| {
            answer(&mut caller, |caller, memory| memory.put(caller, at, &0u64.to_le_bytes()))
        },
    )?;
    linker.func_wrap(MODULE, "random_get", random)?;
    linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
    linker.func_wrap(MODULE, "fd_close", |_: i32| SUCCESS)?;
    linker.func_wrap(MODULE, "fd_seek", |_: i32, _: i64, _: i32, _: i32| NO_SEEK)?;
    linker.func_wrap(MODULE, "fd_fdstat_get", stream_state)?;
    linker.func_wrap(MODULE, "fd_read", read)?;
    linker.func_wrap(MODULE, "fd_write", write)?;
    linker.func_wrap(MODULE, "proc_exit", |code: i32| -> Result<(), Error> {
        Err(Error::i32_exit(code))
    })?;
    for (name, params) in REFUSED {
        let kind = |kind: char| if kind == 'I' { ValType::I64 } else { ValType::I32 };
        let params: Vec<ValType> = params.chars().map(kind).collect();
        let ty = FuncType::new(params, [ValType::I32]);
        // Of no open file but the standard streams is a library told; the first question ends its search.
        let code = if name.starts_with("fd_prestat") { BAD_FILE } else { NOT_SUPPORTED };
        linker.func_new(MODULE, name, ty, move |_, _, results| {
            results[0] = Val::I32(code);
            Ok(())
        })?;
    }
    Ok(())
}

/// A program's memory, for host calls.
#[derive(Clone, Copy)]
struct Mem(Memory);

/// A host call goes wrong by an address outside of memory, which the program is told, or ends the program.
enum Wrong {
    Address,
    End(Error),
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Self::End(error)
    }
}

impl Mem {
    fn put(self, caller: &mut Caller<'_, World<'_>>, at: u32, bytes: &[u8]) -> Result<(), Wrong> {
        pay(caller, bytes.len() as u64)?;
        self.0.write(caller, at as usize, bytes).map_err(|_| Wrong::Address)
    }

    fn word(self, caller: &Caller<'_, World<'_>>, at: u32) -> Result<u32, Wrong> {
        let mut bytes = [0; 4];
        self.0.read(caller, at as usize, &mut bytes).map_err(|_| Wrong::Address)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The pieces, address and length, of a read or write.
    fn pieces(
        self,
        caller: &Caller<'_, World<'_>>,
        at: u32,
        count: u32,
    ) -> Result<Vec<(u32, u32)>, Wrong> {
        let piece = |n: u32| {
            let at = n.checked_mul(8).and_then(|offset| at.checked_add(offset));
            let at = at.and_then(|at| Some((at, at.checked_add(4)?))).ok_or(Wrong::Address)?;
            Ok((self.word(caller, at.0)?, self.word(caller, at.1)?))
        };
        (0..count.min(MAX_PIECES)).map(piece).collect()
    }
}

/// Takes fuel for moving bytes.
fn pay(caller: &mut Caller<'_, World<'_>>, bytes: u64) -> Result<(), Error> {
    let cost = CALL_FUEL + bytes / BYTES_PER_FUEL;
    let left = caller.get_fuel()?.checked_sub(cost);
    caller.set_fuel(left.unwrap_or(0))?;
    left.map(|_| ()).ok_or_else(|| wasmi::TrapCode::OutOfFuel.into())
}

/// Does a call that touches memory, and turns what goes wrong into the code for the program.
fn answer(
    caller: &mut Caller<'_, World<'_>>,
    call: impl FnOnce(&mut Caller<'_, World<'_>>, Mem) -> Result<(), Wrong>,
) -> Result<i32, Error> {
    let Some(memory) = caller.get_export("memory").and_then(wasmi::Extern::into_memory) else {
        return Ok(FAULT);
    };
    match call(caller, Mem(memory)) {
        Ok(()) => Ok(SUCCESS),
        Err(Wrong::Address) => Ok(FAULT),
        Err(Wrong::End(error)) => Err(error),
    }
}

fn args_sizes(mut caller: Caller<'_, World<'_>>, count: u32, size: u32) -> Result<i32, Error> {
    answer(&mut caller, |caller, memory| {
        let args = &caller.data().args;
        let bytes: usize = args.iter().map(|arg| arg.len() + 1).sum();
        let (args, bytes) = (args.len() as u32, bytes as u32);
        memory.put(caller, count, &args.to_le_bytes())?;
        memory.put(caller, size, &bytes.to_le_bytes())
    })
}

fn args(mut caller: Caller<'_, World<'_>>, mut list: u32, mut text: u32) -> Result<i32, Error> {
    answer(&mut caller, |caller, memory| {
        for arg in caller.data().args.clone() {
            memory.put(caller, list, &text.to_le_bytes())?;
            let bytes = [&arg[..], &[0]].concat();
            memory.put(caller, text, &bytes)?;
            list = list.checked_add(4).ok_or(Wrong::Address)?;
            text = text.checked_add(bytes.len() as u32).ok_or(Wrong::Address)?;
        }
        Ok(())
    })
}

fn random(mut caller: Caller<'_, World<'_>>, at: u32, length: u32) -> Result<i32, Error> {
    answer(&mut caller, |caller, memory| {
        if length as usize > memory.0.data_size(&*caller) {
            return Err(Wrong::Address);
        }
        let mut bytes = vec![0; length as usize];
        caller.data_mut().random.fill(&mut bytes);
        memory.put(caller, at, &bytes)
    })
}

fn stream_state(mut caller: Caller<'_, World<'_>>, file: i32, at: u32) -> Result<i32, Error> {
    if !(0..=2).contains(&file) {
        return Ok(BAD_FILE);
    }
    answer(&mut caller, |caller, memory| {
        let mut state = [0; 24];
        state[0] = CHARACTER_DEVICE;
        state[8..16].fill(0xff);
        memory.put(caller, at, &state)
    })
}

fn read(
    mut caller: Caller<'_, World<'_>>,
    file: i32,
    pieces: u32,
    count: u32,
    done: u32,
) -> Result<i32, Error> {
    if file != 0 {
        return Ok(BAD_FILE);
    }
    answer(&mut caller, |caller, memory| {
        let mut total = 0u32;
        for (at, length) in memory.pieces(caller, pieces, count)? {
            let world = caller.data_mut();
            let end = world.input.len().min(world.read.saturating_add(length as usize));
            let part = world.input[world.read..end].to_vec();
            memory.put(caller, at, &part)?;
            caller.data_mut().read = end;
            total = total.saturating_add(part.len() as u32);
        }
        memory.put(caller, done, &total.to_le_bytes())
    })
}

fn write(
    mut caller: Caller<'_, World<'_>>,
    file: i32,
    pieces: u32,
    count: u32,
    done: u32,
) -> Result<i32, Error> {
    if file != 1 && file != 2 {
        return Ok(BAD_FILE);
    }
    answer(&mut caller, |caller, memory| {
        let mut total = 0u32;
        for (at, length) in memory.pieces(caller, pieces, count)? {
            pay(caller, length.into())?;
            let (at, length) = (at as usize, length as usize);
            let end = at.checked_add(length).ok_or(Wrong::Address)?;
            let (bytes, world) = memory.0.data_and_store_mut(&mut *caller);
            let part = bytes.get(at..end).ok_or(Wrong::Address)?;
            if world.stdout.len() + world.stderr.len() + length > world.max_output {
                return Err(Error::host(TooMuchOutput).into());
            }
            let stream = if file == 1 { &mut world.stdout } else { &mut world.stderr };
            stream.extend_from_slice(part);
            if file == 2 {
                world.lines.push(part);
            }
            total = total.saturating_add(length as u32);
        }
        memory.put(caller, done, &total.to_le_bytes())
    })
}
