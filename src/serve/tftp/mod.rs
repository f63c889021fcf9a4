//! TFTP on the network: a thread that listens, and one port and one small task for each transfer.

mod files;
mod limits;
mod listener;
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

pub use limits::{CLIENT_TRANSFERS_MAX, Limits, TRANSFERS_MAX, WAIT_MAX};
pub use socket::bind;

use self::files::{Refusal, client_of_request, find};
use self::limits::{Turn, Waiting};
use self::listener::{Heard, Listener};
use self::session::{Session, observe};
use self::socket::{Arrival, TransferSocket};
use crate::serve::Backend;
use crate::tftp::{ErrorCode, Mode, Packet, PacketError, Request, Transfer};

/// How often the log says that requests are left unanswered.
const FULL_SAID_EVERY: Duration = Duration::from_secs(60);
/// How long running transfers may go on once the server is to stop; the daemon ends within ten seconds.
const DRAIN_MAX: Duration = Duration::from_secs(7);

type SharedActive = Arc<Mutex<Active>>;

/// What runs.
#[derive(Default)]
struct Active {
    /// Who has a transfer, and by which request.
    slots: HashMap<SocketAddrV4, Slot>,
    /// How many transfers each address has; none is not kept.
    clients: HashMap<Ipv4Addr, usize>,
}

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
    run_limited(socket, backend, http, shutdown, Limits::default()).await
}

/// [`run`] with limits of the caller's.
pub async fn run_limited(
    socket: UdpSocket,
    backend: Backend,
    http: SocketAddrV4,
    shutdown: CancellationToken,
    limits: Limits,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let mut server = Server {
        backend,
        http,
        limits,
        stop,
        tasks: TaskTracker::new(),
        active: SharedActive::default(),
        waiting: Waiting::default(),
        number: 0,
        full_said: None,
    };
    let mut listener = Listener::start(socket)?;
    loop {
        let heard = tokio::select! {
            () = shutdown.cancelled() => break,
            heard = listener.next() => heard,
        };
        let Some(Heard { arrival, packet }) = heard else {
            return Err(io::Error::other("the thread that listens has ended"));
        };
        server.take(&arrival, &packet).await;
    }
    server.drain().await;
    listener.stop().await;
    Ok(())
}

struct Server {
    backend: Backend,
    http: SocketAddrV4,
    limits: Limits,
    stop: CancellationToken,
    tasks: TaskTracker,
    active: SharedActive,
    /// Who asks in vain.
    waiting: Waiting,
    number: u64,
    /// When the log last said that a limit is reached.
    full_said: Option<Instant>,
}

impl Server {
    async fn take(&mut self, arrival: &Arrival, packet: &[u8]) {
        let from = arrival.from;
        let refusal = match Packet::parse(packet) {
            Ok(Packet::Read(request)) => match self.begin(arrival, packet, &request) {
                Ok(()) => return,
                Err(refusal) => {
                    self.record_refused(from, &request, refusal.reason.clone());
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

    /// Starts a transfer, unless it is the one that this client has already, or a limit is reached.
    fn begin(&mut self, arrival: &Arrival, packet: &[u8], request: &Request<'_>) -> Result<(), Refusal> {
        let (from, started) = (arrival.from, Instant::now());
        let mut hasher = DefaultHasher::new();
        packet.hash(&mut hasher);
        let request_hash = hasher.finish();
        // A client that asks again did not see the first answer, which is resent in time. Another
        // request from the same port is another transfer: tftp-hpa keeps its port.
        if lock(&self.active).slots.get(&from).is_some_and(|slot| slot.request == request_hash) {
            return Ok(());
        }
        if let Some(reason) = self.full(*from.ip()) {
            return self.keep_waiting(from, request, reason, started);
        }
        self.waiting.done(from);
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
        let entry = Entry::new(self.active.clone(), from, slot);
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
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _entry = entry;
            session.run(first, stop).await;
        });
        Ok(())
    }

    /// An error would end the boot of a client at once, and one that hears nothing asks again, so there
    /// is none until the client is about to give up by itself. The record says it from the beginning.
    fn keep_waiting(
        &mut self,
        from: SocketAddrV4,
        request: &Request<'_>,
        reason: String,
        now: Instant,
    ) -> Result<(), Refusal> {
        match self.waiting.asks(from, self.limits.wait_max, now) {
            Turn::First => self.record_refused(from, request, format!("it has to wait: {reason}")),
            Turn::Again => {}
            Turn::Last => return Err(Refusal { code: ErrorCode::Undefined, reason }),
        }
        Ok(())
    }

    fn record_refused(&self, from: SocketAddrV4, request: &Request<'_>, reason: String) {
        let (file, aborted) = (request.file.to_owned(), Some(reason));
        let kind = StageKind::Tftp { file, bytes: 0, size: 0, duration_ms: 0, retries: 0, aborted };
        observe(&self.backend, from, client_of_request(request.file), kind);
    }

    /// Why one more transfer of `client` is beyond a limit; the log says so once in a while.
    fn full(&mut self, client: Ipv4Addr) -> Option<String> {
        let of_client = lock(&self.active).clients.get(&client).copied().unwrap_or_default();
        let reason = self.limits.reached(self.tasks.len(), of_client)?;
        if self.full_said.is_none_or(|said| said.elapsed() >= FULL_SAID_EVERY) {
            self.full_said = Some(Instant::now());
            warn!(%client, reason, "tftp: others have to wait");
        }
        Some(reason)
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

/// A client's place in the tables, given back when its task ends in whatever way.
struct Entry {
    active: SharedActive,
    from: SocketAddrV4,
    slot: Slot,
}

impl Entry {
    fn new(active: SharedActive, from: SocketAddrV4, slot: Slot) -> Self {
        let mut tables = lock(&active);
        tables.slots.insert(from, slot);
        *tables.clients.entry(*from.ip()).or_default() += 1;
        drop(tables);
        Self { active, from, slot }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut active = lock(&self.active);
        if active.slots.get(&self.from) == Some(&self.slot) {
            active.slots.remove(&self.from);
        }
        if let Some(count) = active.clients.get_mut(self.from.ip()) {
            *count -= 1;
            if *count == 0 {
                active.clients.remove(self.from.ip());
            }
        }
    }
}

fn lock(active: &Mutex<Active>) -> std::sync::MutexGuard<'_, Active> {
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
