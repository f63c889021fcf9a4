//! The agent's DHCP client (RFC 2131): messages and exchange are pure, the socket is beside them.

mod exchange;
mod frame;
mod message;
mod socket;

pub use exchange::{Effect, Exchange};
pub use frame::{decode_frame, encode_frame};
pub use message::{Identity, Kind, Lease, Reply, encode_request};
pub use socket::Socket;
