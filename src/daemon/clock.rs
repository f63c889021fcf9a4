//! The clock of everything that the daemon does: that of [`Timeline`], on the clock that counts from the start of the system.
//!
//! Nobody is shown the wall clock itself: between the moment in which somebody sets it and that in which what lasts until a
//! time is moved with it, everything would be over, or nothing for years.

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use ironwake_api::Millis;
use nix::time::{ClockId, clock_gettime};
use tracing::{info, warn};

use crate::appliance::{Jump, Known, Timeline};
use crate::site::Site;
use crate::store::{Change, Store};

/// How often the time is written down: so much may a clock without a battery go back unnoticed.
const WRITE_EVERY: Millis = 60_000;
/// Changes with each start of the system.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is added to the time since the start of the system; before a daemon has one, the wall clock is asked.
static OFFSET: AtomicI64 = AtomicI64::new(i64::MIN);

/// Milliseconds since the epoch.
pub(super) fn now() -> Millis {
    match OFFSET.load(Ordering::Acquire) {
        i64::MIN => wall(),
        offset => Timeline::with_offset(offset).at(since_boot()),
    }
}

fn wall() -> Millis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// Time in which the system slept counts.
fn since_boot() -> Millis {
    let Ok(since) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        unreachable!("Linux has this clock since 2.6.39");
    };
    let (secs, nanos) = (since.tv_sec() as Millis, since.tv_nsec() as Millis);
    secs * 1000 + nanos / 1_000_000
}

/// Follows the wall clock.
pub(super) struct Follower {
    line: Timeline,
    boot: String,
    written: Millis,
}

impl Follower {
    /// Goes on from what was known when the last daemon ended; what happened to the clock since is still to be dealt with.
    pub async fn resume(store: &Store) -> anyhow::Result<(Self, Option<Jump>)> {
        let known = store.clock().await?;
        let boot = fs::read_to_string(BOOT_ID).map(|id| id.trim().to_owned()).unwrap_or_default();
        let since_boot = since_boot();
        let (line, jump) = Timeline::resume(wall(), since_boot, &boot, known.as_ref());
        let follower = Self { line, boot, written: since_boot };
        follower.show();
        let known = follower.known();
        // With a jump it is written down together with what that moves.
        if jump.is_none() {
            store.save(vec![Change::Clock(Box::new(known))]).await?;
        }
        Ok((follower, jump))
    }

    /// What is known of the clock.
    pub fn known(&self) -> Known {
        let since_boot = since_boot();
        Known { boot: self.boot.clone(), since_boot, at: self.line.at(since_boot) }
    }

    fn show(&self) {
        OFFSET.store(self.line.offset(), Ordering::Release);
    }

    /// Looks whether the clock was set; to be called about once a second.
    pub async fn look(&mut self, site: &Site) {
        let since_boot = since_boot();
        let Some(jump) = self.line.look(wall(), since_boot) else {
            self.show();
            if since_boot.saturating_sub(self.written) >= WRITE_EVERY {
                self.written = since_boot;
                site.store().save_behind(vec![Change::Clock(Box::new(self.known()))]);
            }
            return;
        };
        let line = self.line.jumped(&jump);
        let known = Known { boot: self.boot.clone(), since_boot, at: jump.to };
        let switch = move || OFFSET.store(line.offset(), Ordering::Release);
        match site.clock_jumped(jump, known, switch).await {
            Ok(()) => {
                info!(
                    from = jump.from,
                    to = jump.to,
                    "the clock was set; what lasts until a time was moved with it"
                );
                (self.line, self.written) = (line, since_boot);
            }
            // Time goes on as it did, and the next look finds the jump again.
            Err(error) => {
                warn!(%error, "the clock was set, and that cannot be saved: the time before goes on")
            }
        }
    }

    /// Writes the time down, at the end.
    pub fn write_down(&self, site: &Site) {
        site.store().save_behind(vec![Change::Clock(Box::new(self.known()))]);
    }
}
