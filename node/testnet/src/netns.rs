//! A network namespace per node, joined by a bridge: cables that can be pulled.
//!
//! All of it lies inside a namespace of the runner's own, into which the command line puts itself: the machine's network
//! is not touched, and nothing is left behind however the runner ends.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Set inside the runner's own namespace.
const INSIDE: &str = "NEURA_TESTNET_INSIDE";
/// Where all nodes are joined, and the runner with them.
const BRIDGE: &str = "whole";
/// Where a part of them is joined that is split off.
const SPLIT: &str = "split";
/// The runner's address on the bridge.
const RUNNER: &str = "10.77.0.254/24";
/// What makes the runner's own namespaces: as root, and as any user where the system lets users.
const WAYS: [&[&str]; 2] = [&["--net", "--mount"], &["--map-root-user", "--net", "--mount"]];
/// Names of namespaces are files of a folder: it is the runner's own, too.
const PREPARE: &str = "mount -t tmpfs none /run && mkdir -p /run/netns && ip link set lo up";

/// Whether this process is inside its own namespace, so that [`Cables::lay`] can work.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again, with the same arguments, inside namespaces of its own; returns only if that is not
/// possible, with the reason.
pub fn enter() -> anyhow::Error {
    match try_enter() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_enter() -> Result<std::convert::Infallible> {
    let own = std::env::current_exe().context("finding this program")?;
    let trial = format!("{PREPARE} && ip netns add trial && ip netns exec trial true");
    let mut refused = String::new();
    for way in WAYS {
        let output = Command::new("unshare")
            .args(way)
            .args(["sh", "-c", &trial])
            .stdin(Stdio::null())
            .output()
            .context("running unshare (of util-linux)")?;
        if output.status.success() {
            let script = format!("{PREPARE} && exec \"$0\" \"$@\"");
            let error = Command::new("unshare")
                .args(way)
                .args(["sh", "-c", &script])
                .arg(own)
                .args(std::env::args_os().skip(1))
                .env(INSIDE, "1")
                .exec();
            return Err(error.into());
        }
        refused = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    anyhow::bail!("{refused}")
}

/// The cables of a network of nodes.
#[derive(Debug)]
pub struct Cables {
    nodes: usize,
}

impl Cables {
    /// Lays them: a namespace and an address for each node.
    ///
    /// # Errors
    /// If `ip` refuses; see [`is_inside`].
    pub fn lay(nodes: usize) -> Result<Self> {
        ensure!(nodes < 250, "addresses end at 250 nodes, not {nodes}");
        for bridge in [BRIDGE, SPLIT] {
            // What an earlier network of this process has left is of no use to this one.
            let _ = ip(&["link", "del", bridge]);
            ip(&["link", "add", bridge, "type", "bridge"])?;
            ip(&["link", "set", bridge, "up"])?;
        }
        ip(&["addr", "add", RUNNER, "dev", BRIDGE])?;
        let cables = Self { nodes: 0 };
        (0..nodes).try_fold(cables, |mut cables, index| {
            cables.nodes += 1;
            cables.lay_one(index)?;
            Ok(cables)
        })
    }

    fn lay_one(&self, index: usize) -> Result<()> {
        let (space, outer) = (space(index), outer(index));
        let address = format!("{}/24", self.host(index));
        ip(&["netns", "add", &space])?;
        ip(&["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
        ip(&["link", "set", &outer, "master", BRIDGE, "up"])?;
        ip(&["-n", &space, "addr", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        ip(&["-n", &space, "link", "set", "lo", "up"])
    }

    /// Address of a node.
    pub fn host(&self, index: usize) -> IpAddr {
        // Below 250, by the check in `lay`.
        let last = u8::try_from(index + 1).unwrap_or(u8::MAX);
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
    }

    /// What a node's command begins with.
    pub fn prefix(&self, index: usize) -> Vec<String> {
        ["ip", "netns", "exec", &space(index)].map(str::to_owned).to_vec()
    }

    /// Pulls a node's cable, or plugs it in.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn plug(&self, index: usize, plugged: bool) -> Result<()> {
        ip(&["link", "set", &outer(index), if plugged { "up" } else { "down" }])
    }

    /// Moves a node to the part that is split off, or back.
    ///
    /// # Errors
    /// If `ip` refuses.
    pub fn split(&self, index: usize, off: bool) -> Result<()> {
        ip(&["link", "set", &outer(index), "master", if off { SPLIT } else { BRIDGE }])
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for index in 0..self.nodes {
            // The runner's namespace takes with it what stays.
            let _ = ip(&["netns", "del", &space(index)]);
            let _ = ip(&["link", "del", &outer(index)]);
        }
    }
}

fn space(index: usize) -> String {
    format!("node-{index}")
}

fn outer(index: usize) -> String {
    format!("cable-{index}")
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("running ip (of iproute2)")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", args.join(" "), text.trim());
    Ok(())
}
