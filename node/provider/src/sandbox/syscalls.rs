//! Give up the system calls that no job needs.

/// Refuses this process, for good, new processes and programs, sockets other than local ones, and whatever reaches
/// into the kernel or into other processes. Threads stay possible: graphics drivers need them.
///
/// Does nothing on systems other than Linux.
///
/// # Errors
/// If the kernel does not take the filter.
#[cfg(not(target_os = "linux"))]
pub fn forbid_system_calls() -> Result<(), String> {
    Ok(())
}

/// Refuses this process, for good, new processes and programs, sockets other than local ones, and whatever reaches
/// into the kernel or into other processes. Threads stay possible: graphics drivers need them.
///
/// # Errors
/// If the kernel does not take the filter.
#[cfg(target_os = "linux")]
pub fn forbid_system_calls() -> Result<(), String> {
    linux::apply().map_err(|error| format!("system calls cannot be restricted: {error}"))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;

    use nix::libc::{
        self, AF_UNIX, CLONE_THREAD, EPERM, SYS_add_key, SYS_bpf, SYS_chroot, SYS_clone,
        SYS_clone3, SYS_delete_module, SYS_execve, SYS_execveat, SYS_finit_module, SYS_fsopen,
        SYS_init_module, SYS_io_uring_setup, SYS_kexec_load, SYS_keyctl, SYS_mount, SYS_move_mount,
        SYS_open_by_handle_at, SYS_open_tree, SYS_perf_event_open, SYS_personality, SYS_pivot_root,
        SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace, SYS_reboot, SYS_request_key,
        SYS_setns, SYS_socket, SYS_swapon, SYS_umount2, SYS_unshare, SYS_userfaultfd,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
        SeccompFilter, SeccompRule, apply_filter_all_threads,
    };

    /// Refused whatever their arguments are.
    const REFUSED: [i64; 30] = [
        SYS_add_key,
        SYS_bpf,
        SYS_chroot,
        SYS_delete_module,
        SYS_execve,
        SYS_execveat,
        SYS_finit_module,
        SYS_fsopen,
        SYS_init_module,
        SYS_kexec_load,
        SYS_keyctl,
        SYS_mount,
        SYS_move_mount,
        SYS_open_by_handle_at,
        SYS_open_tree,
        SYS_perf_event_open,
        SYS_personality,
        SYS_pivot_root,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_ptrace,
        SYS_reboot,
        SYS_request_key,
        SYS_setns,
        SYS_swapon,
        SYS_umount2,
        SYS_unshare,
        SYS_userfaultfd,
        FORK,
        VFORK,
    ];
    /// Answered as by a kernel that has not got them, so that libraries use what is older and can be filtered.
    const UNKNOWN: [i64; 2] = [SYS_clone3, SYS_io_uring_setup];

    #[cfg(target_arch = "x86_64")]
    const FORK: i64 = libc::SYS_fork;
    #[cfg(target_arch = "x86_64")]
    const VFORK: i64 = libc::SYS_vfork;
    // Other architectures have clone alone.
    #[cfg(not(target_arch = "x86_64"))]
    const FORK: i64 = SYS_reboot;
    #[cfg(not(target_arch = "x86_64"))]
    const VFORK: i64 = SYS_reboot;

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    pub(super) fn apply() -> Result<(), Box<dyn std::error::Error>> {
        let mut refused: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
        // A new process, as told from a new thread.
        let thread = CLONE_THREAD as u64;
        refused.insert(SYS_clone, vec![when(0, Op::MaskedEq(thread), 0)?]);
        // A socket that leaves the machine; some drivers talk to a daemon of theirs through a local one.
        refused.insert(SYS_socket, vec![when(0, Op::Ne, AF_UNIX as u64)?]);
        install(refused, EPERM)?;
        install(UNKNOWN.iter().map(|call| (*call, Vec::new())).collect(), libc::ENOSYS)
    }

    fn when(argument: u8, op: Op, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
        SeccompRule::new(vec![SeccompCondition::new(argument, Len::Dword, op, value)?])
    }

    fn install(rules: Rules, errno: i32) -> Result<(), Box<dyn std::error::Error>> {
        let errno = SeccompAction::Errno(errno.unsigned_abs());
        let arch = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?;
        let program: BpfProgram = filter.try_into()?;
        Ok(apply_filter_all_threads(&program)?)
    }
}
