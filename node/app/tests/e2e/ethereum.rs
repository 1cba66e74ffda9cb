//! viem, ethers and solc, as npm has them, against a node: the tests are in `tests/ethereum`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::harness::{Market, Running, quick};

/// Digits of the lock file's hash that name an installation: enough to tell versions apart.
const NAME_DIGITS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn viem_and_ethers_work_as_with_any_chain_of_ethereum() {
    let folder = workshop(&installed_packages().await);
    let market = Market::open(quick()).await;
    let node = || {
        let mut command = command("node", folder.path());
        command
            .env("NEURA_URL", market.network.url(0))
            .env("NEURA_PROVIDER", market.provider.address().to_string())
            .env("NEURA_CONTRACTS", manifest_dir().join("../../runtime/contracts"));
        command
    };
    let mut compile = node();
    compile.arg("compile.js");
    succeeds(compile).await;
    let mut test = node();
    test.args(["--test", "--test-reporter=spec"]).args(names(folder.path(), ".test.js"));
    succeeds(test).await;
    market.network.stop().await;
}

fn manifest_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> PathBuf {
    manifest_dir().join("tests/ethereum")
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a program to its end; if it fails, what it said is shown.
async fn succeeds(command: Command) {
    let program = command.get_program();
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(found, "{} is missing: scripts/setup installs it", program.display());
    let what = format!("{command:?}");
    let mut running = Running::start(command);
    let status = running.ended().await;
    assert!(status.success(), "{what}: {status}");
}

/// Folder with the packages of the lock file. They are installed once, beside the build, for all clones and runs.
async fn installed_packages() -> PathBuf {
    let lock = fs::read(sources().join("package-lock.json")).unwrap();
    let name = &blake3::hash(&lock).to_hex()[..NAME_DIGITS];
    let root = cache_dir().join("neura/ethereum-tests");
    let packages = root.join(name);
    if packages.exists() {
        return packages;
    }
    fs::create_dir_all(&root).unwrap();
    // Made aside and moved, so that what was cut short, or goes on in another process, is never taken for whole.
    let part = tempfile::tempdir_in(&root).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(sources().join(file), part.path().join(file)).unwrap();
    }
    let mut install = command("npm", part.path());
    // Not `ci`: it refuses locks that leave out programs for other systems.
    install.args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]);
    succeeds(install).await;
    let moved = fs::rename(part.path(), &packages);
    assert!(moved.is_ok() || packages.exists(), "{}: {moved:?}", packages.display());
    packages
}

fn cache_dir() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
}

/// A folder with the tests and the packages they import, in which they may write.
fn workshop(packages: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path, suffix| {
        fs::create_dir_all(to).unwrap();
        for name in names(from, suffix) {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    };
    copy(&sources(), folder.path(), ".js");
    copy(&sources(), folder.path(), "package.json");
    copy(&sources().join("contracts"), &folder.path().join("contracts"), ".sol");
    let modules = packages.join("node_modules");
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    folder
}

/// Files of a folder whose names end in `suffix`.
fn names(folder: &Path, suffix: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(suffix)).collect()
}
