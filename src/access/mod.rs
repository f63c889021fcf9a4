//! Who may use the operators' API over HTTPS: tokens, and how long an address waits that shows wrong ones.

mod network;
mod throttle;
mod token;

pub use network::Network;
pub use throttle::{FAILURES_FREE, Throttle, WAIT_MAX};
pub use token::{Kept, NAME_BYTES_MAX, check_token_name, digest_of, spell};
