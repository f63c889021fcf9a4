//! HTTP for machines: boot scripts and files by hand-written dispatch, the agent's calls by a router.

mod answer;
mod body;
mod boot_v1;
mod heartbeat;
mod installer;
mod link;
mod places;
mod problem;
mod query;
mod range;
mod service;
mod shell;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub use boot_v1::{ENROLL_BYTES_MAX, REPORT_BYTES_MAX, WAIT_SECS_MAX};
pub(crate) use places::{Place, Places};
pub(crate) use problem::{problem, site_problem, store_problem};

pub(crate) use shell::wants_shell;

use self::boot_v1::router;
use self::link::Link;
use self::service::{Peer, Service};
use crate::serve::Backend;

/// Connections at once: forty racks, each machine with one that fetches and one that waits.
pub const CONNECTIONS_MAX: usize = 8192;
/// Connections of one address; a machine has four at most, and what measures or relays has some hundred.
const CONNECTIONS_EACH_MAX: usize = 512;
/// Fields in a request's head; firmware sends five.
const HEADERS_MAX: usize = 64;
/// Bytes in a request's head, and of an answer that wait before they are written.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// How long a connection may be silent between requests, or within the head of one.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long running answers may go on once the server is to stop; the daemon ends within ten seconds.
const DRAIN_MAX: Duration = Duration::from_secs(7);
/// How long a client that has just come is waited for then: its request follows at once.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(1);
/// How long a client may leave what was sent unacknowledged, or its window shut. GRUB closes with a shut window and is
/// gone: the kernel would hold that connection for minutes, and GRUB takes the same ports after the next start.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
/// How long accepting rests when it fails, so that a lack of descriptors does not eat a core.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets running answers end.
pub async fn run(listener: TcpListener, backend: Backend, shutdown: CancellationToken) -> io::Result<()> {
    let router = router(backend.clone(), shutdown.clone());
    let service = Arc::new(Service { backend, router, shutdown: shutdown.clone() });
    let (places, tasks) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), TaskTracker::new());
    let of_address = Places::new(CONNECTIONS_EACH_MAX);
    let stop = CancellationToken::new();
    loop {
        let (place, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            // Beyond the limit connections wait in the kernel's backlog.
            next = async { (places.clone().acquire_owned().await, listener.accept().await) } => next,
        };
        let (stream, from) = match accepted {
            Ok((stream, from)) => (stream, service::version_4(from.ip())),
            Err(error) => {
                warn!(%error, "http: cannot accept");
                tokio::time::sleep(FAULT_PAUSE).await;
                continue;
            }
        };
        let Some(own) = of_address.take(from) else {
            debug!(%from, limit = CONNECTIONS_EACH_MAX, "http: too many connections of one address");
            continue;
        };
        let (service, shutdown, stop) = (service.clone(), shutdown.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                served = serve(stream, service, shutdown) => match served {
                    Ok(()) => {}
                    Err(error) => debug!(error = &*error, "http connection ended"),
                },
                () = stop.cancelled() => {}
            }
            drop((place, own));
        });
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(DRAIN_MAX, tasks.wait()).await.is_err() {
        warn!(connections = tasks.len(), "http: ending connections that did not end by themselves");
        stop.cancel();
        tasks.wait().await;
    }
    Ok(())
}

type ServeError = Box<dyn std::error::Error + Send + Sync>;

async fn serve(
    stream: TcpStream,
    service: Arc<Service>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    // Head and body leave in one write, so there is nothing to wait for.
    stream.set_nodelay(true)?;
    setsockopt(&stream, sockopt::TcpUserTimeout, &(UNACKNOWLEDGED_MAX.as_millis() as u32))?;
    let (from, local) = (stream.peer_addr()?, stream.local_addr()?);
    let (link, written) = Link::new(stream);
    let peer = Peer::new(from, local, written);
    let begun = CancellationToken::new();
    let service = service_fn(|request| {
        begun.cancel();
        let (service, peer) = (service.clone(), &peer);
        async move { Ok::<_, Infallible>(service.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // GRUB 2.12 knows `Content-Length: ` in this spelling only, and refuses a kernel of unknown size.
        .title_case_headers(true)
        .header_read_timeout(IDLE_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(link), service)
        // A shell goes on over its request's connection.
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return Ok(served?),
        () = ends(&shutdown, &begun) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// When a connection is to end behind its answer: hyper closes one at once whose first request it has not read,
/// which would fail a boot that connected right before the shutdown.
async fn ends(shutdown: &CancellationToken, begun: &CancellationToken) {
    shutdown.cancelled().await;
    // An error says that the client has nothing to ask.
    let _ = tokio::time::timeout(FIRST_REQUEST_MAX, begun.cancelled()).await;
}
