//! What the network edges ask of the site and of the artifacts, so that tests can stand in for both.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ironwake_api::{AgentReport, EnrollRequest, Health, MacAddr, Millis, Order};

use crate::artifacts::{Blob, Shelf};
use crate::recorder::Observation;
use crate::site::{Enrolled, Script, ScriptRequest, SharedSite, Site, SiteError};

/// The published artifacts.
pub trait Files: Send + Sync {
    /// See [`Shelf::by_name`].
    fn by_name(&self, name: &str) -> Option<Arc<Blob>>;
    /// See [`Shelf::by_digest`].
    fn by_digest(&self, sha256: &str) -> Option<Arc<Blob>>;
}

/// The part of the site that machines reach.
pub trait BootSite: Send + Sync {
    /// See [`Site::now`].
    fn now(&self) -> Millis;
    /// See [`Site::observe`].
    fn observe(&self, observation: Observation);
    /// See [`Site::mac_of`].
    fn mac_of(&self, address: Ipv4Addr) -> Option<MacAddr>;
    /// See [`Site::ipxe_script`].
    fn ipxe_script(&self, request: &ScriptRequest) -> Script;
    /// See [`Site::grub_script`].
    fn grub_script(&self, request: &ScriptRequest) -> Script;
    /// See [`Site::ipxe_bootstrap`].
    fn ipxe_bootstrap(&self, http: SocketAddrV4) -> String;
    /// See [`Site::enroll`].
    fn enroll(&self, request: EnrollRequest, from: Ipv4Addr) -> BoxFuture<'_, Result<Enrolled, SiteError>>;
    /// See [`Site::next_order`].
    fn next_order<'a>(
        &'a self,
        machine: &'a str,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Option<Order>, SiteError>>;
    /// See [`Site::agent_report`].
    fn agent_report<'a>(
        &'a self,
        machine: &'a str,
        report: AgentReport,
    ) -> BoxFuture<'a, Result<(), SiteError>>;
    /// See [`Site::health`].
    fn health(&self) -> Health;
}

/// Where TFTP and HTTP get their answers from; clones share it.
#[derive(Clone)]
pub struct Backend {
    /// The published artifacts.
    pub files: Arc<dyn Files>,
    /// The site.
    pub site: Arc<dyn BootSite>,
}

impl Backend {
    /// The daemon's own.
    pub fn new(files: Shelf, site: SharedSite) -> Self {
        Self { files: Arc::new(files), site }
    }
}

impl Files for Shelf {
    fn by_name(&self, name: &str) -> Option<Arc<Blob>> {
        Shelf::by_name(self, name)
    }

    fn by_digest(&self, sha256: &str) -> Option<Arc<Blob>> {
        Shelf::by_digest(self, sha256)
    }
}

impl BootSite for Site {
    fn now(&self) -> Millis {
        Site::now(self)
    }

    fn observe(&self, observation: Observation) {
        Site::observe(self, observation);
    }

    fn mac_of(&self, address: Ipv4Addr) -> Option<MacAddr> {
        Site::mac_of(self, address)
    }

    fn ipxe_script(&self, request: &ScriptRequest) -> Script {
        Site::ipxe_script(self, request)
    }

    fn grub_script(&self, request: &ScriptRequest) -> Script {
        Site::grub_script(self, request)
    }

    fn ipxe_bootstrap(&self, http: SocketAddrV4) -> String {
        Site::ipxe_bootstrap(self, http)
    }

    fn enroll(&self, request: EnrollRequest, from: Ipv4Addr) -> BoxFuture<'_, Result<Enrolled, SiteError>> {
        Box::pin(Site::enroll(self, request, from))
    }

    fn next_order<'a>(
        &'a self,
        machine: &'a str,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Option<Order>, SiteError>> {
        Box::pin(Site::next_order(self, machine, wait))
    }

    fn agent_report<'a>(
        &'a self,
        machine: &'a str,
        report: AgentReport,
    ) -> BoxFuture<'a, Result<(), SiteError>> {
        Box::pin(Site::agent_report(self, machine, report))
    }

    fn health(&self) -> Health {
        Site::health(self)
    }
}
