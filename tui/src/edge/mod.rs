//! The edges: the daemon on one side, a terminal or SSH clients on the other, and recordings.

pub mod backend;
mod first;
mod perform;
pub mod place;
pub mod record;
pub mod ssh;
pub mod tty;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ironwake_api::Millis;
use ironwake_api::client::Client;
use tokio::time::timeout;

/// Frames follow one another no faster: what comes meanwhile is shown together.
const FRAME_EVERY: Duration = Duration::from_millis(33);
/// How often time goes on where nothing moves but the clock.
const TICK_EVERY: Duration = Duration::from_secs(1);
/// How often time goes on while pictures move.
const BEAT_EVERY: Duration = Duration::from_millis(250);
/// Messages that are taken before a frame is drawn.
const BATCH_MAX: usize = 256;
/// Lines that one notch of the wheel is.
const WHEEL_LINES: i16 = 3;

/// How long a daemon may take to end a session that is left.
const LOGOUT_TIME_MAX: Duration = Duration::from_secs(2);

/// Ends the client's session, if it is in one and the daemon hears it soon; else the lock does.
async fn log_out(client: &Client) {
    if client.in_session() {
        let _ = timeout(LOGOUT_TIME_MAX, client.log_out()).await;
    }
}

/// The time, in milliseconds since 1970.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
