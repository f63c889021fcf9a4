//! TFTP without a socket: packets, option negotiation, path cleaning, and one read transfer as a
//! state machine that is handed packets and time and says what to send.
//!
//! Read requests only (RFC 1350), with options (RFC 2347), block size (RFC 2348), timeout and
//! transfer size (RFC 2349) and windows (RFC 7440).

mod options;
mod packet;
mod path;
mod transfer;

pub use options::{
    Accepted, BLOCK_BYTES_DEFAULT, BLOCK_BYTES_MAX, BLOCK_BYTES_MIN, Options, WINDOW_BLOCKS_MAX,
};
pub use packet::{ErrorCode, Mode, Packet, PacketError, REQUEST_BYTES_MAX, Request, data_header};
pub use path::{PATH_BYTES_MAX, PathError, clean_path};
pub use transfer::{Ending, RESENDS_MAX, Step, Transfer};

/// The port of servers (RFC 1350 section 4).
pub const PORT: u16 = 69;
