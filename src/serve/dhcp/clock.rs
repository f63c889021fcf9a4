//! The clock of deadlines.

use std::time::Duration;

use ironwake_api::Millis;
use tokio::time::Instant;

/// Milliseconds since a session began, by the monotonic clock. A machine without a battery has its wall
/// clock stepped by decades, which must neither end the listening for another server nor prolong it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock that stands at zero.
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// How late it is.
    pub fn now(&self) -> Millis {
        Millis::try_from(self.began.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// When it will show `millis`.
    pub fn at(&self, millis: Millis) -> Instant {
        self.began + Duration::from_millis(millis)
    }
}
