//! The tools of the Ethereum world, as npm has them, against a node: the tests are in `tests/ethereum`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use neura_types::Params;
use tempfile::TempDir;

use crate::harness::{Market, Running, eventually, quick};

/// Digits of the lock file's hash that name an installation: enough to tell versions apart.
const NAME_DIGITS: usize = 16;

/// What runs against networks of its own; everything else is `viem_and_ethers_…`.
const WELL_KNOWN: [&str; 3] = ["metamask.test.js", "openzeppelin.test.js", "uniswap.test.js"];
const FOUNDRY: &str = "foundry.test.js";
const IGNITION: &str = "ignition.test.js";
const PACKAGE: &str = "package.test.js";
/// The provider of `package.test.js` takes tasks of at least this duration and leaves shorter ones alone.
const TAKEN_BLOCKS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn viem_and_ethers_work_as_with_any_chain_of_ethereum() {
    let bench = Bench::open(quick()).await;
    let apart: Vec<&str> = WELL_KNOWN.into_iter().chain([FOUNDRY, IGNITION, PACKAGE]).collect();
    let tests = names(&sources(), ".test.js");
    let tests: Vec<&str> =
        tests.iter().map(String::as_str).filter(|name| !apart.contains(name)).collect();
    bench.compile().await;
    bench.test(&tests).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openzeppelin_uniswap_and_metamask_work_as_with_any_chain_of_ethereum() {
    let bench = Bench::open(quick()).await;
    bench.compile().await;
    bench.test(&WELL_KNOWN).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foundry_broadcasts_forks_and_reads() {
    let bench = Bench::open(quick()).await;
    bench.test(&[FOUNDRY]).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hardhat_ignition_resumes_a_deployment() {
    let bench = Bench::open(quick()).await;
    bench.link("ignition").await;
    bench.test(&[IGNITION]).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_of_interfaces_serves_a_stranger() {
    let bench = Bench::open(Params { accept_window_blocks: 60, ..quick() }).await;
    tokio::select! {
        () = bench.test(&[PACKAGE]) => {}
        () = provide(&bench.market) => {}
    }
    bench.close().await;
}

/// Accepts tasks that are long enough and delivers something, until it is dropped.
async fn provide(market: &Market) {
    for id in 1.. {
        let task = eventually(&format!("task {id}"), async || {
            market.network.client(0).task(id).await.unwrap()
        })
        .await;
        if task.terms.duration_blocks >= TAKEN_BLOCKS {
            market.accept(id).await.unwrap();
            market.submit(id, b"sealed to the owner").await.unwrap();
        }
    }
}

/// A market, and a folder with the tests that run against it.
struct Bench {
    market: Market,
    folder: TempDir,
}

impl Bench {
    async fn open(params: Params) -> Self {
        let folder = workshop(&installed_packages(&sources()).await);
        Self { market: Market::open(params).await, folder }
    }

    /// Installs the packages of a project below the tests.
    async fn link(&self, project: &str) {
        let packages = installed_packages(&sources().join(project)).await;
        link_packages(&packages, &self.folder.path().join(project));
    }

    async fn compile(&self) {
        let mut compile = self.node();
        compile.arg("compile.js");
        succeeds(compile).await;
    }

    async fn test(&self, files: &[&str]) {
        let mut test = self.node();
        test.args(["--test", "--test-reporter=spec"]).args(files);
        succeeds(test).await;
    }

    fn node(&self) -> Command {
        let mut command = command("node", self.folder.path());
        command
            .env("NEURA_URL", self.market.network.url(0))
            .env("NEURA_PROVIDER", self.market.provider.address().to_string())
            .env("NEURA_CONTRACTS", manifest_dir().join("../../runtime/contracts"));
        command
    }

    async fn close(self) {
        self.market.network.stop().await;
    }
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

/// Folder with the packages of a project's lock file. They are installed once, beside the build, for all clones and runs.
async fn installed_packages(project: &Path) -> PathBuf {
    let lock = fs::read(project.join("package-lock.json")).unwrap();
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
        fs::copy(project.join(file), part.path().join(file)).unwrap();
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
    copy_sources(&sources(), folder.path());
    link_packages(packages, folder.path());
    folder
}

fn link_packages(packages: &Path, project: &Path) {
    std::os::unix::fs::symlink(packages.join("node_modules"), project.join("node_modules"))
        .unwrap();
}

/// Copies a folder without what was installed or made in it by hand.
fn copy_sources(from: &Path, to: &Path) {
    const MADE: [&str; 7] =
        ["node_modules", "artifacts", "artifacts.json", "broadcast", "cache", "deployments", "out"];
    fs::create_dir_all(to).unwrap();
    for name in names(from, "").iter().filter(|name| !MADE.contains(&name.as_str())) {
        let (from, to) = (from.join(name), to.join(name));
        if from.is_dir() {
            copy_sources(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Files of a folder whose names end in `suffix`.
fn names(folder: &Path, suffix: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(suffix)).collect()
}
