//! A worker that does not live long: it is the worker up to the first checkpoint, then ends in the way its first
//! argument says: `killed`, `device` (it says that the device is lost), or `hangs`. The rest is the command of the real
//! worker.
//!
//! Tests run it to see that nothing is lost but time.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitCode, Stdio},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn main() -> io::Result<ExitCode> {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let worker = Command::new(&args[1]).args(&args[2..]).stdout(Stdio::piped()).spawn();
    let mut worker = worker?;
    let mut said = BufReader::new(worker.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    let mut out = io::stdout();
    loop {
        let mut line = Vec::new();
        if said.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        out.write_all(&line)?;
        if let Some(bytes) = checkpoint(&line) {
            io::copy(&mut (&mut said).take(bytes), &mut out)?;
            out.flush()?;
            return end(&mut worker, &args[0]);
        }
    }
    out.flush()?;
    worker.wait()?;
    Ok(ExitCode::SUCCESS)
}

/// The length of the checkpoint that follows a line, if it announces one.
fn checkpoint(line: &[u8]) -> Option<u64> {
    let report: serde_json::Value = serde_json::from_slice(line).ok()?;
    (report["report"] == "checkpoint").then(|| report["bytes"].as_u64())?
}

fn end(worker: &mut Child, way: &OsStr) -> io::Result<ExitCode> {
    worker.kill()?;
    worker.wait()?;
    if way == "killed" {
        kill(Pid::this(), Signal::SIGKILL)?;
    }
    if way == "hangs" {
        loop {
            thread::park();
        }
    }
    let lost = br#"{"report":"failed","kind":"device","detail":"the device was lost"}"#;
    io::stdout().write_all(&[lost.as_slice(), b"\n"].concat())?;
    Ok(ExitCode::SUCCESS)
}
