//! What a block must satisfy for an honest vote, written apart from the core.

use neura_types::{
    Block, EpochConfig, Height, TimeoutCertificate,
    beacon::Place,
    vote::{ChainContext, Statement},
};

use super::proofs::{certified, signature_holds};

/// What a vote is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Law<'a> {
    pub(super) config: &'a EpochConfig,
    pub(super) context: &'a ChainContext,
    pub(super) execution_lag: Height,
}

impl Law<'_> {
    /// The rule that a block breaks beside its parent.
    pub(super) fn broken_by(&self, block: &Block, parent: &Block) -> Option<&'static str> {
        let (header, above) = (&block.header, &parent.header);
        let entered = header.height == self.config.first;
        let absent = if entered { &[][..] } else { &above.absent };
        let executable = header.height.saturating_sub(self.execution_lag);
        let is_tail = header.height > self.config.last;
        let rules = [
            (block.payload_matches(), "the body is another"),
            (header.epoch == self.config.epoch, "the epoch is another"),
            (header.height == above.height + 1, "the height does not follow"),
            (header.timestamp_ms > above.timestamp_ms, "the time goes back"),
            (header.parent == block.justify.block, "the parent is not the certified block"),
            (block.justify.view == above.view, "the certificate is of another view"),
            (
                header.proposer == self.config.set.leader(header.view, absent),
                "the proposer does not lead",
            ),
            (self.proves_beacon(block, parent), "the beacon's value is not proved"),
            (header.executed.height >= above.executed.height, "the executed height goes back"),
            (is_tail || header.executed.height <= executable, "the executed height is too new"),
            (
                header.next_epoch.is_some() == (header.height == self.config.last),
                "the next epoch is named in the wrong place",
            ),
            (!is_tail || block.is_empty(), "transactions stand behind the epoch's end"),
            (
                self.justified(block)
                    && (entered || certified(&block.justify, self.config, self.context)),
                "the certificates do not justify the view",
            ),
        ];
        rules.into_iter().find(|(kept, _)| !kept).map(|(_, rule)| rule)
    }

    fn proves_beacon(&self, block: &Block, parent: &Block) -> bool {
        let (epoch, parent) = (self.config.epoch, &parent.header);
        let place = Place { chain: self.context, epoch, parent };
        let proposer = self.config.set.get(block.header.proposer);
        proposer.is_some_and(|member| block.header.beacon.follows(place, &member.public_key))
    }

    fn justified(&self, block: &Block) -> bool {
        let (view, parent) = (block.header.view, block.justify.view);
        match &block.timeout {
            None => parent + 1 == view,
            Some(tc) => {
                tc.view + 1 == view
                    && parent < tc.view
                    && tc.reported.iter().all(|reported| *reported <= parent)
                    && self.given_up(tc)
            }
        }
    }

    /// Whether members with more than two thirds of the power gave up a view.
    fn given_up(&self, tc: &TimeoutCertificate) -> bool {
        let Ok(members) = tc.signers.members(&self.config.set) else { return false };
        let mut power = 0;
        for ((author, signature), reported) in members.iter().zip(&tc.reported) {
            let statement = Statement::Timeout { view: tc.view, high_qc_view: *reported };
            let (author, signature) = (*author, *signature);
            let signed =
                neura_types::vote::Signed { epoch: tc.epoch, author, statement, signature };
            if signature_holds(&signed, self.config, self.context) {
                power += self.config.set.get(author).map_or(0, |member| member.power);
            }
        }
        members.len() == tc.reported.len() && 3 * power > 2 * self.config.set.total_power()
    }
}
