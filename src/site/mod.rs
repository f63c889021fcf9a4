//! The site: every machine in memory, and the one path by which anything changes: decide, save, then do.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use ironwake_api::*;

use crate::boot::{BootPlan, Handoff, Sighting};
use crate::recorder::Observation;
use crate::store::{Store, StoreError};

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error("no machine {0}")]
    NoSuchMachine(String),
    #[error("{} field(s) are wrong: {}", .0.len(), .0.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldProblem>),
    #[error("{0}")]
    Conflict(String),
    #[error("the {0} table is full")]
    Full(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A boot script request: what the URL and the connection say.
#[derive(Debug, Clone)]
pub struct ScriptRequest {
    pub mac: MacAddr,
    pub uuid: Option<String>,
    pub serial: Option<String>,
    pub asset_tag: Option<String>,
    pub client: ClientStage,
    /// Where the client reached us.
    pub http: SocketAddrV4,
    /// The client's address.
    pub from: Ipv4Addr,
}

/// A rendered boot script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub plan: BootPlan,
    pub text: String,
}

/// What an enrolment led to.
#[derive(Debug, Clone)]
pub struct Enrolled {
    pub answer: EnrollAnswer,
    /// The machine was never seen before.
    pub new: bool,
}

pub struct Site { _store: Store }

impl Site {
    /// Milliseconds since the epoch.
    pub fn now(&self) -> Millis { unimplemented!() }
    pub fn store(&self) -> &Store { &self._store }

    // What the network edges ask: in memory, never waiting.
    /// What a DHCP answer points this client to. Notes the machine as seen.
    pub fn handoff(&self, sighting: &Sighting) -> Handoff { let _ = sighting; unimplemented!() }
    /// Notes one stage of a boot; cheap, never blocks. Also learns which address a MAC has.
    pub fn observe(&self, observation: Observation) { let _ = observation; unimplemented!() }
    /// Learns that `address` belongs to `mac` (from DHCP traffic or ARP).
    pub fn learn_address(&self, mac: MacAddr, address: Ipv4Addr) { let _ = (mac, address); }
    /// Whose address this is: learnt from DHCP, else from the kernel's neighbour table.
    pub fn mac_of(&self, address: Ipv4Addr) -> Option<MacAddr> { let _ = address; unimplemented!() }
    /// The iPXE script for a machine.
    pub fn ipxe_script(&self, request: &ScriptRequest) -> Script { let _ = request; unimplemented!() }
    /// The `grub.cfg` for a machine.
    pub fn grub_script(&self, request: &ScriptRequest) -> Script { let _ = request; unimplemented!() }
    /// The script that works for any machine: it names itself and chains to its own. For `autoexec.ipxe`.
    pub fn ipxe_bootstrap(&self, http: SocketAddrV4) -> String { let _ = http; unimplemented!() }

    // What the agent asks.
    pub async fn enroll(&self, request: EnrollRequest, from: Ipv4Addr) -> Result<Enrolled, SiteError> { let _ = (request, from); unimplemented!() }
    /// Waits up to `wait` for an order.
    pub async fn next_order(&self, machine: &str, wait: std::time::Duration) -> Result<Option<Order>, SiteError> { let _ = (machine, wait); unimplemented!() }
    pub async fn agent_report(&self, machine: &str, report: AgentReport) -> Result<(), SiteError> { let _ = (machine, report); unimplemented!() }

    // What operators ask. `actor` is their user name.
    pub async fn register(&self, new: MachineNew, actor: Actor) -> Result<Machine, SiteError> { let _ = (new, actor); unimplemented!() }
    pub async fn edit(&self, id: &str, patch: MachinePatch, actor: Actor) -> Result<Machine, SiteError> { let _ = (id, patch, actor); unimplemented!() }
    pub async fn enroll_by_operator(&self, id: &str, actor: Actor) -> Result<Machine, SiteError> { let _ = (id, actor); unimplemented!() }
    pub async fn delete(&self, id: &str, actor: Actor) -> Result<(), SiteError> { let _ = (id, actor); unimplemented!() }
    /// Gives an order to a waiting agent.
    pub async fn order(&self, id: &str, order: Order, actor: Actor) -> Result<(), SiteError> { let _ = (id, order, actor); unimplemented!() }
    /// Finds by id, unique id prefix, name, MAC, UUID or serial; without inventory.
    pub fn machine(&self, key: &str) -> Option<Machine> { let _ = key; unimplemented!() }
    pub fn list(&self, query: &MachineQuery) -> Result<Page<Machine>, SiteError> { let _ = query; unimplemented!() }
    pub fn health(&self) -> Health { unimplemented!() }
    /// The latest state of one network, for health.
    pub fn set_network_health(&self, network: NetworkHealth) { let _ = network; unimplemented!() }
    /// Artifacts as they stand.
    pub fn artifacts(&self) -> Vec<Artifact> { unimplemented!() }
    pub fn set_artifact(&self, artifact: Artifact) { let _ = artifact; unimplemented!() }
}

/// Shared by every task.
pub type SharedSite = Arc<Site>;
