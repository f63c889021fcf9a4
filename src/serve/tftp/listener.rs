//! Takes requests off the listening socket as they come.
//!
//! A rack row that is switched on asks within milliseconds, and an unprivileged process may give its
//! socket no more buffer than `net.core.rmem_max`, which by default holds some 500 requests. Thousands
//! of transfers on the same thread would keep it waiting for longer than that lasts, and every request
//! lost costs its machine the seconds until it asks again. So a thread does nothing but this.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::limits::TRANSFERS_MAX;
use super::socket::{Arrival, receive};
use crate::tftp::REQUEST_BYTES_MAX;

/// Requests that wait for the server: one of each machine that could be served.
const WAITING_MAX: usize = TRANSFERS_MAX;
/// How long the listener rests when its socket fails, so that a lasting fault does not eat a core.
const FAULT_PAUSE: Duration = Duration::from_millis(100);

/// A datagram and where it came from and to.
pub(super) struct Heard {
    pub arrival: Arrival,
    pub packet: Vec<u8>,
}

/// The requests of one socket, in their order.
pub(super) struct Listener {
    requests: mpsc::Receiver<Heard>,
    stop: CancellationToken,
}

impl Listener {
    /// Begins to listen.
    pub fn start(socket: UdpSocket) -> io::Result<Self> {
        let socket = socket.into_std()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let stop = CancellationToken::new();
        let token = stop.clone();
        thread::Builder::new().name("tftp requests".into()).spawn(move || {
            runtime.block_on(async move {
                match UdpSocket::from_std(socket) {
                    Ok(socket) => {
                        token.run_until_cancelled(Ear { socket, sender }.listen()).await;
                    }
                    Err(error) => warn!(%error, "tftp: cannot listen"),
                }
            });
        })?;
        Ok(Self { requests, stop })
    }

    /// The next request; `None` if the thread has ended.
    pub async fn next(&mut self) -> Option<Heard> {
        self.requests.recv().await
    }

    /// Ends, and returns once the port is free.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.next().await.is_some() {}
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What the thread holds. The socket goes first: once the sender is gone, the port is free.
struct Ear {
    socket: UdpSocket,
    sender: mpsc::Sender<Heard>,
}

impl Ear {
    async fn listen(self) {
        // One byte more than a request may have shows that one is longer.
        let mut buffer = [0; REQUEST_BYTES_MAX + 1];
        loop {
            match receive(&self.socket, &mut buffer).await {
                Ok(arrival) => {
                    let packet = buffer[..arrival.length].to_vec();
                    // What does not fit is lost as in a full socket buffer: the client asks again.
                    let _ = self.sender.try_send(Heard { arrival, packet });
                }
                Err(error) => {
                    warn!(%error, "tftp: cannot receive");
                    tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
        }
    }
}
