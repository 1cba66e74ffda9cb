use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use neura_types::job::{FaultCode, JobResult, OciJob};

use super::*;

/// Programs of this machine that make an image.
const PROGRAMS: [&str; 4] = ["/bin/sh", "/bin/cat", "/bin/sleep", "/usr/bin/id"];
const BOUNDS: Bounds = Bounds { memory_bytes: 64 << 20, max_result: 1 << 20, timeout_ms: 120_000 };

/// An image of a shell and little else, and the means to run it.
struct Machine {
    folder: tempfile::TempDir,
    containers: Containers,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("image/rootfs");
        for inner in ["bin", "proc", "dev", "tmp"] {
            fs::create_dir_all(root.join(inner)).unwrap();
        }
        for program in PROGRAMS {
            let name = Path::new(program).file_name().unwrap();
            fs::copy(program, root.join("bin").join(name)).unwrap();
            libraries(program).iter().for_each(|library| {
                let there = root.join(library.strip_prefix("/").unwrap());
                fs::create_dir_all(there.parent().unwrap()).unwrap();
                fs::copy(library, there).unwrap();
            });
        }
        // What a stranger's image may hold: a way out, were it followed on this side.
        symlink("/", root.join("outside")).unwrap();
        let images = Images::from([("small".to_owned(), folder.path().join("image"))]);
        let containers = Containers::find(&images, folder.path()).expect("these tests need crun");
        Self { folder, containers }
    }

    fn run(&self, script: &str, input: &[u8], bounds: &Bounds) -> JobResult {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let job = OciJob { image: "small".into(), command, input: input.to_vec() };
        self.containers.run(&job, bounds, self.folder.path()).unwrap()
    }

    /// What a script writes, if it ends well.
    fn says(&self, script: &str) -> String {
        let result = self.run(script, b"", &BOUNDS);
        assert_eq!(result.fault, None, "{result:?}");
        String::from_utf8(result.outputs[0].bytes.clone()).unwrap()
    }

    fn fault(&self, script: &str, bounds: &Bounds) -> FaultCode {
        self.run(script, b"", bounds).fault.expect(script).code
    }
}

fn libraries(program: &str) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[test]
fn a_program_reads_its_input_and_its_streams_come_back() {
    let machine = Machine::new();
    let result = machine.run("cat; echo done >&2", b"some input", &BOUNDS);
    assert_eq!(result.fault, None);
    assert_eq!(result.outputs[0].bytes, b"some input");
    assert_eq!(result.outputs[1].bytes, b"done\n");
    let unread = machine.run("echo ok", &vec![7; 1 << 20], &BOUNDS);
    assert_eq!((unread.fault, &unread.outputs[0].bytes[..]), (None, &b"ok\n"[..]));
}

#[test]
fn how_a_program_ends_is_told() {
    let machine = Machine::new();
    assert_eq!(machine.fault("exit 3", &BOUNDS), FaultCode::ExitCode);
    assert_eq!(machine.fault("sh -c 'kill -SEGV $$'; exit $?", &BOUNDS), FaultCode::Trapped);
    let job = OciJob { image: "small".into(), command: vec!["/bin/none".into()], input: vec![] };
    let result = machine.containers.run(&job, &BOUNDS, machine.folder.path()).unwrap();
    assert!(result.fault.unwrap().detail.contains("/bin/none"));
}

/// A folder in place of a program was taken for a failure of the machine: the provider gave the task up, and was at fault.
#[test]
fn what_cannot_be_started_is_the_jobs_own_fault() {
    let machine = Machine::new();
    let long = ["/bin/cat".to_owned(), "x".repeat(1 << 20)];
    for command in [vec!["/tmp".to_owned()], vec!["/proc/version".to_owned()], long.to_vec()] {
        let job = OciJob { image: "small".into(), command, input: vec![] };
        let result = machine.containers.run(&job, &BOUNDS, machine.folder.path()).unwrap();
        assert_eq!(result.fault.map(|fault| fault.code), Some(FaultCode::ExitCode));
    }
    assert_eq!(machine.says("echo next"), "next\n");
}

#[test]
fn a_program_that_takes_too_much_is_ended_and_the_next_one_runs() {
    let machine = Machine::new();
    assert_eq!(
        machine.fault("x=aaaaaaaa; while :; do x=$x$x; done", &BOUNDS),
        FaultCode::OutOfMemory
    );
    let little = Bounds { max_result: 1_000, ..BOUNDS };
    assert_eq!(machine.fault("while :; do echo much; done", &little), FaultCode::OutputTooLarge);
    let short = Bounds { timeout_ms: 1_000, ..BOUNDS };
    assert_eq!(machine.fault("while :; do :; done", &short), FaultCode::TimedOut);
    // What cannot fork any more may end, and its parents with it: all but the first.
    let forks = "b() { b | b & wait; }; b; while :; do :; done";
    assert_eq!(machine.fault(forks, &short), FaultCode::TimedOut);
    assert_eq!(machine.fault("exec >&- 2>&-; sleep 100", &short), FaultCode::TimedOut);
    assert_eq!(machine.says("echo next"), "next\n");
}

#[test]
fn a_program_has_no_network_no_rights_and_no_file_of_this_machine() {
    let machine = Machine::new();
    let key = machine.folder.path().join("identity.key");
    fs::write(&key, b"secret").unwrap();
    let networks = machine.says("cat /proc/net/dev");
    assert_eq!(networks.lines().filter(|line| line.contains(':')).count(), 1, "{networks}");
    for path in [key.to_str().unwrap(), "/etc/passwd", "/outside/etc/passwd"] {
        assert_eq!(machine.fault(&format!("cat {path}"), &BOUNDS), FaultCode::ExitCode, "{path}");
    }
    for path in ["/bin/x", "/x", "/proc/sys/kernel/hostname", "/dev/../x"] {
        assert_eq!(
            machine.fault(&format!("echo x > {path}"), &BOUNDS),
            FaultCode::ExitCode,
            "{path}"
        );
    }
    assert_eq!(machine.says("echo kept > /tmp/x; cat /tmp/x"), "kept\n");
    let status = machine.says("cat /proc/self/status");
    assert!(
        status.contains("CapEff:\t0000000000000000") && status.contains("NoNewPrivs:\t1"),
        "{status}"
    );
    assert!(machine.says("cat /proc/1/comm").starts_with("sh"));
}

#[test]
fn nothing_is_left_of_a_container() {
    let machine = Machine::new();
    machine.says("sleep 1000 & echo started");
    let left: Vec<_> = fs::read_dir(machine.folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "only the image: {left:?}");
    let running = Command::new("pgrep").args(["-f", "^sleep 1000$"]).output().unwrap();
    assert!(running.stdout.is_empty());
}

#[test]
fn what_is_not_offered_is_declined_by_name() {
    let machine = Machine::new();
    let refused = |image: &str, command: Vec<String>| {
        let job = OciJob { image: image.into(), command, input: vec![] };
        machine.containers.check(&job).unwrap_err().detail
    };
    assert!(refused("other", vec!["/bin/sh".into()]).contains("there are: small"));
    assert!(refused("../image", vec!["/bin/sh".into()]).contains("no image '../image'"));
    assert!(refused("small", vec![]).contains("no program"));
    assert!(refused("small", vec!["/bin/sh".into(), "a\0b".into()]).contains("NUL"));
}

#[test]
fn an_operator_learns_why_an_image_cannot_be_offered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image.tar");
    fs::write(&file, b"").unwrap();
    let found = |path: &Path| {
        let images = Images::from([("image".to_owned(), path.to_owned())]);
        Containers::find(&images, folder.path()).unwrap_err()
    };
    assert!(found(&file).contains("unpack it"));
    assert!(found(Path::new("/nowhere")).contains("cannot be read"));
    assert!(Containers::find(&Images::new(), folder.path()).unwrap_err().contains("--oci-image"));
}
