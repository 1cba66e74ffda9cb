//! Put bubblewrap around a worker.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::WorkerCommand;

/// The program, as Debian, Fedora and Arch name it.
const PROGRAM: &str = "bwrap";
/// What a worker may write to its folder, which is in memory, in bytes.
const PLACE_BYTES: u64 = 256 << 20;
/// Folders at the root that are links into `/usr` on some systems and folders on others.
const ROOTS: [&str; 5] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// Where loaders and graphics drivers look for their configuration and their devices' descriptions.
const READ: [&str; 10] = [
    "/usr",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/vulkan",
    "/etc/glvnd",
    "/etc/OpenCL",
    "/etc/drirc",
    "/sys",
];
/// Variables that name files of drivers, or folders of libraries, elsewhere.
const NAMING: [&str; 6] = [
    "VK_ICD_FILENAMES",
    "VK_DRIVER_FILES",
    "VK_ADD_DRIVER_FILES",
    "VK_LAYER_PATH",
    "LD_LIBRARY_PATH",
    "LIBGL_DRIVERS_PATH",
];

/// A bubblewrap that works on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    program: PathBuf,
}

impl Sandbox {
    /// Looks for bubblewrap and tries it.
    ///
    /// # Errors
    /// Why there is no sandbox, and what to do.
    pub fn find() -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM));
        let Some(program) = found.into_iter().find(|program| program.is_file()) else {
            return Err("bubblewrap is not installed (Debian: apt install bubblewrap)".into());
        };
        let sandbox = Self { program };
        let truth = WorkerCommand { program: "/usr/bin/true".into(), args: Vec::new() };
        let tried = sandbox.around(&truth, Path::new("/tmp/neura"));
        let output = Command::new(tried.program).args(tried.args).stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => Ok(sandbox),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(format!("bubblewrap does not work here: {said}"))
            }
            Err(error) => Err(format!("bubblewrap cannot be started: {error}")),
        }
    }

    /// The command that runs `inner` with nothing but what it needs, in a fresh folder at `place`.
    #[must_use]
    pub fn around(&self, inner: &WorkerCommand, place: &Path) -> WorkerCommand {
        let mut args = Arguments(Vec::new());
        args.push(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        READ.iter().for_each(|path| args.readable(Path::new(path)));
        for root in ROOTS.map(Path::new) {
            match std::fs::read_link(root) {
                Ok(target) => args.push([OsStr::new("--symlink"), target.as_ref(), root.as_ref()]),
                Err(_) => args.readable(root),
            }
        }
        args.push(["--proc", "/proc", "--dev", "/dev"]);
        devices().iter().for_each(|device| {
            args.push([OsStr::new("--dev-bind-try"), device.as_ref(), device.as_ref()]);
        });
        args.push([OsStr::new("--size"), PLACE_BYTES.to_string().as_ref()]);
        args.push([OsStr::new("--tmpfs"), place.as_ref()]);
        named()
            .iter()
            .filter(|folder| !place.starts_with(folder))
            .for_each(|folder| args.readable(folder));
        args.readable(&inner.program);
        args.push([OsStr::new("--chdir"), place.as_ref()]);
        args.push([OsStr::new("--"), inner.program.as_ref()]);
        args.0.extend(inner.args.iter().cloned());
        WorkerCommand { program: self.program.clone(), args: args.0 }
    }
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn push<T: AsRef<OsStr>, const N: usize>(&mut self, args: [T; N]) {
        self.0.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
    }

    /// Lets the worker read a file or folder, if it is there.
    fn readable(&mut self, path: &Path) {
        self.push([OsStr::new("--ro-bind-try"), path.as_ref(), path.as_ref()]);
    }
}

/// Devices that drivers compute on.
fn devices() -> Vec<PathBuf> {
    let mut devices = vec![PathBuf::from("/dev/dri"), PathBuf::from("/dev/kfd")];
    let all = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    devices.extend(all.map(|entry| entry.path()).filter(|path| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("nvidia"))
    }));
    devices
}

/// Folders of drivers and libraries that the environment names.
fn named() -> Vec<PathBuf> {
    let variables = NAMING.iter().filter_map(std::env::var_os);
    let paths: Vec<PathBuf> =
        variables.flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>()).collect();
    let folder =
        |path: PathBuf| if path.is_file() { path.parent().map(Path::to_owned) } else { Some(path) };
    let below_root = |path: &PathBuf| path.is_absolute() && path.parent().is_some();
    paths.into_iter().filter_map(folder).filter(below_root).collect()
}
