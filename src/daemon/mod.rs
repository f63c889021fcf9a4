//! The daemon: every part wired together, started in order, supervised, and ended within seconds.

mod images;
mod supervise;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use ironwake_api::{Actor, EventKind, Millis};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::artifacts::{self, Shelf};
use crate::config::{Config, DhcpMode, Network};
use crate::serve::Backend;
use crate::site::{SharedSite, Site};
use crate::store::{Change, NewEvent, Store};
use crate::{http, serve, systemd};
use supervise::supervise;

/// Everything must have ended by then; systemd kills after 10 seconds.
const STOP_MAX: Duration = Duration::from_millis(9_500);
/// Ready is said once DHCP is answered, which takes a second of listening for another server; an
/// interface that is not there must not hold up the rest for longer than this.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// RFC 1350 section 4.
const TFTP_PORT: u16 = 69;
/// How often repeats are saved and silent attempts are ended.
const TICK: Duration = Duration::from_secs(1);

fn now() -> Millis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let daemon = Daemon::start(config).await?;
    systemd::ready("serving");
    info!(version = env!("CARGO_PKG_VERSION"), "serving");
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: ending"),
        _ = interrupt.recv() => info!("SIGINT: ending"),
    }
    systemd::stopping();
    daemon.stop().await
}

struct Daemon {
    store: Store,
    shutdown: CancellationToken,
    parts: TaskTracker,
}

impl Daemon {
    async fn start(config: Config) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.state)
            .with_context(|| format!("make the state directory {}", config.state.display()))?;
        let store = Store::open(&config.state.join("ironwake.db"))?;
        let boot_dirs = artifacts::boot_dirs();
        let annotate = images::annotator(&boot_dirs);
        let site = Arc::new(Site::load(&config, store.clone(), now, annotate).await?);
        let shelf = Shelf::default();
        images::publish_loaders(&boot_dirs, &site, &shelf);

        let daemon = Self { store, shutdown: CancellationToken::new(), parts: TaskTracker::new() };
        let api = match systemd::unix_listener("api") {
            Some(listener) => listener,
            None => http::bind(&config.socket)?,
        };
        daemon.spawn(http::serve(api, site.clone(), daemon.shutdown.clone()));
        let listener = match systemd::tcp_listener("http") {
            Some(listener) => listener,
            None => bind_http(config.http.listen).await?,
        };
        let backend = Backend::new(shelf.clone(), site.clone());
        daemon.spawn(serve_http(listener, backend, daemon.shutdown.clone()));
        let networks = config.networks.clone();
        let answering: Vec<&str> = networks
            .iter()
            .filter(|network| network.dhcp != DhcpMode::Off)
            .map(|network| network.interface.as_str())
            .collect();
        for network in &networks {
            daemon.serve_network(network, &config, &site, &shelf);
        }
        daemon.spawn(tick(site.clone(), daemon.shutdown.clone()));
        daemon.spawn(systemd::watchdog(daemon.shutdown.clone()));
        if config.discovery.enabled {
            daemon.spawn(images::publish_discovery(boot_dirs, config.state, site.clone(), shelf));
        }
        if tokio::time::timeout(SETTLE_MAX, site.networks_settled(&answering)).await.is_err() {
            warn!("some network is not served yet; `ironwake health` says why");
        }
        let kind = EventKind::DaemonStarted { version: env!("CARGO_PKG_VERSION").into() };
        let event = NewEvent { at: now(), actor: Actor::Daemon, machine: None, kind };
        site.store().save(vec![Change::Event(Box::new(event))]).await?;
        Ok(daemon)
    }

    fn spawn(&self, part: impl Future<Output = ()> + Send + 'static) {
        self.parts.spawn(part);
    }

    /// Starts what one network is served with.
    fn serve_network(&self, network: &Network, config: &Config, site: &SharedSite, shelf: &Shelf) {
        let (site, shutdown) = (site.clone(), self.shutdown.clone());
        let http_port = config.http.listen.port();
        let interface = network.interface.clone();
        if network.dhcp != DhcpMode::Off {
            let (network, inner, token) = (network.clone(), site.clone(), shutdown.clone());
            let part = move || serve::dhcp::run(network.clone(), inner.clone(), token.clone());
            let remedy = "run `ironwake doctor`; DHCP needs CAP_NET_RAW and an interface with an address";
            let name = format!("dhcp {interface}");
            self.spawn(supervise(name, remedy, site.clone(), shutdown.clone(), part));
            let (bound_to, inner, token) = (interface.clone(), site.clone(), shutdown.clone());
            let part = move || serve::router::run(bound_to.clone(), inner.clone(), token.clone());
            let name = format!("router solicitations {interface}");
            self.spawn(supervise(name, remedy, site.clone(), shutdown.clone(), part));
        }
        if network.tftp {
            let backend = Backend::new(shelf.clone(), site.clone());
            let (token, bound_to) = (shutdown.clone(), interface.clone());
            let part = move || serve_tftp(bound_to.clone(), backend.clone(), http_port, token.clone());
            let remedy = "run `ironwake doctor`: another program may hold UDP port 69";
            self.spawn(supervise(format!("tftp {interface}"), remedy, site, shutdown, part));
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.parts.close();
        if tokio::time::timeout(STOP_MAX, self.parts.wait()).await.is_err() {
            warn!("some parts did not end in time and are cut off");
        }
        self.store.close().await.context("save what is queued")
    }
}

async fn bind_http(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| {
        format!("listen on {listen} for HTTP: is the address this host's, and the port free?")
    })
}

async fn serve_http(listener: TcpListener, backend: Backend, shutdown: CancellationToken) {
    if let Err(error) = serve::http::run(listener, backend, shutdown).await {
        error!(%error, "serving HTTP ended");
    }
}

async fn serve_tftp(
    interface: String,
    backend: Backend,
    http_port: u16,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, TFTP_PORT);
    let socket = serve::tftp::bind(any, Some(&interface))
        .with_context(|| format!("listen on UDP port {} of {interface} for TFTP", TFTP_PORT))?;
    let http = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, http_port);
    Ok(serve::tftp::run(socket, backend, http, shutdown).await?)
}

async fn tick(site: SharedSite, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => site.tick(),
        }
    }
    site.tick();
}
