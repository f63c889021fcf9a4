//! The one-time password: whoever logs in with it over SSH may add keys, once, and nothing else.

use std::sync::{Mutex, OnceLock};

use ironwake_api::{Actor, EventKind, LoginWith, Millis, OneTimePassword, SSH_PORT, Secret};

use super::{Site, SiteError};
use crate::access::{ONE_TIME_KEY_BYTES, ONE_TIME_RANDOM_BYTES, OneTime, Session};

/// The one that was made last. It is in memory alone, and ends with the daemon.
#[derive(Default)]
pub(super) struct Made {
    last: Mutex<Option<OneTime>>,
    ssh_port: OnceLock<u16>,
}

impl Site {
    /// The console over SSH listens on this port rather than on [`SSH_PORT`].
    pub fn set_ssh_port(&self, port: u16) {
        // Told once, at the start.
        let _ = self.one_time.ssh_port.set(port);
    }

    /// Makes another one; that before ends, and the sessions that it began. It is in this answer and nowhere else.
    pub async fn make_one_time_password(&self, actor: Actor) -> Result<OneTimePassword, SiteError> {
        let (mut random, mut key) = ([0; ONE_TIME_RANDOM_BYTES], [0; ONE_TIME_KEY_BYTES]);
        let filled = getrandom::fill(&mut random).and_then(|()| getrandom::fill(&mut key));
        filled.map_err(|error| SiteError::NoRandomness(error.to_string()))?;
        let _gate = self.gate.lock().await;
        let (made, text) = OneTime::make(random, key, self.now());
        let expires_at = made.expires_at();
        let event = self.event(actor, None, EventKind::OneTimePasswordMade { expires_at });
        self.store.save(vec![event]).await?;
        self.end_one_time_password();
        *self.one_time.last.lock().expect("no panic while held") = Some(made);
        tracing::info!("a one-time password lets keys be added over SSH");
        let ssh_port = self.one_time.ssh_port.get().copied().unwrap_or(SSH_PORT);
        Ok(OneTimePassword { password: Secret(text), expires_at, ssh_port })
    }

    /// Whether there is one that is good.
    pub fn has_one_time_password(&self) -> bool {
        self.good_one_time(|_| true).is_some()
    }

    /// When the one ends that is good, if this is its text.
    pub(super) fn one_time_password(&self, shown: &Secret) -> Option<Millis> {
        self.good_one_time(|made| made.matches(&shown.0))
    }

    /// Whether the one is good that a session was begun with. A session may have come into being while its password ended.
    pub(super) fn is_worth(&self, session: &Session) -> bool {
        session.one_time.is_none_or(|ends| self.good_one_time(|made| made.expires_at() == ends).is_some())
    }

    fn good_one_time(&self, is_it: impl FnOnce(&OneTime) -> bool) -> Option<Millis> {
        let made = self.one_time.last.lock().expect("no panic while held");
        made.as_ref().filter(|made| made.is_good(self.now()) && is_it(made)).map(OneTime::expires_at)
    }

    /// It is good no more, nor is a session that it began.
    pub(super) fn end_one_time_password(&self) {
        *self.one_time.last.lock().expect("no panic while held") = None;
        self.end_sessions_with(LoginWith::OneTimePassword, None);
    }
}
