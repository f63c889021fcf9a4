//! The boot plan: what one boot request leads to.

use std::fmt;

use ironwake_api::{Enrolment, Millis, OperationKind, OperationState};

/// What a machine's next step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootPlan {
    /// Boot the local disk; nothing is written.
    LocalBoot(Why),
    /// Run the discovery image; nothing is written.
    Discovery(Why),
    /// Run the discovery image with an operation's token: the agent takes up the work that the machine is armed for.
    Armed(Why),
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
    /// Discovery ran [`FRUITLESS_MAX`] times lately and brought no inventory.
    Fruitless,
    /// An operator asked for discovery.
    Asked,
    /// Enrolled and not armed.
    NotArmed,
    /// The discovery image is not built.
    NoDiscoveryImage,
    /// An operator armed it for this.
    ArmedFor(OperationKind),
    /// An operator armed it for this, and the time for that is over.
    ArmingOver(OperationKind),
    /// An operator armed it for this, and what it would boot cannot be made.
    BootNotMade(OperationKind),
    /// The operation that it was armed for has begun, and is in this state: what was served once is not served again.
    Under(OperationKind, OperationState),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ArmedFor(kind) => return write!(f, "the machine is armed for {kind}"),
            Self::ArmingOver(kind) => {
                return write!(f, "the machine was armed for {kind}, and the time for it is over");
            }
            Self::BootNotMade(kind) => {
                return write!(f, "the machine is armed for {kind}, and its boot cannot be made");
            }
            Self::Under(kind, state) => return write!(f, "{kind} is {state}, and its boot was served"),

            Self::Unknown => "the machine is unknown",
            Self::DiscoveryOff => "the machine is unknown and discovery is off",
            Self::DiscoveredLately { .. } => "the machine is unknown, and its inventory is recent",
            Self::DiscoveredLongAgo => "the machine is unknown, and its inventory is old",
            Self::Fruitless => "discovery brought no inventory, twice",
            Self::Asked => "an operator asked for discovery",
            Self::NotArmed => "the machine is enrolled and not armed",
            Self::NoDiscoveryImage => "the discovery image is not built yet",
        };
        f.write_str(text)
    }
}

impl BootPlan {
    /// The plan's name, as stages and `simulate` show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LocalBoot(_) => "local boot",
            Self::Discovery(_) => "discovery",
            Self::Armed(_) => "operation",
        }
    }

    /// Why it was chosen.
    pub fn why(&self) -> Why {
        match self {
            Self::LocalBoot(why) | Self::Discovery(why) | Self::Armed(why) => *why,
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
    /// Discoveries that began within [`SitePolicy::rediscover_after`] and brought no inventory.
    pub fruitless: u32,
    /// The operation that runs, where one does.
    pub operation: Option<OperationView>,
}

/// What the decision needs to know of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationView {
    /// What is to be done.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// When its arming ends, where it is armed.
    pub armed_until: Option<Millis>,
    /// It starts a kernel of its own, so that it needs no discovery image.
    pub own_kernel: bool,
}

impl OperationView {
    /// Whether the operator's permission holds at this time.
    fn is_armed(&self, now: Millis) -> bool {
        self.state == OperationState::PxeReady && self.armed_until.is_some_and(|until| now < until)
    }
}

/// Discoveries without an inventory after which a machine boots its disk: one may fail by chance, but a
/// machine whose network card has no driver must come back by itself.
pub const FRUITLESS_MAX: u32 = 2;

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
    let operation = machine.and_then(|machine| machine.operation);
    let wanted = match machine {
        _ if let Some(armed) = operation.filter(|operation| operation.is_armed(now)) => {
            BootPlan::Armed(Why::ArmedFor(armed.kind))
        }
        // Whoever ends operations that are late comes by some time after it.
        _ if let Some(late) = operation.filter(|operation| operation.state == OperationState::PxeReady) => {
            BootPlan::LocalBoot(Why::ArmingOver(late.kind))
        }
        _ if let Some(begun) = operation.filter(|operation| has_begun(operation.state)) => {
            BootPlan::LocalBoot(Why::Under(begun.kind, begun.state))
        }

        Some(MachineView { fruitless: FRUITLESS_MAX.., .. }) => BootPlan::LocalBoot(Why::Fruitless),
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
    let needs_image = match wanted {
        BootPlan::LocalBoot(_) => false,
        BootPlan::Discovery(_) => true,
        BootPlan::Armed(_) => !operation.is_some_and(|operation| operation.own_kernel),
    };
    match needs_image && !policy.discovery_ready {
        true => BootPlan::LocalBoot(Why::NoDiscoveryImage),
        false => wanted,
    }
}

/// Whether the boot that an operation was armed for is behind it.
fn has_begun(state: OperationState) -> bool {
    state != OperationState::Registered && !state.has_ended()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * 60 * 60 * 1000;
    const NOW: Millis = 1_800_000_000_000;
    const POLICY: SitePolicy = SitePolicy { discovery: true, discovery_ready: true, rediscover_after: DAY };

    fn view(enrolment: Enrolment, inventory_at: Option<Millis>, discover_next: bool) -> Option<MachineView> {
        Some(MachineView { enrolment, inventory_at, discover_next, fruitless: 0, operation: None })
    }

    fn under(kind: OperationKind, state: OperationState) -> OperationView {
        OperationView { kind, state, armed_until: Some(NOW + 1), own_kernel: false }
    }

    #[track_caller]
    fn check(machine: Option<MachineView>, policy: SitePolicy, expected: BootPlan) {
        assert_eq!(decide(machine, policy, NOW), expected);
    }

    #[test]
    fn an_unknown_machine_is_discovered_once_a_day_at_most() {
        use BootPlan::*;
        use Enrolment::*;
        check(None, POLICY, Discovery(Why::Unknown));
        check(view(Unenrolled, None, false), POLICY, Discovery(Why::Unknown));
        check(view(Registered, None, false), POLICY, Discovery(Why::Unknown));
        let lately = NOW - DAY + 1;
        check(view(Unenrolled, Some(lately), false), POLICY, LocalBoot(Why::DiscoveredLately { at: lately }));
        check(view(Unenrolled, Some(NOW - DAY), false), POLICY, Discovery(Why::DiscoveredLongAgo));
        check(view(Unenrolled, Some(lately), true), POLICY, Discovery(Why::Asked));
    }

    #[test]
    fn an_enrolled_machine_boots_its_disk_unless_discovery_was_asked_for() {
        use Enrolment::Enrolled;
        check(view(Enrolled, None, false), POLICY, BootPlan::LocalBoot(Why::NotArmed));
        check(view(Enrolled, Some(1), false), POLICY, BootPlan::LocalBoot(Why::NotArmed));
        check(view(Enrolled, Some(1), true), POLICY, BootPlan::Discovery(Why::Asked));
    }

    /// Invariant 2: discovery that never reports ends too.
    #[test]
    fn discovery_that_brings_nothing_is_not_tried_for_ever() {
        let unenrolled = |fruitless| {
            let enrolment = Enrolment::Unenrolled;
            Some(MachineView {
                enrolment,
                inventory_at: None,
                discover_next: false,
                fruitless,
                operation: None,
            })
        };
        check(unenrolled(FRUITLESS_MAX - 1), POLICY, BootPlan::Discovery(Why::Unknown));
        check(unenrolled(FRUITLESS_MAX), POLICY, BootPlan::LocalBoot(Why::Fruitless));
    }

    #[test]
    fn without_discovery_everything_boots_its_disk() {
        let off = SitePolicy { discovery: false, ..POLICY };
        check(None, off, BootPlan::LocalBoot(Why::DiscoveryOff));
        let unbuilt = SitePolicy { discovery_ready: false, ..POLICY };
        check(None, unbuilt, BootPlan::LocalBoot(Why::NoDiscoveryImage));
        check(view(Enrolment::Enrolled, None, true), unbuilt, BootPlan::LocalBoot(Why::NoDiscoveryImage));
    }

    /// Invariant 1: whatever is known of a machine, without an arming no plan writes to a disk.
    #[test]
    fn no_unarmed_machine_gets_a_plan_that_writes() {
        let states = OperationState::ALL.into_iter().filter(|state| *state != OperationState::PxeReady);
        let unarmed: Vec<_> =
            states.map(|state| Some(under(OperationKind::Rebuild, state))).chain([None]).collect();
        for enrolment in [Enrolment::Registered, Enrolment::Unenrolled, Enrolment::Enrolled] {
            for inventory_at in [None, Some(0), Some(NOW), Some(NOW + DAY)] {
                for discover_next in [false, true] {
                    for operation in unarmed.clone() {
                        let view = view(enrolment, inventory_at, discover_next);
                        let view = view.map(|view| MachineView { operation, ..view });
                        match decide(view, POLICY, NOW) {
                            BootPlan::LocalBoot(_) | BootPlan::Discovery(_) => {}
                            BootPlan::Armed(why) => panic!("{why}"),
                        }
                    }
                }
            }
        }
    }

    /// Invariant 2: what was served once is not served again; the machine boots its disk until it phones home.
    #[test]
    fn an_armed_boot_is_served_once() {
        let kind = OperationKind::Rebuild;
        let at = |state| MachineView {
            enrolment: Enrolment::Enrolled,
            inventory_at: Some(1),
            discover_next: true,
            fruitless: FRUITLESS_MAX,
            operation: Some(under(kind, state)),
        };
        check(Some(at(OperationState::PxeReady)), POLICY, BootPlan::Armed(Why::ArmedFor(kind)));
        for state in [
            OperationState::PxeBooted,
            OperationState::Installing,
            OperationState::Installed,
            OperationState::FirstBoot,
            OperationState::Joining,
        ] {
            check(Some(at(state)), POLICY, BootPlan::LocalBoot(Why::Under(kind, state)));
        }
    }

    /// Invariant 1: the permission is for a limited time, whoever is late to end it.
    #[test]
    fn an_arming_that_is_over_is_no_permission() {
        let kind = OperationKind::Rebuild;
        let armed = |armed_until, own_kernel| {
            let operation =
                OperationView { armed_until, own_kernel, ..under(kind, OperationState::PxeReady) };
            view(Enrolment::Enrolled, Some(1), true)
                .map(|view| MachineView { operation: Some(operation), ..view })
        };
        for own_kernel in [false, true] {
            check(armed(Some(NOW + 1), own_kernel), POLICY, BootPlan::Armed(Why::ArmedFor(kind)));
            for over in [Some(NOW), Some(NOW - 1), None] {
                check(armed(over, own_kernel), POLICY, BootPlan::LocalBoot(Why::ArmingOver(kind)));
            }
        }
    }

    /// Discovery is for machines that nobody knows: what an operator armed boots without it, once there is what it boots.
    #[test]
    fn an_armed_boot_needs_the_discovery_image_where_it_uses_it_and_never_discovery() {
        let kind = OperationKind::Rebuild;
        let armed = |own_kernel| {
            let operation = OperationView { own_kernel, ..under(kind, OperationState::PxeReady) };
            view(Enrolment::Enrolled, Some(1), false)
                .map(|view| MachineView { operation: Some(operation), ..view })
        };
        let off = SitePolicy { discovery: false, ..POLICY };
        let unbuilt = SitePolicy { discovery_ready: false, ..off };
        check(armed(false), off, BootPlan::Armed(Why::ArmedFor(kind)));
        check(armed(false), unbuilt, BootPlan::LocalBoot(Why::NoDiscoveryImage));
        check(armed(true), unbuilt, BootPlan::Armed(Why::ArmedFor(kind)));
    }
}
