//! The Unix sockets: who may connect, the accept loop, and the end.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, os::unix::net::UnixStream as BlockingStream};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use ironwake_api::Entrance;
use nix::unistd::Group;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::events::Closing;
use super::peer::{GROUP, Peer, group_of};
use crate::site::SharedSite;

/// Connections at once: consoles, scripts and event streams of one site.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// Fields in a request's head; browsers send about twenty.
const HEADERS_MAX: usize = 64;
/// Bytes in a request's head, and of an answer that wait before they are written.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// How long a client may take to send a request's head.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a client that has just come is waited for when the daemon ends: its request follows at once.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(1);
/// How long requests under way may take when the daemon ends; it has 10 s for everything.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept: the process is out of descriptors, and trying again at once burns a core.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The group may use the socket, others may not even connect.
const SOCKET_MODE: u32 = 0o660;

/// Why the socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Another daemon answers there.
    #[error("listen on {}: another daemon answers there; stop it, or set another `socket`", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket is in the way.
    #[error(
        "listen on {}: a file that is not a socket is in the way; move it, or set another `socket`",
        path.display()
    )]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("listen on {}: its directory must exist and be writable by the daemon's user", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Listens on a Unix socket at `path`, replacing one that nobody answers on. Mode 0660, group
/// `ironwake` where it exists. Must be called within a tokio runtime.
pub fn bind(path: &Path) -> Result<UnixListener, HttpError> {
    bind_for(path, GROUP)
}

/// The same, for a socket where people log in; its group is that of the program that is for it.
pub fn bind_entrance(path: &Path, entrance: Entrance) -> Result<UnixListener, HttpError> {
    bind_for(path, group_of(entrance))
}

fn bind_for(path: &Path, group_name: &str) -> Result<UnixListener, HttpError> {
    let failed = |source| HttpError::Listen { path: path.into(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(HttpError::InTheWay { path: path.into() });
        }
        Ok(_) => match BlockingStream::connect(path) {
            Ok(_) => return Err(HttpError::InUse { path: path.into() }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Whoever connects before the mode is set is still asked for credentials.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    if let Some(group) = Group::from_name(group_name).ok().flatten()
        && let Err(error) = std::os::unix::fs::chown(path, None, Some(group.gid.as_raw()))
    {
        tracing::warn!(%error, path = %path.display(), "the socket stays closed to group {group_name}");
    }
    Ok(listener)
}

/// Serves the API until `shutdown`, then lets requests under way end, within a limit, and shells be noted as closed.
pub async fn serve(listener: UnixListener, site: SharedSite, shutdown: CancellationToken) {
    accept(listener, super::router(site.clone()), None, shutdown).await;
    site.shells_ended().await;
}

/// The same, where people log in.
pub async fn serve_entrance(
    listener: UnixListener,
    entrance: Entrance,
    site: SharedSite,
    shutdown: CancellationToken,
) {
    accept(listener, super::router(site.clone()), Some(entrance), shutdown).await;
    site.shells_ended().await;
}

/// The accept loop over any router, for operators or where people log in.
pub(super) async fn accept(
    listener: UnixListener,
    router: Router,
    entrance: Option<Entrance>,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped at the end, which ends what is left.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = next(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let connection = Connection { router: router.clone(), shutdown: shutdown.clone() };
                connections.spawn(async move {
                    let peer = peer_of(&stream, entrance).await;
                    connection.serve(stream, peer).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept a connection to the API");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(connections).await;
}

/// Lets requests under way end, within a limit.
pub(super) async fn drain(mut connections: JoinSet<()>) {
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
        tracing::warn!("requests to the API were cut off after {} s", DRAIN_MAX.as_secs());
    }
}

/// The next connection, once there is a place for it.
async fn next(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// One connection, whatever carries it.
pub(super) struct Connection {
    pub router: Router,
    pub shutdown: CancellationToken,
}

impl Connection {
    /// Serves what comes on `stream` from `peer`.
    pub async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let Self { router, shutdown } = self;
        let begun = CancellationToken::new();
        let service = service_fn(|mut request: Request<Incoming>| {
            begun.cancel();
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(Closing(shutdown.clone()));
            router.clone().oneshot(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            // A shell goes on over its request's connection.
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = ends(&shutdown, &begun) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the API broke off");
        }
    }
}

/// Who is at the other end of the socket.
async fn peer_of(stream: &UnixStream, entrance: Option<Entrance>) -> Peer {
    let peer = match stream.peer_cred() {
        Ok(credentials) => {
            let (uid, gid) = (credentials.uid(), credentials.gid());
            let resolve = move || match entrance {
                None => Peer::resolve(uid, gid),
                Some(entrance) => Peer::resolve_at(entrance, uid, gid),
            };
            tokio::task::spawn_blocking(resolve).await.ok()
        }
        Err(_) => None,
    };
    peer.unwrap_or_else(|| Peer::Refused("the connection has no credentials".into()))
}

/// When a connection is to end behind its answer: hyper closes one at once whose first request it has not read,
/// which is lost to a client that was taken from the queue right before the shutdown.
async fn ends(shutdown: &CancellationToken, begun: &CancellationToken) {
    shutdown.cancelled().await;
    // An error says that the client has nothing to ask.
    let _ = tokio::time::timeout(FIRST_REQUEST_MAX, begun.cancelled()).await;
}
