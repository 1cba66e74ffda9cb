//! What an offence leads to.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::{
    Limits, Penalty,
    offences::{BanPolicy, Offences},
};

/// Weighs offences of peers and of the hosts that they come from.
#[derive(Debug)]
pub(crate) struct Judge {
    peers: Offences<PeerId>,
    hosts: Offences<IpAddr>,
    /// The longest ban of a reserved peer.
    max_reserved: Duration,
}

/// Who did it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offender {
    pub(crate) peer: PeerId,
    /// Where it is, unless it is on this machine.
    pub(crate) host: Option<IpAddr>,
    pub(crate) reserved: bool,
}

/// Who stays out, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) peer: Option<Duration>,
    pub(crate) host: Option<Duration>,
}

impl Judge {
    pub(crate) fn new(limits: &Limits) -> Self {
        let policy = BanPolicy {
            base: limits.ban_base,
            max: limits.ban_max,
            half_life: limits.ban_half_life,
        };
        Self {
            peers: Offences::new(policy),
            hosts: Offences::new(policy),
            max_reserved: limits.ban_base,
        }
    }

    /// Counts an offence.
    ///
    /// A reserved peer is banned only for what no honest peer does, and never for long: the chain
    /// may need it, and a mistake of ours must not cost it its place. For the others, identities
    /// cost nothing but addresses do: a host that goes on with new ones stays out too.
    pub(crate) fn judge(&mut self, offender: Offender, penalty: Penalty, now: Instant) -> Verdict {
        let Offender { peer, host, reserved } = offender;
        if reserved && penalty < Penalty::Fatal {
            return Verdict::default();
        }
        let Some(ban) = self.peers.record(peer, penalty, now) else { return Verdict::default() };
        if reserved {
            return Verdict { peer: Some(ban.min(self.max_reserved)), host: None };
        }
        let host = host.and_then(|host| self.hosts.record(host, Penalty::High, now));
        Verdict { peer: Some(ban), host }
    }

    /// Forgets offences long past.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.peers.prune(now);
        self.hosts.prune(now);
    }

    /// Peers and hosts whose offences are remembered.
    pub(crate) fn offenders(&self) -> usize {
        self.peers.len() + self.hosts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, 1]))
    }

    fn ordinary() -> Offender {
        Offender { peer: PeerId::random(), host: host(), reserved: false }
    }

    #[test]
    fn a_host_that_goes_on_with_new_identities_is_banned_too() {
        let (mut judge, now) = (Judge::new(&Limits::default()), Instant::now());
        for _ in 1..5 {
            let verdict = judge.judge(ordinary(), Penalty::Fatal, now);
            assert!(verdict.peer.is_some() && verdict.host.is_none());
        }
        let verdict = judge.judge(ordinary(), Penalty::Fatal, now);
        assert!(verdict.peer.is_some() && verdict.host.is_some());
    }

    #[test]
    fn small_offences_of_many_do_not_ban_their_host() {
        let (mut judge, now) = (Judge::new(&Limits::default()), Instant::now());
        for _ in 0..100 {
            assert_eq!(judge.judge(ordinary(), Penalty::High, now), Verdict::default());
        }
    }

    #[test]
    fn a_reserved_peer_is_banned_shortly_and_only_for_what_no_honest_peer_does() {
        let limits = Limits::default();
        let (mut judge, now) = (Judge::new(&limits), Instant::now());
        let validator = Offender { reserved: true, ..ordinary() };
        for _ in 0..100 {
            assert_eq!(judge.judge(validator, Penalty::High, now), Verdict::default());
        }
        for _ in 0..100 {
            let verdict = judge.judge(validator, Penalty::Fatal, now);
            assert_eq!(verdict, Verdict { peer: Some(limits.ban_base), host: None });
        }
    }
}
