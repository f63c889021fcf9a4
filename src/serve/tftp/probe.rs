//! A netboot client's view of a TFTP server: fetches one file and says what was agreed and how fast it came.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use crate::tftp::{BLOCK_BYTES_DEFAULT, BLOCK_BYTES_MAX, Mode, Options, Packet, Request};

/// How often in a row a packet is sent again before the server is given up.
const RESENDS_MAX: u32 = 5;
/// Receive buffer: the largest window of the largest blocks that fit a frame, with the kernel's overhead.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

/// What to ask.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// The server.
    pub server: SocketAddrV4,
    /// The file.
    pub file: String,
    /// `blksize`, if it is to be asked.
    pub blksize: Option<u16>,
    /// `windowsize`, if it is to be asked.
    pub windowsize: Option<u16>,
    /// How long to wait for a packet before asking again.
    pub timeout: Duration,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReport {
    /// Options that the server acknowledged.
    pub acked: Options,
    /// Bytes of the file.
    pub bytes: u64,
    /// From the request to the last block.
    pub duration: Duration,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Packets that were sent again.
    pub retries: u32,
    /// Bytes in a second.
    pub rate: f64,
}

/// Why a probe failed.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// A socket failed.
    #[error("use a UDP socket to {server}")]
    Socket {
        /// The server.
        server: SocketAddrV4,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server sent an error.
    #[error("the server refused: error {code} {message:?}")]
    Refused {
        /// Its code.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The server did not answer, or stopped answering.
    #[error("no answer from {server} after {bytes} bytes and {RESENDS_MAX} repeats")]
    Silent {
        /// The server.
        server: SocketAddrV4,
        /// Bytes that had come.
        bytes: u64,
    },
    /// The server answered with more than was asked.
    #[error("the server acknowledged {name}={value}, which was not asked")]
    NotAsked {
        /// The option.
        name: &'static str,
        /// Its value.
        value: u64,
    },
}

/// Fetches a file.
pub async fn probe(options: ProbeOptions) -> Result<ProbeReport, ProbeError> {
    let server = options.server;
    let socket = open().map_err(|source| ProbeError::Socket { server, source })?;
    let started = Instant::now();
    let asked = Options {
        blksize: options.blksize,
        windowsize: options.windowsize,
        tsize: Some(0),
        timeout_secs: None,
    };
    let request = Packet::Read(Request { file: &options.file, mode: Mode::Octet, options: asked }).encode();
    let mut client = Client::new(asked);
    let mut buffer = vec![0; usize::from(BLOCK_BYTES_MAX) + 4];
    let mut peer = None;
    let mut answer = Answer::Send(request);
    let (mut last, mut resends, mut retries) = (Vec::new(), 0, 0);
    loop {
        match answer {
            Answer::Send(packet) => {
                send(&socket, &packet, peer, server).await?;
                (last, resends) = (packet, 0);
            }
            Answer::Finish(packet) => {
                send(&socket, &packet, peer, server).await?;
                break;
            }
            Answer::Nothing => {}
        }
        let deadline = tokio::time::Instant::now() + options.timeout;
        let Ok(received) = timeout_at(deadline, socket.recv_from(&mut buffer)).await else {
            if resends == RESENDS_MAX {
                return Err(ProbeError::Silent { server, bytes: client.bytes });
            }
            (resends, retries) = (resends + 1, retries + 1);
            send(&socket, &last, peer, server).await?;
            answer = Answer::Nothing;
            continue;
        };
        let (length, from) = received.map_err(|source| ProbeError::Socket { server, source })?;
        // The first answer's port is the transfer's; anything from elsewhere is not ours.
        if from.ip() != *server.ip() || peer.is_some_and(|peer| peer != from) {
            answer = Answer::Nothing;
            continue;
        }
        peer = Some(from);
        answer = client.take(&buffer[..length])?;
    }
    Ok(client.report(started.elapsed(), retries))
}

fn open() -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))?;
    // A smaller buffer only makes windows be sent again.
    let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

async fn send(
    socket: &UdpSocket,
    packet: &[u8],
    peer: Option<SocketAddr>,
    server: SocketAddrV4,
) -> Result<(), ProbeError> {
    let to = peer.unwrap_or(server.into());
    socket.send_to(packet, to).await.map(drop).map_err(|source| ProbeError::Socket { server, source })
}

enum Answer {
    Nothing,
    Send(Vec<u8>),
    Finish(Vec<u8>),
}

/// The receiving end of a transfer (RFC 7440 §4).
struct Client {
    asked: Options,
    acked: Options,
    hash: Sha256,
    bytes: u64,
    block: u64,
    since_ack: u16,
}

impl Client {
    fn new(asked: Options) -> Self {
        Self { asked, acked: Options::default(), hash: Sha256::new(), bytes: 0, block: 0, since_ack: 0 }
    }

    fn take(&mut self, packet: &[u8]) -> Result<Answer, ProbeError> {
        match Packet::parse(packet) {
            Ok(Packet::Oack(acked)) if self.block == 0 => {
                let asked: Vec<_> = self.asked.pairs().map(|(name, _)| name).collect();
                if let Some((name, value)) = acked.pairs().find(|(name, _)| !asked.contains(name)) {
                    return Err(ProbeError::NotAsked { name, value });
                }
                self.acked = acked;
                Ok(Answer::Send(Packet::Ack(0).encode()))
            }
            Ok(Packet::Data { block, data }) => Ok(self.data(block, data)),
            Ok(Packet::Error { code, message }) => {
                Err(ProbeError::Refused { code, message: message.into_owned() })
            }
            _ => Ok(Answer::Nothing),
        }
    }

    fn data(&mut self, block: u16, data: &[u8]) -> Answer {
        if block != (self.block + 1) as u16 {
            // A gap: ask once for what is missing; the rest of the window is on its way and useless.
            let first_of_gap = self.since_ack > 0;
            self.since_ack = 0;
            return if first_of_gap {
                Answer::Send(Packet::Ack(self.block as u16).encode())
            } else {
                Answer::Nothing
            };
        }
        self.hash.update(data);
        self.bytes += data.len() as u64;
        self.block += 1;
        self.since_ack += 1;
        let ack = Packet::Ack(block).encode();
        if data.len() < usize::from(self.acked.blksize.unwrap_or(BLOCK_BYTES_DEFAULT)) {
            return Answer::Finish(ack);
        }
        if self.since_ack < self.acked.windowsize.unwrap_or(1) {
            return Answer::Nothing;
        }
        self.since_ack = 0;
        Answer::Send(ack)
    }

    fn report(self, duration: Duration, retries: u32) -> ProbeReport {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let rate = self.bytes as f64 / duration.as_secs_f64().max(f64::MIN_POSITIVE);
        ProbeReport { acked: self.acked, bytes: self.bytes, duration, sha256, retries, rate }
    }
}
