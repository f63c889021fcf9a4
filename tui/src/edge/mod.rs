//! The edges: the daemon on one side, a terminal on the other, and recordings.

pub mod backend;
mod perform;
pub mod place;
pub mod record;
pub mod tty;

use std::time::{SystemTime, UNIX_EPOCH};

use ironwake_api::Millis;

/// The time, in milliseconds since 1970.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
