//! A site and artifacts in memory, which record what the network edges tell them.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ironwake::artifacts::Blob;
use ironwake::boot::{BootPlan, Why};
use ironwake::recorder::Observation;
use ironwake::serve::{Backend, BootSite, Files};
use ironwake::site::{Enrolled, Script, ScriptRequest, SiteError};
use ironwake_api::*;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

/// The machine that has every address in tests.
pub const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
/// How long an event may take on a loaded test host.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Artifacts by name.
#[derive(Default)]
pub struct Folder(HashMap<String, Arc<Blob>>);

impl Folder {
    pub fn with(mut self, name: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = sha256(&bytes);
        let efi = name.ends_with(".efi");
        let media_type = if efi { "application/efi" } else { "application/octet-stream" };
        self.0.insert(name.into(), Arc::new(Blob { name: name.into(), bytes, sha256, media_type }));
        self
    }
}

impl Files for Folder {
    fn by_name(&self, name: &str) -> Option<Arc<Blob>> {
        self.0.get(name).cloned()
    }

    fn by_digest(&self, sha256: &str) -> Option<Arc<Blob>> {
        self.0.values().find(|blob| blob.sha256 == sha256).cloned()
    }
}

/// A site whose answers show what it was asked.
pub struct Double {
    observed: mpsc::UnboundedSender<Observation>,
    /// Whose every address is.
    pub mac: Option<MacAddr>,
    pub orders: Mutex<Vec<Order>>,
}

/// What was observed, in order.
pub struct Observed(mpsc::UnboundedReceiver<Observation>);

impl Observed {
    pub async fn next(&mut self) -> Observation {
        match tokio::time::timeout(PATIENCE, self.0.recv()).await {
            Ok(Some(observation)) => observation,
            _ => panic!("nothing was observed in {PATIENCE:?}"),
        }
    }
}

pub fn backend(folder: Folder, mac: Option<MacAddr>) -> (Backend, Observed) {
    let (observed, receiver) = mpsc::unbounded_channel();
    let site = Double { observed, mac, orders: Mutex::default() };
    (Backend { files: Arc::new(folder), site: Arc::new(site) }, Observed(receiver))
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes without a short period, so that any misplaced block shows.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn script(kind: &str, request: &ScriptRequest) -> Script {
    let ScriptRequest { mac, uuid, serial, asset_tag, client, http, from } = request;
    let text = format!(
        "{kind} mac={mac} uuid={} serial={} asset={} client={client:?} http={http} from={from}\n",
        uuid.as_deref().unwrap_or("-"),
        serial.as_deref().unwrap_or("-"),
        asset_tag.as_deref().unwrap_or("-"),
    );
    Script { plan: BootPlan::Discovery(Why::Unknown), text }
}

impl BootSite for Double {
    fn now(&self) -> Millis {
        1_700_000_000_000
    }

    fn observe(&self, observation: Observation) {
        let _ = self.observed.send(observation);
    }

    fn mac_of(&self, _: Ipv4Addr) -> Option<MacAddr> {
        self.mac
    }

    fn ipxe_script(&self, request: &ScriptRequest) -> Script {
        script("#!ipxe", request)
    }

    fn grub_script(&self, request: &ScriptRequest) -> Script {
        script("# grub", request)
    }

    fn ipxe_bootstrap(&self, http: SocketAddrV4) -> String {
        format!("#!ipxe\nchain http://{http}/ipxe/${{netX/mac:hexhyp}}\n")
    }

    fn enroll(&self, request: EnrollRequest, _: Ipv4Addr) -> BoxFuture<'_, Result<Enrolled, SiteError>> {
        let known = request.inventory.system.serial.as_deref() == Some("KNOWN");
        let refused = request.inventory.system.serial.as_deref() == Some("REFUSED");
        Box::pin(async move {
            if refused {
                let field =
                    FieldProblem { field: "inventory.system.serial".into(), message: "refused".into() };
                return Err(SiteError::Invalid(vec![field]));
            }
            let answer =
                EnrollAnswer { machine: "m1".into(), name: None, enrolled: known, idle_reboot_secs: 600 };
            Ok(Enrolled { answer, new: !known })
        })
    }

    fn next_order<'a>(
        &'a self,
        machine: &'a str,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Option<Order>, SiteError>> {
        Box::pin(async move {
            if machine != "m1" {
                return Err(SiteError::NoSuchMachine(machine.into()));
            }
            let order = self.orders.lock().map(|mut orders| orders.pop()).unwrap_or_default();
            if order.is_none() {
                tokio::time::sleep(wait).await;
            }
            Ok(order)
        })
    }

    fn agent_report<'a>(&'a self, machine: &'a str, _: AgentReport) -> BoxFuture<'a, Result<(), SiteError>> {
        Box::pin(async move {
            if machine == "m1" { Ok(()) } else { Err(SiteError::NoSuchMachine(machine.into())) }
        })
    }

    fn health(&self) -> Health {
        Health { state: HealthState::Ok, checks: Vec::new(), networks: Vec::new() }
    }
}
