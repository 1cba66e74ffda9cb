//! What a container may do: the `config.json` of the OCI runtime specification (version 1.0.2).

use std::path::Path;

use nix::unistd::Uid;
use serde_json::{Value, json};

/// User and group of a container's processes where root starts them: those of nobody.
const NOBODY: u32 = 65_534;
/// Most processes and threads at a time.
const MAX_PROCESSES: u32 = 256;
/// What a container may write to `/tmp`, which is in memory and counts as such, in bytes.
const SCRATCH_BYTES: u64 = 256 << 20;
/// Most open files of a process.
const MAX_FILES: u64 = 1_024;
/// System calls that have no use in a job and had holes: refused beside all that needs a capability.
const REFUSED: [&str; 24] = [
    "add_key",
    "bpf",
    "clone3",
    "fanotify_init",
    "fsopen",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_load",
    "keyctl",
    "mount",
    "move_pages",
    "open_by_handle_at",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "request_key",
    "setns",
    "umount2",
    "unshare",
    "userfaultfd",
];
/// `ENOSYS`: libraries then take the older call.
const NO_SUCH_CALL: u32 = 38;

/// What differs between containers.
pub(super) struct Container<'a> {
    /// The image's file system.
    pub(super) root: &'a Path,
    /// The program and its arguments.
    pub(super) command: &'a [String],
    /// Memory, in bytes.
    pub(super) memory_bytes: u64,
    /// Name of its control group.
    pub(super) group: &'a str,
}

impl Container<'_> {
    /// The text of its `config.json`.
    pub(super) fn config(&self) -> Value {
        let user = if Uid::effective().is_root() { NOBODY } else { 0 };
        let namespaces =
            ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": { "uid": user, "gid": user },
                "args": self.command,
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"],
                "cwd": "/tmp",
                "capabilities": {},
                "noNewPrivileges": true,
                "rlimits": [limit("RLIMIT_CORE", 0), limit("RLIMIT_NOFILE", MAX_FILES)],
            },
            "root": { "path": self.root, "readonly": true },
            "hostname": "job",
            "mounts": mounts(),
            "linux": {
                "namespaces": namespaces,
                "cgroupsPath": self.group,
                "resources": {
                    "memory": { "limit": self.memory_bytes },
                    "pids": { "limit": MAX_PROCESSES },
                },
                "seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": NO_SUCH_CALL }],
                },
                "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        })
    }
}

fn limit(kind: &str, value: u64) -> Value {
    json!({ "type": kind, "hard": value, "soft": value })
}

fn mounts() -> Value {
    let scratch = format!("size={SCRATCH_BYTES}");
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
        { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "nodev", "mode=1777", scratch] },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "noexec", "mode=755", "size=65536"] },
    ])
}
