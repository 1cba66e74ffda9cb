//! Gossip and requests.

use std::time::Instant;

use bytes::Bytes;
use libp2p::{
    PeerId,
    gossipsub::{self, MessageAcceptance, PublishError},
    request_response::{self as rr, Message, OutboundFailure},
};

use super::{Asked, Driver};
use crate::{
    Acceptance, Event, GossipId, Penalty, ReplyHandle, RequestError, Violation,
    gossip::GRAYLIST,
    requests::{Reply, Request, Response, breach_of},
};

impl Driver {
    pub(super) fn publish(&mut self, message: Bytes) {
        let length = message.len();
        let topic = self.topic.clone();
        match self.swarm.behaviour_mut().gossip.inner.publish(topic, message) {
            Ok(_) => self.shared.metrics.gossip.sent(1, length),
            // Nobody to tell, or all told already.
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(error) => {
                tracing::debug!(%error, "message not published");
                self.shared.metrics.gossip.dropped(1);
            }
        }
    }

    pub(super) fn report(&mut self, id: &GossipId, from: &PeerId, acceptance: Acceptance) {
        let gossip = &mut self.swarm.behaviour_mut().gossip.inner;
        gossip.report_message_validation_result(id.message_id(), from, acceptance.into());
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source: from, message_id, message } = event
        else {
            return;
        };
        let length = message.data.len();
        let max = self.shared.limits.max_gossip_bytes;
        let gossip = self.shared.metrics.gossip.clone();
        gossip.received(length);
        let refusal = if length == 0 || length > max {
            Some(MessageAcceptance::Reject)
        } else if !self.may_gossip(from, length, Instant::now()) {
            Some(MessageAcceptance::Ignore)
        } else {
            let id = GossipId::from_message_id(message_id.clone());
            let event = Event::Gossip { from, id, bytes: Bytes::from(message.data) };
            self.events.push_gossip(event, length).err().map(|_| MessageAcceptance::Ignore)
        };
        if let Some(acceptance) = refusal {
            gossip.dropped(1);
            let gossip = &mut self.swarm.behaviour_mut().gossip.inner;
            gossip.report_message_validation_result(&message_id, &from, acceptance);
        }
    }

    /// Whether a neighbour's allowance covers a message. Some that it does not cover are no
    /// offence: when the whole network is busy, honest neighbours have much to pass on.
    fn may_gossip(&mut self, from: PeerId, length: usize, now: Instant) -> bool {
        let granted = self.gossip_messages.take(from, now)
            && self.gossip_bytes.take_many(from, length as u32, now);
        if !granted && !self.gossip_excess.take(from, now) {
            self.penalise(from, Penalty::Fatal, Violation::Flood { of: "gossip" });
        }
        granted
    }

    /// Bans ordinary peers whose gossip is not heard any more anyway.
    pub(super) fn judge_gossipers(&mut self) {
        let behaviour = self.swarm.behaviour();
        let is_grey = |peer: &&PeerId| {
            let score = behaviour.gossip.inner.peer_score(peer);
            !behaviour.gate.is_reserved(peer) && score.is_some_and(|score| score < GRAYLIST)
        };
        let grey: Vec<_> = self.peers.keys().filter(is_grey).copied().collect();
        grey.into_iter().for_each(|peer| self.punish(peer, Violation::Gossip));
    }

    /// Sends a request of ours.
    pub(super) fn ask(&mut self, peer: PeerId, request: Bytes, asked: Asked) {
        if !self.peers.get(&peer).is_some_and(|entry| entry.verified) {
            // The asker may have gone.
            let _ = asked.answer.send(Err(RequestError::NotConnected { peer }));
            return;
        }
        self.shared.metrics.request.sent(1, request.len());
        let id = self.swarm.behaviour_mut().requests.send_request(&peer, Request::Whole(request));
        self.asked.insert(id, asked);
    }

    /// Sends a reply of ours, unless too much is on its way to slow readers already.
    pub(super) fn on_reply(&mut self, reply: Reply) {
        let Reply { id, channel, mut response } = reply;
        if let Response::Answer(bytes) = &response {
            let length = bytes.len();
            if self.serving.answer(id, length, Instant::now()) {
                self.shared.metrics.response.sent(1, length);
            } else {
                self.shared.metrics.response.dropped(1);
                response = Response::Busy;
            }
        }
        // Fails if the peer no longer waits; an inbound failure is reported then.
        let _ = self.swarm.behaviour_mut().requests.send_response(channel, response);
    }

    pub(super) fn on_request_event(&mut self, event: rr::Event<Request, Response>) {
        match event {
            rr::Event::Message { peer, message, .. } => match message {
                Message::Request { request_id, request, channel } => match request {
                    Request::Whole(bytes) => self.on_request(peer, request_id, bytes, channel),
                    Request::Malformed(reason) => self.punish(peer, Violation::Request(reason)),
                },
                Message::Response { request_id, response } => {
                    let answer = match response {
                        Response::Answer(bytes) => {
                            self.shared.metrics.response.received(bytes.len());
                            Ok(bytes)
                        }
                        Response::Busy => Err(RequestError::Busy),
                        Response::Refused => Err(RequestError::Refused),
                    };
                    self.finish(request_id, answer);
                }
            },
            rr::Event::OutboundFailure { peer, request_id, error, .. } => {
                self.finish(request_id, Err(request_error(peer, &error)));
                if let OutboundFailure::Io(error) = &error
                    && let Some(reason) = breach_of(error)
                {
                    self.punish(peer, Violation::Response(reason));
                }
            }
            rr::Event::InboundFailure { request_id, .. }
            | rr::Event::ResponseSent { request_id, .. } => self.serving.end(request_id),
        }
    }

    fn finish(&mut self, id: rr::OutboundRequestId, answer: Result<Bytes, RequestError>) {
        if let Some(asked) = self.asked.remove(&id) {
            // The asker may have gone.
            let _ = asked.answer.send(answer);
        }
    }

    /// Hands a request of a peer to the application, or answers `Busy`.
    fn on_request(
        &mut self,
        from: PeerId,
        id: rr::InboundRequestId,
        bytes: Bytes,
        channel: rr::ResponseChannel<Response>,
    ) {
        self.shared.metrics.request.received(bytes.len());
        if !self.serving.begin(id, from, Instant::now()) {
            self.shared.metrics.request.dropped(1);
            // Fails only if the peer no longer waits.
            let _ = self.swarm.behaviour_mut().requests.send_response(channel, Response::Busy);
            if !self.refusals.take(from, Instant::now()) {
                self.punish(from, Violation::Flood { of: "requests" });
            }
            return;
        }
        let max = self.shared.limits.max_response_bytes;
        let reply = ReplyHandle::new(id, channel, self.reply_sender.clone(), max);
        let event = Event::Request { from, bytes, reply };
        if self.events.push_request(event).is_err() {
            // The event, and with it the reply handle, has been dropped: the peer is refused.
            self.shared.metrics.request.dropped(1);
        }
    }
}

fn request_error(peer: PeerId, failure: &OutboundFailure) -> RequestError {
    match failure {
        OutboundFailure::DialFailure => RequestError::NotConnected { peer },
        OutboundFailure::Timeout => RequestError::Timeout,
        OutboundFailure::ConnectionClosed => RequestError::Disconnected,
        OutboundFailure::UnsupportedProtocols => RequestError::Unsupported,
        OutboundFailure::Io(error) if breach_of(error).is_some() => RequestError::BadAnswer,
        // The peer closed the stream: it serves as many requests as it can already.
        OutboundFailure::Io(_) => RequestError::Busy,
    }
}
