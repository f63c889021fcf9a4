//! What one request leads to.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use ironwake_api::{Lease, MacAddr, Millis, StageKind};

use super::{Destination, MessageKind, Request};
use crate::recorder::Observation;

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// OFFER, ACK or NAK.
    pub kind: MessageKind,
    /// The encoded message.
    pub payload: Vec<u8>,
    /// Where to.
    pub destination: Destination,
}

/// An address that somebody else uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The address, which is set aside.
    pub address: Ipv4Addr,
    /// Who uses it, where an address probe found it.
    pub mac: Option<MacAddr>,
}

/// What one request leads to. `save` is durable before `reply` leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The answer, if any.
    pub reply: Option<Reply>,
    /// A lease that changed.
    pub save: Option<Lease>,
    /// Whether that lease was given to a client that did not have its address: no renewal.
    pub given: bool,
    /// An address to probe by ARP, while the offer is on its way.
    pub probe: Option<Ipv4Addr>,
    /// An address found in use by somebody else.
    pub conflict: Option<Conflict>,
    /// A stage of a boot; absent for operating systems.
    pub observation: Option<Observation>,
    /// Which address a machine has.
    pub learnt: Option<(MacAddr, Ipv4Addr)>,
    /// Another server that the client chose.
    pub chosen_server: Option<Ipv4Addr>,
    /// Why this answer, or why none.
    pub why: Cow<'static, str>,
}

impl Outcome {
    /// Nothing is answered.
    pub fn silent(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reply: None,
            save: None,
            given: false,
            probe: None,
            conflict: None,
            observation: None,
            learnt: None,
            chosen_server: None,
            why: why.into(),
        }
    }

    /// Nothing is answered to a client that boots, which is told in its boot attempt.
    pub fn refused(request: &Request<'_>, why: impl Into<Cow<'static, str>>, now: Millis) -> Self {
        Self::silent(why).observed(request, None, None, now)
    }

    /// Notes the stage of the boot, for clients that boot from the network and for the agent.
    pub(super) fn observed(
        mut self,
        request: &Request<'_>,
        address: Option<Ipv4Addr>,
        file: Option<String>,
        now: Millis,
    ) -> Self {
        if request.stage != ironwake_api::ClientStage::Os {
            self.observation = Some(Observation {
                at: now,
                mac: request.mac,
                client: request.stage,
                arch: request.arch().map(|row| row.name),
                kind: StageKind::Dhcp {
                    message: request.kind.name().into(),
                    answer: self.reply.as_ref().map(|reply| reply.kind.name().into()),
                    address: address
                        .filter(|address| !address.is_unspecified())
                        .map(|address| address.to_string()),
                    file,
                    why: self.why.clone().into_owned(),
                },
            });
        }
        self
    }
}
