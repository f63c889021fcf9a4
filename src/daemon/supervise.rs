//! Parts that serve are started again when they end: a fault in one never stops the others.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use ironwake_api::{HealthCheck, HealthState};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::site::SharedSite;

/// The first pause before a part is started again; it doubles with each failure in a row.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause: what an operator mends should work within half a minute.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A part that failed is well again once it has run this long: what cannot start fails at once.
const WELL_AFTER: Duration = Duration::from_millis(500);
/// A part that ran this long had started well: its next failure is a first one.
const STEADY_AFTER: Duration = Duration::from_secs(60);

/// Runs `part` until `shutdown`, starting it again whenever it ends or panics. Health shows how it is.
pub(super) async fn supervise<F, R, E>(
    name: String,
    remedy: &'static str,
    site: SharedSite,
    shutdown: CancellationToken,
    mut part: F,
) where
    F: FnMut() -> R,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut pause = PAUSE_MIN;
    let mut failed = false;
    loop {
        let check = |state, message: String| HealthCheck {
            name: name.clone(),
            state,
            message,
            remedy: (state != HealthState::Ok).then(|| remedy.to_owned()),
        };
        let started = tokio::time::Instant::now();
        let mut running = tokio::spawn(part());
        let early = match failed {
            true => tokio::time::timeout(WELL_AFTER, &mut running).await.ok(),
            false => None,
        };
        let ended = match early {
            Some(ended) => ended,
            None => {
                site.set_part_health(check(HealthState::Ok, "runs".into()));
                running.await
            }
        };
        if shutdown.is_cancelled() {
            return;
        }
        if started.elapsed() >= STEADY_AFTER {
            pause = PAUSE_MIN;
        }
        let reason = match ended {
            Ok(Ok(())) => "it ended by itself".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => format!("it panicked: {panic}"),
        };
        error!(part = %name, %reason, "a part ended; starting it again in {} s", pause.as_secs());
        site.set_part_health(check(HealthState::Failed, reason));
        failed = true;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
        info!(part = %name, "starting again");
    }
}
