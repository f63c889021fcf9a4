//! One transfer as a task: feeds its core with packets and time, and sends what it says.

use std::io;
use std::net::SocketAddrV4;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use ironwake_api::{ClientStage, StageKind};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::socket::TransferSocket;
use crate::recorder::Observation;
use crate::serve::Backend;
use crate::tftp::{Ending, ErrorCode, Packet, Step, Transfer};

/// What is read of a client's packet: an ACK has four bytes, the rest is an error's text.
const RECEIVE_BYTES: usize = 128;

/// Everything that one transfer holds.
pub(super) struct Session {
    pub backend: Backend,
    pub socket: TransferSocket,
    pub transfer: Transfer,
    /// The file as the client spelt it.
    pub file: String,
    pub bytes: Bytes,
    pub client: ClientStage,
    pub from: SocketAddrV4,
    pub started: Instant,
}

impl Session {
    /// Runs the transfer to its end and records it. `stop` ends it early.
    pub async fn run(mut self, first: Step, stop: CancellationToken) {
        tokio::select! {
            () = self.drive(first) => {}
            () = stop.cancelled() => {
                self.transfer.stop(Ending::Stopped);
                let goodbye = Packet::error(ErrorCode::Undefined, "the server stops").encode();
                let _ = self.socket.send(&goodbye).await;
            }
        }
        self.record();
    }

    async fn drive(&mut self, first: Step) {
        let mut buffer = [0; RECEIVE_BYTES];
        let mut timer = pin!(sleep_until(self.transfer.deadline().into()));
        let mut step = first;
        loop {
            if self.perform(step).await {
                return;
            }
            // Only the doubled wait of a resend leaves the timer behind the deadline.
            if self.transfer.deadline() < timer.deadline().into_std() {
                timer.as_mut().reset(self.transfer.deadline().into());
            }
            step = tokio::select! {
                biased;
                received = self.socket.receive(&mut buffer) => match received {
                    Ok(length) => self.take(&buffer[..length]),
                    Err(error) => self.failed(&error, &mut buffer),
                },
                // The timer is armed again only when it fires: an advance, which pushes the deadline
                // back, then costs nothing.
                () = &mut timer => {
                    let step = self.transfer.tick(Instant::now());
                    timer.as_mut().reset(self.transfer.deadline().into());
                    step
                }
            };
        }
    }

    fn take(&mut self, packet: &[u8]) -> Step {
        match Packet::parse(packet) {
            Ok(packet) => self.transfer.receive(&packet, Instant::now()),
            Err(_) => Step::Wait,
        }
    }

    /// The kernel reports a closed port before the packets that came earlier, such as the last ACK.
    fn failed(&mut self, error: &io::Error, buffer: &mut [u8]) -> Step {
        if error.kind() != io::ErrorKind::ConnectionRefused {
            return Step::Wait;
        }
        while let Ok(length) = self.socket.receive_now(buffer) {
            if self.take(&buffer[..length]) == Step::Ended {
                return Step::Ended;
            }
        }
        self.transfer.stop(Ending::PortClosed)
    }

    /// Does what the core says; true at the end. A send that fails is as good as a lost packet.
    async fn perform(&mut self, step: Step) -> bool {
        let sent = match step {
            Step::Wait => Ok(()),
            Step::Ended => return true,
            Step::SendOack => self.socket.send(&Packet::Oack(self.transfer.accepted().answer).encode()).await,
            Step::SendBlocks(blocks) => self.socket.send_blocks(&self.transfer, blocks, &self.bytes).await,
        };
        if let Err(error) = sent {
            debug!(client = %self.from, file = self.file, %error, "tftp send failed");
        }
        false
    }

    fn record(self) {
        let aborted = self.transfer.ending().and_then(Ending::aborted);
        let kind = StageKind::Tftp {
            file: self.file,
            bytes: self.transfer.bytes_acked(),
            size: self.transfer.accepted().size,
            duration_ms: self.started.elapsed().as_millis() as u64,
            retries: self.transfer.retries(),
            aborted,
        };
        observe(&self.backend, self.from, self.client, kind);
    }
}

/// Records a stage of the machine at `from`, if it is known which that is.
pub(super) fn observe(backend: &Backend, from: SocketAddrV4, client: ClientStage, kind: StageKind) {
    debug!(client = %from, stage = ?kind, "tftp");
    if let Some(mac) = backend.site.mac_of(*from.ip()) {
        backend.site.observe(Observation { at: backend.site.now(), mac, client, arch: None, kind });
    }
}
