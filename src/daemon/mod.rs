//! The daemon: every part wired together, started in order, supervised, and ended within seconds.

mod clock;
mod images;
mod key;
mod listeners;
mod operators;
mod supervise;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ironwake_api::{Actor, Entrance, EventKind};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::artifacts::{self, Imports, Shelf};
use crate::config::{Config, DhcpMode, Layers, Network, SecretSource};
use crate::serve::Backend;
use crate::site::{SharedSite, Site};
use crate::store::{Change, NewEvent, Store, WentBack};
use crate::{http, serve, site, sticks, systemd, tftp, updates, vitals};
use clock::{Follower, now};
use listeners::{ApiListener, HttpListener};
use supervise::supervise;

/// Every part must have ended by then. With [`STORE_MAX`] it leaves a second of the ten after which
/// systemd kills (`TimeoutStopSec=` of the unit).
const STOP_MAX: Duration = Duration::from_secs(8);
/// How long saving what is queued may take at the end; a disk that hangs must not hold up the end.
const STORE_MAX: Duration = Duration::from_secs(1);
/// Ready is said once DHCP is answered, which takes four seconds of listening for another server; an
/// interface that is not there must not hold up the rest for longer than this.
const SETTLE_MAX: Duration = Duration::from_secs(8);
/// How often repeats are saved and silent attempts are ended.
const TICK: Duration = Duration::from_secs(1);
/// Descriptors, as many as the unit grants: each transfer and connection holds one, and shells grant 1,024.
const DESCRIPTORS: u64 = 65_536;
/// With fewer, a network's transfers, machines that wait for orders and the event stream do not fit at once.
const DESCRIPTORS_MIN: u64 = 2 * serve::tftp::TRANSFERS_MAX as u64;

/// Why the daemon has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody asked it to.
    Asked,
    /// It is to be started again, with another state.
    Again,
}

/// Serves until SIGTERM or SIGINT, or until a backup is to be gone on from.
pub async fn run(config: Config, layers: Layers) -> anyhow::Result<Ended> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    raise_descriptors();
    let daemon = Daemon::start(config, layers).await?;
    systemd::ready("serving");
    info!(version = env!("CARGO_PKG_VERSION"), "serving");
    let again = daemon.site.again();
    let ended = tokio::select! {
        _ = terminate.recv() => {
            info!("SIGTERM: ending");
            Ended::Asked
        }
        _ = interrupt.recv() => {
            info!("SIGINT: ending");
            Ended::Asked
        }
        () = again.cancelled() => {
            info!("a backup is restored: starting again");
            Ended::Again
        }
    };
    if ended == Ended::Asked {
        systemd::stopping();
    }
    daemon.stop().await?;
    Ok(ended)
}

/// Takes as many descriptors as the system lets this process have.
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = soft.max(hard.min(DESCRIPTORS));
        if wanted > soft {
            setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
        }
        Ok(wanted)
    });
    match raised {
        Ok(granted) if granted >= DESCRIPTORS_MIN => {}
        Ok(granted) => warn!(
            granted,
            "few descriptors: with many machines at once, transfers are refused; raise LimitNOFILE or `ulimit -Hn`"
        ),
        Err(error) => warn!(%error, "cannot raise the limit of descriptors"),
    }
}

struct Daemon {
    store: Store,
    site: SharedSite,
    shutdown: CancellationToken,
    parts: TaskTracker,
    /// Ports that have not been tried to be listened on yet.
    untried: TaskTracker,
}

impl Daemon {
    async fn start(mut config: Config, layers: Layers) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.state)
            .with_context(|| format!("make the state directory {}", config.state.display()))?;
        let places = updates::Places::of_state(&config.state);
        let (store, went_back) = Store::open_or_go_back(&config.state.join("ironwake.db"), &places.inbox)?;
        let goes_back = went_back.is_some();
        tell_going_back(&store, went_back).await?;
        let (follower, jump) = Follower::resume(&store).await?;
        let boot_dirs = artifacts::boot_dirs();
        let annotate = images::annotator(&boot_dirs);
        let http = HttpListener::find(config.http.listen)?;
        // Scripts name the port that is listened on, whoever opened it.
        config.http.listen = http.address();
        let shelf = Shelf::default();
        let imports = Imports::open(&config.state, shelf.clone())?;
        let environment = systemd::Environment::read();
        let credential = environment.credential(key::CREDENTIAL);
        let key = key::load(&config.state, credential.as_deref())?;
        let site = Arc::new(Site::load(&config, store.clone(), now, annotate, key, imports).await?);
        if let Some(jump) = jump {
            // It shows the time already, and nobody has asked for anything yet.
            site.clock_jumped(jump, follower.known(), || {}).await?;
        }
        site.set_layers(layers);
        site.set_appliance(site::Appliance {
            bus: systemd::Bus::system(),
            files: systemd::NetworkFiles::installed(),
            state: config.state.clone(),
            host_files: host_files(&config),
            key: credential,
            networks: config.networks.clone(),
            api: config.api.clone(),
            root: "/".into(),
            interfaces: vitals::interfaces,
            index_of: vitals::index_of,
            ask_dhcp: |interface| {
                Box::pin(
                    async move { serve::dhcp::servers(&interface).await.map_err(|error| error.to_string()) },
                )
            },
        });
        if let Some(port) = environment.ssh_port {
            site.set_ssh_port(port);
        }
        // One look at a time, whatever is looked for.
        let sticks = Arc::new(sticks::Sticks::new(sticks::FOLDER.into()));
        site.look_for_sticks_in(sticks.clone());
        site.set_updates(site::Updating { places, channel: config.update.url.clone(), sticks });
        site.keep_password(&config.state)?;
        // Before anybody is served: nothing that was armed in records of before is armed here.
        if goes_back {
            site.end_what_could_write(WENT_BACK).await?;
        }
        site.go_on_from_backup().await?;
        images::publish_loaders(&boot_dirs, &site, &shelf);

        let (parts, untried) = (TaskTracker::new(), TaskTracker::new());
        let daemon = Self { store, site: site.clone(), shutdown: CancellationToken::new(), parts, untried };
        daemon.serve_operators(ApiListener::open("api", &config.socket, http::bind)?, None, &site);
        for (entrance, path) in
            [(Entrance::Console, &config.console.socket), (Entrance::Ssh, &config.console.ssh_socket)]
        {
            let bind = |path: &Path| http::bind_entrance(path, entrance);
            let listener = ApiListener::open(entrance.name(), path, bind)?;
            daemon.serve_operators(listener, Some(entrance), &site);
        }
        daemon.serve_secure(&config.api, operators::authority(&config.state, &site)?, &site);
        daemon.serve_http(http, Backend { files: shelf.clone(), site: site.clone() }, &site);
        let networks = config.networks.clone();
        let answering: Vec<&str> = networks
            .iter()
            .filter(|network| network.dhcp != DhcpMode::Off)
            .map(|network| network.interface.as_str())
            .collect();
        for network in &networks {
            daemon.serve_network(network, &config, &site, &shelf);
        }
        daemon.look_at_links(&networks, &site);
        daemon.keep_house(follower, &site);
        daemon.keep_system(&site);
        daemon.attend_hosts(&site);
        daemon.deliver_webhooks(&site);
        daemon.run_downloads(&site);
        daemon.spawn(systemd::watchdog(daemon.shutdown.clone()));
        // Whether or not machines that nobody knows are discovered: what operators arm boots it too.
        let publish = images::publish_discovery(boot_dirs, config.state, site.clone(), shelf);
        // Not among the parts: a build under way is dropped at the end, and made again at the next start.
        tokio::spawn(daemon.shutdown.clone().run_until_cancelled_owned(publish));
        daemon.untried.close();
        // Who starts a service asks it as soon as it is said to be ready.
        let settled = async { tokio::join!(site.networks_settled(&answering), daemon.untried.wait()) };
        if tokio::time::timeout(SETTLE_MAX, settled).await.is_err() {
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

    /// Runs a part on a thread of its own: its packets wait for no other part, and waking it crosses no
    /// scheduler, which is most of the time that a small packet takes.
    fn spawn_on_thread(&self, part: impl Future<Output = ()> + Send + 'static) {
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        self.parts.spawn(async move {
            // An error says that the thread has dropped its end, which is the end that is waited for.
            let _ = end.await;
        });
        std::thread::spawn(move || {
            let _ended = ended;
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(part),
                Err(error) => error!(%error, "a part has no runtime"),
            }
        });
    }

    /// Starts the API on a Unix socket: the operators', or one where people log in.
    fn serve_operators(&self, listener: ApiListener, entrance: Option<Entrance>, site: &SharedSite) {
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let part = move || {
            let (listener, inner, token) = (listener.get(), inner.clone(), token.clone());
            async move {
                match entrance {
                    None => http::serve(listener?, inner, token).await,
                    Some(entrance) => http::serve_entrance(listener?, entrance, inner, token).await,
                }
                anyhow::Ok(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        let name = entrance.map_or("api".to_owned(), |entrance| format!("api {entrance}"));
        self.spawn(supervise(name, remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts what machines fetch from.
    fn serve_http(&self, listener: HttpListener, backend: Backend, site: &SharedSite) {
        let (listener, token) = (Arc::new(listener), self.shutdown.clone());
        let mut untried = Some(self.untried.token());
        let part = move || {
            let (listener, backend, token) = (listener.clone(), backend.clone(), token.clone());
            let untried = untried.take();
            async move {
                let listener = listener.get().await;
                drop(untried);
                anyhow::Ok(serve::http::run(listener?, backend, token).await?)
            }
        };
        let remedy = "`listen` of [http] must be an address of this host and a port that no other program \
                      holds (`ss -ltnp` shows who does)";
        self.spawn(supervise("http".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts what the site does by the clock.
    fn keep_house(&self, follower: Follower, site: &SharedSite) {
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let follower = Arc::new(tokio::sync::Mutex::new(follower));
        let part = move || {
            let (inner, token, follower) = (inner.clone(), token.clone(), follower.clone());
            async move {
                tick(inner, &mut *follower.lock().await, token).await;
                Ok::<(), Infallible>(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        self.spawn(supervise("clock".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts what the appliance's own system needs by the clock. It asks systemd, which may take its time: nothing else
    /// waits for it.
    fn keep_system(&self, site: &SharedSite) {
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let part = move || {
            let (inner, token) = (inner.clone(), token.clone());
            async move {
                let mut interval = tokio::time::interval(TICK);
                loop {
                    let turn = async {
                        interval.tick().await;
                        inner.tend_system().await;
                    };
                    if token.run_until_cancelled(turn).await.is_none() {
                        break;
                    }
                }
                Ok::<(), Infallible>(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        self.spawn(supervise("system".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts what fetches images by URL.
    fn run_downloads(&self, site: &SharedSite) {
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let part = move || {
            let (inner, token) = (inner.clone(), token.clone());
            async move {
                site::run_downloads(inner, token).await;
                Ok::<(), Infallible>(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        self.spawn(supervise("downloads".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts what is done on hosts that have phoned home.
    fn attend_hosts(&self, site: &SharedSite) {
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let part = move || {
            let (inner, token) = (inner.clone(), token.clone());
            async move {
                inner.attend_hosts(token).await;
                Ok::<(), Infallible>(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        self.spawn(supervise("hosts".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts sending events to others.
    fn deliver_webhooks(&self, site: &SharedSite) {
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let part = move || {
            let (inner, token) = (inner.clone(), token.clone());
            async move {
                inner.deliver_webhooks(token).await;
                Ok::<(), Infallible>(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        self.spawn(supervise("webhooks".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }

    /// Starts looking at the interfaces of the networks.
    fn look_at_links(&self, networks: &[Network], site: &SharedSite) {
        let interfaces: Vec<String> = networks.iter().map(|network| network.interface.clone()).collect();
        let (inner, token) = (site.clone(), self.shutdown.clone());
        let part = move || {
            let (interfaces, inner, token) = (interfaces.clone(), inner.clone(), token.clone());
            async move {
                serve::links::run(interfaces, inner, token).await;
                Ok::<(), Infallible>(())
            }
        };
        let remedy = "restart the daemon if this lasts";
        self.spawn(supervise("links".into(), remedy, site.clone(), self.shutdown.clone(), part));
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
            self.spawn_on_thread(supervise(name, remedy, site.clone(), shutdown.clone(), part));
            let (bound_to, inner, token) = (interface.clone(), site.clone(), shutdown.clone());
            let part = move || serve::router::run(bound_to.clone(), inner.clone(), token.clone());
            let name = format!("router solicitations {interface}");
            self.spawn(supervise(name, remedy, site.clone(), shutdown.clone(), part));
        } else {
            site.set_network_health(serve::dhcp::off(network));
        }
        if network.tftp {
            let backend = Backend { files: shelf.clone(), site: site.clone() };
            let (token, bound_to) = (shutdown.clone(), interface.clone());
            let part = move || serve_tftp(bound_to.clone(), backend.clone(), http_port, token.clone());
            let remedy = "run `ironwake doctor`: another program may hold UDP port 69";
            self.spawn_on_thread(supervise(format!("tftp {interface}"), remedy, site, shutdown, part));
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.parts.close();
        if tokio::time::timeout(STOP_MAX, self.parts.wait()).await.is_err() {
            warn!("some parts did not end in time and are cut off");
        }
        tokio::time::timeout(STORE_MAX, self.store.close())
            .await
            .with_context(|| format!("the store did not end within {} s", STORE_MAX.as_secs()))?
            .context("save what is queued")
    }
}

/// Why operations end of a database that was gone back to.
const WENT_BACK: &str =
    "the appliance goes on from a copy of its database, which cannot know what became of it since";

/// Tells that the database is one of before, where it is.
async fn tell_going_back(store: &Store, went_back: Option<WentBack>) -> anyhow::Result<()> {
    let Some(went_back) = went_back else { return Ok(()) };
    let (aside, events_lost) = (went_back.aside.display().to_string(), went_back.events_lost);
    warn!(aside, events_lost, from = %went_back.from.display(), "a later version's database is put aside");
    let last_at = went_back.last_event.map(|(_, at)| at);
    let kind = EventKind::DatabaseTakenBack { aside, events_lost, last_at };
    let event = NewEvent { at: now(), actor: Actor::Daemon, machine: None, kind };
    Ok(store.save(vec![Change::Event(Box::new(event))]).await?)
}

/// What settings name outside of the state directory and the daemon only reads; a backup has it too.
fn host_files(config: &Config) -> Vec<PathBuf> {
    let mut files = vec![config.profiles.clone(), config.console.authorized_keys.clone()];
    if let Some(given) = &config.api.certificate {
        files.extend([given.certificate.clone(), given.key.clone()]);
    }
    for webhook in &config.webhooks {
        files.extend(webhook.ca_file.clone());
        if let Some(SecretSource::File(path)) = &webhook.secret {
            files.push(path.clone());
        }
    }
    if let Some(registration) = &config.registration {
        files.extend(registration.headers_file.clone());
        files.extend(registration.ca_file.clone());
    }
    files
}

async fn serve_tftp(
    interface: String,
    backend: Backend,
    http_port: u16,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, tftp::PORT);
    let socket = serve::tftp::bind(any, Some(&interface))
        .with_context(|| format!("listen on UDP port {} of {interface} for TFTP", tftp::PORT))?;
    let http = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, http_port);
    Ok(serve::tftp::run(socket, backend, http, shutdown).await?)
}

async fn tick(site: SharedSite, follower: &mut Follower, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => {
                // Before anything is found to be over.
                follower.look(&site).await;
                site.tick();
                site.note_health();
                site.end_sessions();
                site.end_unlisted_sessions().await;
                site.refresh_profiles();
                site.expire_operations().await;
                site.fail_unmade_boots().await;
                site.tend_imports().await;
                site.arm_waiting().await;
                site.note_silent_hosts().await;
            }
        }
    }
    site.tick();
    follower.write_down(&site);
}
