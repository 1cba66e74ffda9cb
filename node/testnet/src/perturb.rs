//! What happens to nodes of a generated network.

use std::{fmt, time::Duration};

use anyhow::Result;
use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use crate::{Network, StakeChange};

/// One thing that happens, and after it everything is as before, except for what is at stake. To add one: a variant, a line in `draw`, an arm in
/// `apply` and in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Perturbation {
    /// Nodes are killed, and started again later.
    Kill {
        /// Which.
        nodes: Vec<usize>,
        /// When.
        after: Duration,
    },
    /// Nodes are held still for a while.
    Pause {
        /// Which.
        nodes: Vec<usize>,
        /// How long.
        lasting: Duration,
    },
    /// Nodes reach nobody for a while.
    Disconnect {
        /// Which.
        nodes: Vec<usize>,
        /// How long.
        lasting: Duration,
    },
    /// A group of nodes reaches only its own members for a while.
    Partition {
        /// Which.
        group: Vec<usize>,
        /// How long.
        lasting: Duration,
    },
    /// Nodes are asked to stop, one after the other, and each is started again at once.
    Restart {
        /// Which.
        nodes: Vec<usize>,
    },
    /// Nodes that were laid out but never ran are started.
    Join {
        /// Which.
        nodes: Vec<usize>,
    },
    /// An operator changes what is at stake, and with it the sets of later epochs.
    Stake(StakeChange),
}

impl Perturbation {
    /// Draws one for a network of `total` nodes. Up to `tolerated` nodes are hit as a rule, and now and then more: the
    /// network may stop then, and must go on afterwards.
    pub fn draw(rng: &mut ChaCha8Rng, total: usize, tolerated: usize) -> Self {
        let most = if rng.random_bool(0.25) { total } else { tolerated.max(1) };
        let mut nodes: Vec<usize> = (0..total).collect();
        nodes.shuffle(rng);
        nodes.truncate(rng.random_range(1..=most));
        let time = Duration::from_millis(rng.random_range(50..2_500));
        match rng.random_range(0..5) {
            0 => Self::Kill { nodes, after: time },
            1 => Self::Pause { nodes, lasting: time },
            2 => Self::Disconnect { nodes, lasting: time },
            3 => Self::Partition { group: nodes, lasting: time },
            _ => Self::Restart { nodes },
        }
    }

    /// Lets it happen, and waits until it is over. Nodes that do not run are left alone, except by [`Self::Join`].
    ///
    /// # Errors
    /// If the system refuses, or a node does not stop when it is asked to.
    pub async fn apply(&self, network: &mut Network) -> Result<()> {
        match self {
            Self::Kill { nodes, after } => {
                let nodes = running(network, nodes);
                nodes.iter().try_for_each(|node| network.nodes[*node].kill())?;
                sleep(*after).await;
                nodes.iter().try_for_each(|node| network.nodes[*node].start())
            }
            Self::Pause { nodes, lasting } => {
                let nodes = running(network, nodes);
                nodes.iter().try_for_each(|node| network.nodes[*node].pause())?;
                sleep(*lasting).await;
                nodes.iter().try_for_each(|node| network.nodes[*node].resume())
            }
            Self::Disconnect { nodes, lasting } => {
                nodes.iter().try_for_each(|node| network.links.plug(*node, false))?;
                sleep(*lasting).await;
                nodes.iter().try_for_each(|node| network.links.plug(*node, true))
            }
            Self::Partition { group, lasting } => {
                network.links.split(group, true)?;
                sleep(*lasting).await;
                network.links.split(group, false)
            }
            Self::Restart { nodes } => {
                for node in running(network, nodes) {
                    network.nodes[node].stop().await?;
                    network.nodes[node].start()?;
                }
                Ok(())
            }
            Self::Join { nodes } => nodes.iter().try_for_each(|node| network.nodes[*node].start()),
            Self::Stake(change) => change.apply(network).await,
        }
    }
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { nodes, after } => write!(f, "kill {nodes:?}, start after {after:?}"),
            Self::Pause { nodes, lasting } => write!(f, "pause {nodes:?} for {lasting:?}"),
            Self::Disconnect { nodes, lasting } => write!(f, "cut off {nodes:?} for {lasting:?}"),
            Self::Partition { group, lasting } => write!(f, "split off {group:?} for {lasting:?}"),
            Self::Restart { nodes } => write!(f, "restart {nodes:?}"),
            Self::Join { nodes } => write!(f, "{nodes:?} join"),
            Self::Stake(change) => write!(f, "{change}"),
        }
    }
}

fn running(network: &Network, nodes: &[usize]) -> Vec<usize> {
    nodes.iter().copied().filter(|node| network.nodes[*node].is_running()).collect()
}
