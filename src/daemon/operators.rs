//! The operators' API over HTTPS: its listener, and the certificate that it shows.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use ironwake_api::{Actor, EventKind, HealthCheck, HealthState};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Daemon;
use super::supervise::supervise;
use crate::certificates::{Authority, Keeper, Shown, Source};
use crate::config::Api;
use crate::http;
use crate::site::SharedSite;
use crate::store::{Change, NewEvent};

/// How often the certificate is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// An operator is told so long before a certificate of theirs ends.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 86_400);
/// The check of health that shows it.
const CHECK: &str = "certificate";

/// The authority of a state directory; made at the first start, whether the API is on or not, so that clients can
/// be given it before.
pub(super) fn authority(state: &Path, site: &SharedSite) -> anyhow::Result<Arc<Authority>> {
    let authority = Authority::open(state, SystemTime::now())?;
    site.set_authority(authority.shown());
    Ok(Arc::new(authority))
}

impl Daemon {
    /// Starts the API over HTTPS, if it is on.
    pub(super) fn serve_secure(&self, config: &Api, authority: Arc<Authority>, site: &SharedSite) {
        let Some(listen) = config.listen else { return };
        let source = match &config.certificate {
            Some(files) => Source::Given { certificate: files.certificate.clone(), key: files.key.clone() },
            None => Source::Own { authority, names: config.names.clone() },
        };
        let keeper = Arc::new(Keeper::new(source));
        let mut watch = Watch { keeper: keeper.clone(), site: site.clone(), failed: None, told: None };
        // Before the first connection.
        watch.look(SystemTime::now());
        let shutdown = self.shutdown.clone();
        self.spawn(async move { watch.run(shutdown).await });

        let (inner, token) = (site.clone(), self.shutdown.clone());
        let mut untried = Some(self.untried.token());
        let part = move || {
            let (inner, keeper, token) = (inner.clone(), keeper.clone(), token.clone());
            let untried = untried.take();
            async move {
                let listener = listener(listen).await;
                drop(untried);
                http::serve_secure(listener?, inner, keeper, token).await;
                anyhow::Ok(())
            }
        };
        let remedy = "`listen` of [api] must be an address of this host and a port that no other program holds \
                      (`ss -ltnp` shows who does)";
        self.spawn(supervise("api https".into(), remedy, site.clone(), self.shutdown.clone(), part));
    }
}

async fn listener(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(listen).await.with_context(|| format!("listen on {listen} for the API"))?;
    info!(%listen, "the API is served over HTTPS");
    Ok(listener)
}

/// Looks at the certificate, and says what becomes of it.
struct Watch {
    keeper: Arc<Keeper>,
    site: SharedSite,
    /// Why the last look failed.
    failed: Option<String>,
    /// The failure that there is an event of.
    told: Option<String>,
}

impl Watch {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(LOOK_EVERY);
        while shutdown.run_until_cancelled(interval.tick()).await.is_some() {
            self.look(SystemTime::now());
        }
    }

    fn look(&mut self, now: SystemTime) {
        match self.keeper.look(now) {
            Ok(changed) => {
                (self.failed, self.told) = (None, None);
                if let (true, Some(shown)) = (changed, self.keeper.shown()) {
                    let expires = shown.expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    info!(fingerprint = shown.fingerprint, "the API shows another certificate");
                    self.event(EventKind::CertificateChanged {
                        fingerprint: shown.fingerprint,
                        expires_at: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
                    });
                }
            }
            Err(error) => {
                let reason = error.to_string();
                // Two files are not replaced in one moment: what is wrong in two looks is wrong.
                if self.failed.as_ref() == Some(&reason) && self.told.as_ref() != Some(&reason) {
                    error!(%reason, "a certificate of the API cannot be used; the one before it stays");
                    self.event(EventKind::CertificateRefused { reason: reason.clone() });
                    self.told = Some(reason.clone());
                }
                self.failed = Some(reason);
            }
        }
        self.site.set_part_health(check(self.keeper.shown(), self.failed.as_deref(), now));
    }

    fn event(&self, kind: EventKind) {
        let event = NewEvent { at: self.site.now(), actor: Actor::Daemon, machine: None, kind };
        self.site.store().save_behind(vec![Change::Event(Box::new(event))]);
    }
}

/// How the certificate is.
fn check(shown: Option<Shown>, failed: Option<&str>, now: SystemTime) -> HealthCheck {
    let left = shown.as_ref().map(|shown| shown.expires_at.duration_since(now).unwrap_or_default());
    let days = |left: Duration| format!("{} days", left.as_secs() / 86_400);
    let (state, message) = match (left, failed) {
        (None, failed) => {
            (HealthState::Failed, format!("there is none: {}", failed.unwrap_or("not looked yet")))
        }
        (Some(Duration::ZERO), _) => (HealthState::Failed, "it has ended".into()),
        (Some(_), Some(reason)) => (HealthState::Degraded, format!("the one before stays in use: {reason}")),
        (Some(left), None) if left < WARN_BEFORE => {
            (HealthState::Degraded, format!("it ends within {}", days(left + Duration::from_secs(86_400))))
        }
        (Some(left), None) => (HealthState::Ok, format!("it is good for {}", days(left))),
    };
    let remedy = "put a good certificate and its key where `certificate` and `key` of [api] say, or remove both \
                  settings: the appliance then issues its own";
    HealthCheck {
        name: CHECK.into(),
        state,
        message,
        remedy: (state != HealthState::Ok).then(|| remedy.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_health(days: Option<u64>, failed: Option<&str>, state: HealthState, message: &str) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let shown = days.map(|days| Shown {
            fingerprint: "AA".into(),
            expires_at: now + Duration::from_secs(days * 86_400),
        });
        let check = check(shown, failed, now);
        assert_eq!((check.state, check.message.as_str()), (state, message));
        assert_eq!(check.remedy.is_some(), state != HealthState::Ok);
    }

    #[test]
    fn health_tells_a_certificate_that_ends_or_is_bad() {
        use HealthState::{Degraded, Failed, Ok};
        check_health(Some(60), None, Ok, "it is good for 60 days");
        check_health(Some(3), None, Degraded, "it ends within 4 days");
        check_health(Some(0), None, Failed, "it has ended");
        check_health(Some(60), Some("a.key: x"), Degraded, "the one before stays in use: a.key: x");
        check_health(None, Some("read a.crt"), Failed, "there is none: read a.crt");
    }
}
