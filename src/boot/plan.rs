//! The boot plan: what one boot request leads to.

use std::fmt;

use ironwake_api::{Enrolment, Millis};

/// What a machine's next step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootPlan {
    /// Boot the local disk; nothing is written.
    LocalBoot(Why),
    /// Run the discovery image; nothing is written.
    Discovery(Why),
}

/// Why a plan was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing is known of this machine.
    Unknown,
    /// Unknown, and discovery is switched off.
    DiscoveryOff,
    /// Unknown, and its inventory came in less than [`SitePolicy::rediscover_after`] ago.
    DiscoveredLately {
        /// When.
        at: Millis,
    },
    /// Unknown, and its inventory is older than that.
    DiscoveredLongAgo,
    /// An operator asked for discovery.
    Asked,
    /// Enrolled and not armed.
    NotArmed,
    /// The discovery image is not built.
    NoDiscoveryImage,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the machine is unknown",
            Self::DiscoveryOff => "the machine is unknown and discovery is off",
            Self::DiscoveredLately { .. } => "the machine is unknown, and its inventory is recent",
            Self::DiscoveredLongAgo => "the machine is unknown, and its inventory is old",
            Self::Asked => "an operator asked for discovery",
            Self::NotArmed => "the machine is enrolled and not armed",
            Self::NoDiscoveryImage => "the discovery image is not built yet",
        })
    }
}

impl BootPlan {
    /// The plan's name, as stages and `simulate` show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LocalBoot(_) => "local boot",
            Self::Discovery(_) => "discovery",
        }
    }

    /// Why it was chosen.
    pub fn why(&self) -> Why {
        match self {
            Self::LocalBoot(why) | Self::Discovery(why) => *why,
        }
    }
}

/// What the decision needs to know of a machine; `None` for one without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineView {
    /// Whether it is known.
    pub enrolment: Enrolment,
    /// When its last inventory came in.
    pub inventory_at: Option<Millis>,
    /// An operator asked for discovery.
    pub discover_next: bool,
}

/// What the site wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SitePolicy {
    /// Unknown machines run the discovery image.
    pub discovery: bool,
    /// The discovery image is here.
    pub discovery_ready: bool,
    /// An unknown machine's inventory is good for this long, in milliseconds.
    pub rediscover_after: Millis,
}

/// Decides a boot request. No plan that this returns without an arming writes to a disk.
pub fn decide(machine: Option<MachineView>, policy: SitePolicy, now: Millis) -> BootPlan {
    let wanted = match machine {
        Some(MachineView { discover_next: true, .. }) => BootPlan::Discovery(Why::Asked),
        Some(MachineView { enrolment: Enrolment::Enrolled, .. }) => BootPlan::LocalBoot(Why::NotArmed),
        _ if !policy.discovery => BootPlan::LocalBoot(Why::DiscoveryOff),
        Some(MachineView { inventory_at: Some(at), .. }) => {
            if now.saturating_sub(at) < policy.rediscover_after {
                BootPlan::LocalBoot(Why::DiscoveredLately { at })
            } else {
                BootPlan::Discovery(Why::DiscoveredLongAgo)
            }
        }
        Some(MachineView { inventory_at: None, .. }) | None => BootPlan::Discovery(Why::Unknown),
    };
    match wanted {
        BootPlan::Discovery(_) if !policy.discovery_ready => BootPlan::LocalBoot(Why::NoDiscoveryImage),
        plan => plan,
    }
}
