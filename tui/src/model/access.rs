//! Who is in front of the console, as far as the daemon knows, and what was asked for that needs a login.

use std::collections::VecDeque;

use ironwake_api::{Entrance, KnownBy, Millis, Scope, Whoami};

use crate::message::Asked;
use crate::request::Request;

/// Requests that change something and are remembered, to be asked again behind a login.
const SENT_MAX: usize = 8;
/// The daemon is told that somebody is there no more often than this; locks wait for a minute at least.
const RENEW_EVERY: Millis = 20_000;

/// Who is there.
#[derive(Debug, Default)]
pub struct Access {
    /// What the daemon said last.
    pub whoami: Option<Whoami>,
    /// When it was last told that somebody is there.
    renewed_at: Millis,
    sent: VecDeque<Request>,
}

impl Access {
    /// Whether one may only look until one logs in.
    pub fn is_locked(&self) -> bool {
        self.whoami.as_ref().is_some_and(|who| who.entrance.is_some() && who.how != KnownBy::Session)
    }

    /// Whether somebody has logged in.
    pub fn is_in_session(&self) -> bool {
        self.whoami.as_ref().is_some_and(|who| who.how == KnownBy::Session)
    }

    /// Whether this is a screen of the appliance, with its keyboard.
    pub fn is_at_console(&self) -> bool {
        self.whoami.as_ref().is_some_and(|who| who.entrance == Some(Entrance::Console))
    }

    /// Whether settings are shown: they may hold what only administrators are to see.
    pub fn shows_settings(&self) -> bool {
        self.whoami.as_ref().is_none_or(|who| who.scope >= Scope::Admin)
    }

    /// Whether a first password can be set here.
    pub fn sets_first(&self) -> bool {
        self.whoami.as_ref().is_some_and(|who| !who.password_set && who.entrance == Some(Entrance::Console))
    }

    /// Whether there is a password to log in with.
    pub fn has_password(&self) -> bool {
        self.whoami.as_ref().is_some_and(|who| who.password_set)
    }

    /// The session is over.
    pub fn lock(&mut self) {
        if let Some(who) = self.whoami.as_mut().filter(|who| who.how == KnownBy::Session) {
            (who.name, who.scope, who.how) = (None, Scope::Viewer, KnownBy::Socket);
            (who.locks_at, who.expires_at) = (None, None);
        }
    }

    /// Somebody pressed a key: whether the daemon is to be told.
    pub fn wants_renewal(&mut self, now: Millis) -> bool {
        let wants = self.is_in_session() && now.abs_diff(self.renewed_at) >= RENEW_EVERY;
        if wants {
            self.renewed_at = now;
        }
        wants
    }

    /// Remembers what changes something.
    pub fn remember(&mut self, requests: &[Request]) {
        for request in requests.iter().filter(|request| request.changes()) {
            self.sent.push_back(request.clone());
        }
        while self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
    }

    /// What was asked for, to be asked again; the latest of several.
    pub fn recall(&mut self, asked: &Asked) -> Option<Request> {
        let place = self.sent.iter().rposition(|request| request.asked() == *asked)?;
        self.sent.remove(place)
    }
}
