//! Pieces of the packed image on their way: one thread receives them, one digests them, one unpacks them.
//!
//! Emptied ones go back to the receiver: memory that the kernel has to map and clear for each piece costs as much as
//! receiving it.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
};

use sha2::{Digest, Sha256};

/// One piece.
pub const PIECE_BYTES: usize = 256 << 10;
/// Pieces between two threads: enough to bridge a pause of the disk.
const PIECES_MAX: usize = 16;

/// The ends of the way from the network to the unpacking; the digest is taken between them.
pub fn way() -> (Sending, Digesting, Pieces) {
    let (received, to_digest) = sync_channel(PIECES_MAX);
    let (digested, to_unpack) = sync_channel(PIECES_MAX);
    let (emptied, empty) = channel();
    let pieces = Pieces { receiver: to_unpack, emptied, piece: Vec::new(), taken: 0 };
    (Sending { received, empty }, Digesting { to_digest, digested }, pieces)
}

/// Where the image's bytes come in.
#[derive(Debug)]
pub struct Sending {
    received: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

/// Nobody takes the pieces any more.
#[derive(Debug)]
pub struct Gone;

impl Sending {
    /// A piece to fill, of this length; what it holds means nothing.
    pub fn piece(&self, length: usize) -> Vec<u8> {
        let mut piece = self.empty.try_recv().unwrap_or_default();
        piece.resize(length, 0);
        piece
    }

    /// Sends a filled piece on its way.
    pub fn send(&self, piece: Vec<u8>) -> Result<(), Gone> {
        self.received.send(piece).map_err(|_| Gone)
    }
}

/// What stands between.
#[derive(Debug)]
pub struct Digesting {
    to_digest: Receiver<Vec<u8>>,
    digested: SyncSender<Vec<u8>>,
}

impl Digesting {
    /// The SHA-256 of all pieces, which are passed on, in hexadecimal digits. It means nothing if the taker is gone before
    /// the last one.
    pub fn run(self) -> String {
        let mut digest = Sha256::new();
        for piece in self.to_digest {
            digest.update(&piece);
            if self.digested.send(piece).is_err() {
                break;
            }
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The pieces as a reader: it ends where the sender does.
#[derive(Debug)]
pub struct Pieces {
    receiver: Receiver<Vec<u8>>,
    emptied: Sender<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            // Where nothing more is received, nobody wants it.
            let _ = self.emptied.send(std::mem::replace(&mut self.piece, piece));
            self.taken = 0;
        }
        let length = buffer.len().min(self.piece.len() - self.taken);
        buffer[..length].copy_from_slice(&self.piece[self.taken..][..length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn pieces_arrive_in_order_digested_and_are_used_again() {
        let (sending, digesting, mut pieces) = way();
        let digest = thread::spawn(|| digesting.run());
        let expected: Vec<u8> = (0..200).collect();
        let mut received = [0; 40];
        for part in expected.chunks(40) {
            let mut piece = sending.piece(part.len());
            piece.copy_from_slice(part);
            sending.send(piece).expect("a taker");
            pieces.read_exact(&mut received).expect("a piece");
            assert_eq!(received, part);
        }
        assert!(sending.piece(0).capacity() >= 40, "a piece that was there before");
        drop(sending);
        assert_eq!(pieces.read(&mut received).expect("the end"), 0);
        let sha256: String = Sha256::digest(&expected).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest.join().expect("a digest"), sha256);
    }

    #[test]
    fn a_taker_that_is_gone_stops_the_sender() {
        let (sending, digesting, pieces) = way();
        drop(pieces);
        let digest = thread::spawn(|| digesting.run());
        sending.send(vec![1]).expect("room");
        digest.join().expect("an end");
        assert!(sending.send(vec![2]).is_err());
    }
}
