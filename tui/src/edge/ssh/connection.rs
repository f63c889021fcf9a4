//! One connection: each step in its time, and an end that the client cannot put off.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::server::run_stream;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::Shared;
use super::door::Place;
use super::visitor::Visitor;
use crate::edge::log_out;

/// How long greeting and key exchange may take: two answers of a slow client over a slow line.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(15);
/// How long logging in may take behind that: a person types the passphrase of a key, or touches one.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(60);
/// How long asking for a terminal may take behind that: clients do it at once, or never (`ssh -N`).
const SHELL_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a client may take to leave when it has been told that all is over.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It is there.
    Connected,
    /// Keys are exchanged.
    Agreed,
    /// Somebody has logged in.
    LoggedIn,
    /// A console is shown.
    Shown,
    /// Nothing more is to come.
    Over,
}

/// What has to be reached, in what time, and what is said otherwise.
const STEPS: &[(Stage, Duration, &str)] = &[
    (Stage::Agreed, HANDSHAKE_TIME_MAX, "no keys were exchanged in time"),
    (Stage::LoggedIn, LOGIN_TIME_MAX, "nobody logged in in time"),
    (Stage::Shown, SHELL_TIME_MAX, "no terminal was asked for in time"),
];

/// Serves a connection until its end.
pub(super) async fn attend(
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let Ok((stream, socket)) = twice(stream) else { return };
    let (stage, mut stages) = watch::channel(Stage::Connected);
    let daemon = shared.client.apart();
    let visitor = Visitor::new(from, place, shared.clone(), stage, stop.clone(), daemon.clone());
    let served = async {
        let running = timeout(HANDSHAKE_TIME_MAX, run_stream(shared.config.clone(), stream, visitor)).await;
        running.map_err(|_| russh::Error::ConnectionTimeout)??.await
    };
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        why = overdue(stages.clone(), stop) => {
            if !why.is_empty() {
                info!("{from} is cut off: {why}");
            }
            // The library's task ends with its socket, whatever it waits for.
            let _ = socket.shutdown(std::net::Shutdown::Both);
            served.await
        }
    };
    if let Err(error) = ended {
        match error {
            russh::Error::Join(panicked) => warn!("{from}: {panicked}"),
            error => debug!("{from}: {error}"),
        }
    }
    // Who has asked for nothing has begun nothing that ends its session.
    if *stages.borrow() == Stage::LoggedIn {
        log_out(&daemon).await;
    }
    // Who only looks whether something listens tries no key.
    if *stages.borrow_and_update() == Stage::Agreed
        && let Some(wait) = shared.door.failed(from.ip(), Instant::now())
    {
        warn!("logins from {} fail: it is not let in for {} s", from.ip(), wait.as_secs());
    }
}

/// The stream, and its socket for cutting it off.
fn twice(stream: TcpStream) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, socket))
}

/// Waits until a step is late; says what was to be done.
async fn overdue(mut stages: watch::Receiver<Stage>, mut stop: watch::Receiver<bool>) -> &'static str {
    for (stage, time, why) in STEPS {
        let reached = timeout(*time, has_come(&mut stages, *stage));
        let reached = tokio::select! {
            reached = reached => reached,
            () = told(&mut stop) => return "the server ends",
        };
        match reached {
            Ok(true) => {}
            // Its other end is gone, so the connection ends by itself.
            Ok(false) => return pending().await,
            Err(_) => return why,
        }
    }
    if !has_come(&mut stages, Stage::Over).await {
        return pending().await;
    }
    sleep(CLOSE_TIME_MAX).await;
    ""
}

/// Waits for a stage; says whether it was reached.
async fn has_come(stages: &mut watch::Receiver<Stage>, stage: Stage) -> bool {
    stages.wait_for(|now| *now >= stage).await.is_ok()
}

/// Waits until the server ends.
pub(super) async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
