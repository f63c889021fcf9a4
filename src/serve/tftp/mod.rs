//! TFTP on the network: one listening socket, and one port and one small task for each transfer.

mod files;
pub mod probe;
mod session;
mod socket;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ironwake_api::StageKind;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub use socket::bind;

use self::files::{Refusal, client_of_request, find};
use self::session::{Session, observe};
use self::socket::{Arrival, TransferSocket, receive};
use crate::serve::Backend;
use crate::tftp::{ErrorCode, Mode, Packet, PacketError, REQUEST_BYTES_MAX, Request, Transfer};

/// Transfers at once: forty racks that are switched on together.
pub const TRANSFERS_MAX: usize = 4096;
/// How long running transfers may go on once the server is to stop.
const DRAIN_MAX: Duration = Duration::from_secs(9);
/// How long the listener rests when its socket fails, so that a lasting fault does not eat a core.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// Who has a transfer, and by which request.
type Active = Arc<Mutex<HashMap<SocketAddrV4, Slot>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    request: u64,
    number: u64,
}

/// Serves until `shutdown`, then lets running transfers end.
///
/// `socket` comes from [`bind`]; `http` is where machines reach the HTTP server, with an unspecified
/// address for "the same as TFTP".
pub async fn run(
    socket: UdpSocket,
    backend: Backend,
    http: SocketAddrV4,
    shutdown: CancellationToken,
) -> io::Result<()> {
    run_limited(socket, backend, http, shutdown, TRANSFERS_MAX).await
}

/// [`run`] with another limit than [`TRANSFERS_MAX`].
pub async fn run_limited(
    socket: UdpSocket,
    backend: Backend,
    http: SocketAddrV4,
    shutdown: CancellationToken,
    transfers_max: usize,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let mut server = Server {
        backend,
        http,
        transfers_max,
        stop,
        tasks: TaskTracker::new(),
        active: Active::default(),
        number: 0,
    };
    let mut buffer = [0; REQUEST_BYTES_MAX + 1];
    loop {
        let arrival = tokio::select! {
            () = shutdown.cancelled() => break,
            arrival = receive(&socket, &mut buffer) => arrival,
        };
        match arrival {
            Ok(arrival) => server.take(&arrival, &buffer[..arrival.length]).await,
            Err(error) => {
                warn!(%error, "tftp: cannot receive");
                tokio::time::sleep(FAULT_PAUSE).await;
            }
        }
    }
    server.drain().await;
    Ok(())
}

struct Server {
    backend: Backend,
    http: SocketAddrV4,
    transfers_max: usize,
    stop: CancellationToken,
    tasks: TaskTracker,
    active: Active,
    number: u64,
}

impl Server {
    async fn take(&mut self, arrival: &Arrival, packet: &[u8]) {
        let from = arrival.from;
        let refusal = match Packet::parse(packet) {
            Ok(Packet::Read(request)) => match self.begin(arrival, packet, &request) {
                Ok(()) => return,
                Err(refusal) => {
                    let aborted = Some(refusal.reason.clone());
                    let file = request.file.to_owned();
                    let kind =
                        StageKind::Tftp { file, bytes: 0, size: 0, duration_ms: 0, retries: 0, aborted };
                    observe(&self.backend, from, client_of_request(request.file), kind);
                    refusal
                }
            },
            Ok(Packet::Write(request)) => Refusal {
                code: ErrorCode::AccessViolation,
                reason: format!("writing {} is not allowed: the server only reads", request.file),
            },
            // Answers to answers could go on between two servers for ever.
            Ok(_) | Err(PacketError::Short | PacketError::Operation(_)) => return,
            Err(error) => Refusal { code: ErrorCode::IllegalOperation, reason: error.to_string() },
        };
        debug!(client = %from, reason = refusal.reason, "tftp request refused");
        refuse(arrival.to, from, &refusal).await;
    }

    /// Starts a transfer, unless it is the one that this client has already.
    fn begin(&mut self, arrival: &Arrival, packet: &[u8], request: &Request<'_>) -> Result<(), Refusal> {
        let (from, started) = (arrival.from, Instant::now());
        let mut hasher = DefaultHasher::new();
        packet.hash(&mut hasher);
        let request_hash = hasher.finish();
        // A client that asks again did not see the first answer, which is resent in time. Another
        // request from the same port is another transfer: tftp-hpa keeps its port.
        if lock(&self.active).get(&from).is_some_and(|slot| slot.request == request_hash) {
            return Ok(());
        }
        if self.tasks.len() >= self.transfers_max {
            let reason = format!("{} transfers run, which is the limit: try again", self.transfers_max);
            return Err(Refusal { code: ErrorCode::Undefined, reason });
        }
        if request.mode == Mode::Netascii {
            let reason = "mode netascii is not served: ask in mode octet".into();
            return Err(Refusal { code: ErrorCode::Undefined, reason });
        }
        let found = find(&self.backend, request.file, *from.ip(), self.http_for(arrival.to))?;
        let socket = TransferSocket::open(arrival.to, from).map_err(|error| Refusal {
            code: ErrorCode::Undefined,
            reason: format!("open a port for the transfer: {error}"),
        })?;
        let accepted = request.options.accept(found.bytes.len() as u64, socket.block_bytes_max());
        let (transfer, first) = Transfer::start(accepted, started);
        self.number += 1;
        let slot = Slot { request: request_hash, number: self.number };
        lock(&self.active).insert(from, slot);
        let session = Session {
            backend: self.backend.clone(),
            socket,
            transfer,
            file: request.file.to_owned(),
            bytes: found.bytes,
            client: found.client,
            from,
            started,
        };
        let entry = Entry { active: self.active.clone(), from, slot };
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _entry = entry;
            session.run(first, stop).await;
        });
        Ok(())
    }

    fn http_for(&self, local: Ipv4Addr) -> SocketAddrV4 {
        match self.http.ip().is_unspecified() {
            true => SocketAddrV4::new(local, self.http.port()),
            false => self.http,
        }
    }

    async fn drain(self) {
        self.tasks.close();
        if tokio::time::timeout(DRAIN_MAX, self.tasks.wait()).await.is_err() {
            warn!(transfers = self.tasks.len(), "tftp: ending transfers that did not end by themselves");
            self.stop.cancel();
            self.tasks.wait().await;
        }
    }
}

/// A client's place in the table, given back when its task ends in whatever way.
struct Entry {
    active: Active,
    from: SocketAddrV4,
    slot: Slot,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut active = lock(&self.active);
        if active.get(&self.from) == Some(&self.slot) {
            active.remove(&self.from);
        }
    }
}

fn lock(active: &Active) -> std::sync::MutexGuard<'_, HashMap<SocketAddrV4, Slot>> {
    active.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers with an error, from a port of its own as any answer comes.
async fn refuse(local: Ipv4Addr, client: SocketAddrV4, refusal: &Refusal) {
    let packet = Packet::error(refusal.code, refusal.reason.as_str()).encode();
    let sent = match TransferSocket::open(local, client) {
        Ok(mut socket) => socket.send(&packet).await,
        Err(error) => Err(error),
    };
    if let Err(error) = sent {
        debug!(%client, %error, "tftp: cannot answer");
    }
}
