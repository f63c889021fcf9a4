//! What a client gets: architectures and firmware by table, and the boot plan by one function.
//!
//! Nothing here knows packets or script text.

mod arch;
mod plan;
mod handoff;

pub use arch::{ARCHES, Arch, ArchRow, Firmware, Transport};
pub use handoff::{Handoff, LoaderPolicy, handoff};
pub use plan::{BootPlan, FRUITLESS_MAX, MachineView, OperationView, SitePolicy, Why, decide};

use ironwake_api::{ClientStage, MacAddr};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// One client as one of its requests shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Hardware address.
    pub mac: MacAddr,
    /// SMBIOS UUID in the textual byte order, where the client sent one that identifies.
    pub uuid: Option<Uuid>,
    /// Every architecture the client lists in option 93, first first; empty for an operating system.
    pub arches: Vec<u16>,
    /// Which program speaks.
    pub stage: ClientStage,
    /// The firmware asked for HTTP Boot (`HTTPClient`), not PXE.
    pub http_boot: bool,
    /// iPXE said in option 175 that it can fetch by HTTP; true for other stages.
    pub http_capable: bool,
    /// The server's address on the network where the client is: boot files and URLs use it.
    pub server: Ipv4Addr,
    /// Name of the network's interface.
    pub network: String,
}
