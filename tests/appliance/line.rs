//! What QEMU connects to when it starts: its own protocol, and serial ports.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::lab::LabError;

/// QEMU connects before it runs anything; a host that is loaded takes its time.
const CONNECT_MS_MAX: u16 = 60_000;

/// A socket that waits for QEMU.
pub struct Line {
    listener: UnixListener,
    path: PathBuf,
}

impl Line {
    /// Listens at this path, in place of what listened there for another start.
    pub fn listen(path: &Path) -> Result<Self, LabError> {
        let _ = std::fs::remove_file(path);
        let listener =
            UnixListener::bind(path).map_err(LabError::io(format!("listen at {}", path.display())))?;
        Ok(Self { listener, path: path.into() })
    }

    /// As QEMU's options have it.
    pub fn option(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// The connection of a QEMU that was started.
    pub fn accept(&self) -> Result<UnixStream, LabError> {
        let accept = || {
            let mut waits = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            if poll(&mut waits, PollTimeout::from(CONNECT_MS_MAX))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.listener.accept().map(|(stream, _)| stream)
        };
        accept().map_err(LabError::io(format!("wait for QEMU at {}", self.path.display())))
    }
}

/// What a serial port says. It is read as it comes: a port that nobody reads would hold the machine up.
pub struct Port {
    pieces: Receiver<Vec<u8>>,
    said: Vec<u8>,
}

impl Port {
    /// Reads a connection to its end.
    pub fn read(mut stream: UnixStream) -> Self {
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                // Nobody waits any more; the machine still writes.
                let _ = sender.send(piece[..length].to_vec());
            }
        });
        Self { pieces, said: Vec::new() }
    }

    /// Waits until it has said something.
    pub fn wait(&mut self, text: &str, limit: Duration) -> Result<(), RecvTimeoutError> {
        let end = Instant::now() + limit;
        while !self.said.windows(text.len()).any(|at| at == text.as_bytes()) {
            self.said.extend(self.pieces.recv_timeout(end.saturating_duration_since(Instant::now()))?);
        }
        Ok(())
    }
}
