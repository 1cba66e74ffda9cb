//! A worker that was taken over: tries what its argument says, and tells what came of it.
//!
//! Tests run it inside of the sandbox, and without it to see that it could.

#![allow(clippy::print_stdout, reason = "it tells whoever tries it")]

use std::{
    env, fs, io,
    net::{TcpStream, UdpSocket},
    process::{Command, ExitCode},
};

use neura_provider::sandbox::forbid_system_calls;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().collect();
    let (filter, deed, target) = (&args[1], &args[2], args.get(3).map_or("", String::as_str));
    if filter == "filtered"
        && let Err(error) = forbid_system_calls()
    {
        println!("no filter: {error}");
        return ExitCode::FAILURE;
    }
    let done = match deed.as_str() {
        "nothing" => Ok(()),
        "thread" => std::thread::spawn(|| ()).join().map_err(|_| io::Error::other("it panicked")),
        "fork" => Command::new("/usr/bin/true").status().map(drop),
        "connect" => TcpStream::connect(target).map(drop),
        "datagram" => UdpSocket::bind("0.0.0.0:0").map(drop),
        "read" => fs::read(target).map(drop),
        "write" => fs::write(target, b"x"),
        "list" => fs::read_dir(target).map(|entries| println!("{} entries", entries.count())),
        "processes" => fs::read_dir("/proc").map(|entries| {
            let names = entries.flatten().map(|entry| entry.file_name());
            let count = names.filter(|name| name.to_string_lossy().parse::<u32>().is_ok()).count();
            println!("{count} processes");
        }),
        "fill" => fill(target),
        other => Err(io::Error::other(format!("'{other}' is no deed"))),
    };
    match done {
        Ok(()) => {
            println!("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("refused: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a gigabyte.
fn fill(path: &str) -> io::Result<()> {
    use io::Write;
    let mut file = fs::File::create(path)?;
    let block = vec![1; 1 << 20];
    for _ in 0..1_024 {
        file.write_all(&block)?;
    }
    Ok(())
}
