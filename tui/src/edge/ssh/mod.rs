//! An SSH server whose only programs are the console and the `ironwake` command: no shell, no files, no forwarding.
//!
//! A connection comes through the door (`door`), logs in with what the daemon takes (`visitor`), asks for a terminal and gets a
//! console of its own (`session`), with its own view of the daemon, or has a command run (`command`). `connection` sees to it
//! that each step is taken in time.

mod command;
mod connection;
mod copy_id;
mod door;
mod host_key;
mod keys;
mod screen;
mod session;
mod visitor;

use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ironwake_api::client::Client;
use ironwake_api::{SSH_PORT, SSH_PORT_VARIABLE};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, compression};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use door::{Door, Shut, TurnedAway};
pub use door::{ENTERING_EACH_MAX, ENTERING_MAX, SESSIONS_EACH_MAX, SESSIONS_MAX};

/// Places that it listens at: one for each network of an appliance.
const LISTENERS_MAX: usize = 16;
/// How long a refused key waits for its answer, so that trying keys takes its time.
const REFUSAL_TIME: Duration = Duration::from_millis(300);
/// Keys that one connection may try: an agent holds some, and the question which methods there are counts too.
const TRIES_MAX: usize = 10;
/// A client that says nothing is asked whether it is there, so that one that was cut off is found out.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Questions without an answer that end a connection.
const KEEPALIVES_MAX: usize = 3;
/// How long a client may take nothing of what it is sent, or say nothing at all.
const STALLED_MAX: Duration = Duration::from_secs(90);
/// What a client may send before it is read: keys and pastes.
const WINDOW_BYTES: u32 = 64 << 10;
/// The largest packet, which RFC 4253 (6.1) wants everybody to take.
const PACKET_BYTES: u32 = 32 << 10;
/// Messages of one connection that wait inside the library, each a packet at most.
const MESSAGES_MAX: usize = 16;
/// How long sessions have to put their terminals back when the server ends.
const END_TIME_MAX: Duration = Duration::from_secs(4);
/// How long accepting waits after an error: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Arguments of the SSH server.
#[derive(Debug, Clone, clap::Args)]
pub struct SshArgs {
    /// With --ssh: where to listen; may be given several times [default: [::]:2222, or the port in IRONWAKE_SSH_PORT]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "ssh")]
    listen: Vec<SocketAddr>,
    /// With --ssh: the key that the server is recognised by; made if there is no such file
    #[arg(long, value_name = "FILE", requires = "ssh", default_value = "/var/lib/ironwake-ssh/host_key")]
    host_key: PathBuf,
    /// With --ssh: the `ironwake` program, which runs the commands of clients [default: beside this program]
    #[arg(long, value_name = "FILE", requires = "ssh")]
    program: Option<PathBuf>,
    /// With --ssh: seconds without a key after which a console is closed
    #[arg(long, value_name = "SECONDS", requires = "ssh", default_value_t = IDLE_SECS, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
}

/// A terminal that was left alone for so long is an open door.
const IDLE_SECS: u64 = 3600;

/// What connections share.
struct Shared {
    door: Arc<Door>,
    program: PathBuf,
    client: Client,
    config: Arc<Config>,
    idle: Duration,
}

/// Serves consoles until it is told to end.
pub async fn run(client: Client, args: SshArgs) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let host_key = host_key::load_or_make(&args.host_key)?;
    let fingerprint = host_key.public_key().fingerprint(HashAlg::Sha256);
    info!("the host key is {fingerprint} ({})", host_key.algorithm());
    let listeners = listen(&args.listen).await?;
    let shared = Arc::new(Shared {
        door: Arc::default(),
        program: args.program.map_or_else(beside, Ok)?,
        client,
        config: Arc::new(config(host_key)),
        idle: Duration::from_secs(args.idle),
    });
    let (stop, stopped) = watch::channel(false);
    let (sender, mut streams) = mpsc::channel(1);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        info!("listens on {}", listener.local_addr()?);
        accepting.spawn(accept(listener, sender.clone()));
    }
    let mut connections = JoinSet::new();
    let mut turned_away = TurnedAway::default();
    loop {
        tokio::select! {
            Some((stream, from)) = streams.recv() => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                match shared.door.enter(from.ip(), Instant::now()) {
                    Ok(place) => {
                        let attended = connection::attend(stream, from, place, shared.clone(), stopped.clone());
                        connections.spawn(attended);
                    }
                    Err(shut) => not_let_in(from, shut, &mut turned_away),
                }
            }
            Some(ended) = connections.join_next() => {
                if let Err(panicked) = ended {
                    error!("a connection has ended by a mistake of this program: {panicked}");
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    accepting.abort_all();
    let _ = stop.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(END_TIME_MAX, ended).await.is_err() {
        warn!("{} connections did not end in time", connections.len());
    }
    Ok(())
}

/// Logs that a connection is turned away. Whoever knocks without end is a line a minute.
fn not_let_in(from: SocketAddr, shut: Shut, turned_away: &mut TurnedAway) {
    match turned_away.another(Instant::now()) {
        Some(0) => warn!("{from} is not let in: {shut}"),
        Some(others) => {
            warn!("{from} is not let in: {shut}; neither were {others} others since this was said last")
        }
        None => debug!("{from} is not let in: {shut}"),
    }
}

/// The `ironwake` program where this one is installed.
fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find this program")?;
    Ok(own.with_file_name("ironwake"))
}

/// Where it listens unless told otherwise.
fn port() -> anyhow::Result<u16> {
    let Ok(text) = std::env::var(SSH_PORT_VARIABLE) else { return Ok(SSH_PORT) };
    text.parse().with_context(|| format!("{SSH_PORT_VARIABLE}={text} is not a port: 1 to 65535"))
}

async fn listen(asked: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    anyhow::ensure!(asked.len() <= LISTENERS_MAX, "it listens at {LISTENERS_MAX} places at most");
    if asked.is_empty() {
        let port = port()?;
        let bound = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            // A host without IPv6.
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
            bound => bound,
        };
        return Ok(vec![bound.with_context(|| format!("listen on port {port}"))?]);
    }
    let mut listeners = Vec::new();
    for address in asked {
        let bound = TcpListener::bind(address).await;
        listeners.push(bound.with_context(|| format!("listen on {address}"))?);
    }
    Ok(listeners)
}

async fn accept(listener: TcpListener, streams: mpsc::Sender<(TcpStream, SocketAddr)>) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                if streams.send(accepted).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    warn!("take a connection: {error}");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How clients may log in.
fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..])
}

/// How the library is to speak.
fn config(host_key: russh::keys::PrivateKey) -> Config {
    let curve = |curve| Algorithm::Ecdsa { curve };
    Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-Ironwake_", env!("CARGO_PKG_VERSION")))),
        // The daemon compares passwords, and slows down who guesses.
        methods: methods(),
        auth_rejection_time: REFUSAL_TIME,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: TRIES_MAX,
        keys: vec![host_key],
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES,
        channel_buffer_size: MESSAGES_MAX,
        event_buffer_size: MESSAGES_MAX,
        preferred: Preferred {
            key: Cow::Owned(vec![
                Algorithm::Ed25519,
                curve(EcdsaCurve::NistP256),
                curve(EcdsaCurve::NistP384),
                curve(EcdsaCurve::NistP521),
                Algorithm::SkEd25519,
                Algorithm::SkEcdsaSha2NistP256,
            ]),
            // Frames are small, and compression has a history of holes.
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        inactivity_timeout: Some(STALLED_MAX),
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES_MAX,
        nodelay: true,
        ..Config::default()
    }
}
