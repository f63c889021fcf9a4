//! The API over HTTPS: connections, their limits, the handshake, and the answer to plain HTTP.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::listen::{ACCEPT_PAUSE, CONNECTIONS_MAX, Connection, drain};
use super::peer::Peer;
use super::problem::MEDIA_TYPE;
use crate::access::Network;
use crate::certificates::Keeper;
use crate::serve::http::{Place, Places, problem};
use crate::site::SharedSite;

/// Connections of one caller: some consoles behind one router.
pub(super) const CONNECTIONS_EACH_MAX: usize = 64;
/// From the connection to the end of the handshake; a round trip around the world takes a third of a second.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// What TLS begins with: the content type of a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// What of a request in plain HTTP is read before it is answered.
const PLAIN_BYTES: usize = 8 << 10;
/// How long the client may take to read that answer.
const PLAIN_WAIT_MAX: Duration = Duration::from_secs(2);

/// Serves the API over HTTPS until `shutdown`, then lets requests under way end, within a limit.
pub async fn serve(
    listener: TcpListener,
    site: SharedSite,
    keeper: Arc<Keeper>,
    shutdown: CancellationToken,
) {
    accept(listener, super::router(site.clone()), keeper, shutdown).await;
    site.shells_ended().await;
}

async fn accept(listener: TcpListener, router: Router, keeper: Arc<Keeper>, shutdown: CancellationToken) {
    let (places, of_caller) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Places::new(CONNECTIONS_EACH_MAX));
    let mut connections = JoinSet::new();
    let mut handshakes = Handshakes::default();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok((stream, from)) => (stream, from.ip().to_canonical()),
            Err(error) => {
                tracing::warn!(%error, "accept a connection to the API over HTTPS");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(own) = place_of(&of_caller, from) else {
            tracing::debug!(%from, limit = CONNECTIONS_EACH_MAX, "too many connections of one caller to the API");
            continue;
        };
        if places.available_permits() == 0 {
            handshakes.end_oldest();
        }
        // With every place taken by somebody who is served, the others wait in the kernel's backlog.
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let connection = Connection { router: router.clone(), shutdown: shutdown.clone() };
        // A handshake that has not ended when the daemon ends has asked for nothing.
        let shaking = handshakes.begin(&shutdown);
        let keeper = keeper.clone();
        connections.spawn(async move {
            let handshake = handshake(stream, from, &keeper, HANDSHAKE_MAX);
            let shaken = shaking.run_until_cancelled(handshake).await.flatten();
            shaking.cancel();
            if let Some(stream) = shaken {
                connection.serve(stream, Peer::Remote(from)).await;
            }
            drop((place, own));
        });
    }
    drop(listener);
    drain(connections).await;
}

/// A place among those of one caller; nothing while as many connections are theirs as may be.
pub(super) fn place_of(of_caller: &Places<Network>, from: IpAddr) -> Option<Place<Network>> {
    of_caller.take(from.into())
}

/// Handshakes in flight, oldest first. Each has a place; whoever connects and says nothing would keep others out for as
/// long as a handshake may take, so with every place taken the oldest one gives its own to the next that comes.
#[derive(Default)]
struct Handshakes(VecDeque<CancellationToken>);

impl Handshakes {
    /// The next one; its token is cancelled when it has ended, or is to.
    fn begin(&mut self, shutdown: &CancellationToken) -> CancellationToken {
        self.0.retain(|shaking| !shaking.is_cancelled());
        let shaking = shutdown.child_token();
        self.0.push_back(shaking.clone());
        shaking
    }

    fn end_oldest(&mut self) {
        while let Some(oldest) = self.0.pop_front() {
            if !oldest.is_cancelled() {
                return oldest.cancel();
            }
        }
    }
}

/// The connection once it is a secure one; nothing where it does not become one in time.
pub(super) async fn handshake(
    stream: TcpStream,
    from: IpAddr,
    keeper: &Keeper,
    limit: Duration,
) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(limit, begin(stream, keeper)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%from, %error, "a handshake of the API failed");
            None
        }
        Err(_) => {
            tracing::debug!(%from, "a handshake of the API took more than {limit:?}");
            None
        }
    }
}

async fn begin(stream: TcpStream, keeper: &Keeper) -> io::Result<Option<TlsStream<TcpStream>>> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] != TLS_HANDSHAKE {
        refuse_plain(stream).await?;
        return Ok(None);
    }
    let config = keeper.config().ok_or_else(|| io::Error::other("there is no certificate to show"))?;
    TlsAcceptor::from(config).accept(stream).await.map(Some)
}

/// Says that this port is HTTPS. Nothing of what was asked is done, and nothing of it is kept.
async fn refuse_plain(mut stream: TcpStream) -> io::Result<()> {
    let local: SocketAddr = stream.local_addr()?;
    let mut request = vec![0; PLAIN_BYTES];
    let _ = stream.read(&mut request).await?;
    let detail = format!(
        "this port speaks HTTPS only, such as https://{local}/api/v1/version; a token that was sent here could be read \
         on the way: revoke it"
    );
    let status = StatusCode::BAD_REQUEST;
    let body = serde_json::to_string(&problem(status, "plain_http", detail))?;
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with bytes unread would reset the connection, and the answer with it.
    let read_on = async { while stream.read(&mut request).await.is_ok_and(|count| count > 0) {} };
    let _ = tokio::time::timeout(PLAIN_WAIT_MAX, read_on).await;
    Ok(())
}
