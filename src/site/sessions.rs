//! People who log in: sessions, what begins one, and what ends it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Mutex;

use ironwake_api::{
    Entrance, EventKind, FieldProblem, LoggedIn, LoginRequest, LoginWith, Millis, Scope, Secret, Whoami,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::tokens::Standing;
use super::{Site, SiteError};
use crate::access::{
    FAILURES_FREE, Network, PublicKey, Session, SessionEnd, SessionId, Sessions, Throttle, digest_of, spell,
};
use crate::appliance::Jump;

/// Logins that wait for their turn, each with its request in memory. Behind them everybody else asks again.
const LOGINS_MAX: usize = 16;
/// Passwords that are hashed at once: one takes 19 MiB and a core, and DHCP has another.
const HASHES_MAX: usize = 1;
/// Wrong passwords over SSH from everywhere together that are answered at once. Whoever has many addresses is slowed down
/// behind them, and with them everybody who logs in so; keys and the console are not.
const SSH_FAILURES_FREE: u32 = 50;
/// What of a name is taken: it is shown with everything that is done.
const NAME_CHARS_MAX: usize = 64;
/// Who gives no name.
const NAMELESS: &str = "administrator";

/// Whom wrong passwords are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    /// Whoever stands in front of the appliance.
    Console,
    /// One client of the SSH server; of one that does not say from where, any.
    Ssh(Option<Network>),
}

/// Everybody who has logged in, and who could not.
pub(super) struct Logged {
    sessions: Mutex<Sessions<CancellationToken>>,
    throttle: Mutex<Throttle<Caller>>,
    /// Of all clients of the SSH server.
    ssh: Mutex<Throttle<()>>,
    waiting: Semaphore,
    hashing: Semaphore,
}

impl Default for Logged {
    fn default() -> Self {
        Self {
            sessions: Mutex::default(),
            throttle: Mutex::new(Throttle::new(FAILURES_FREE)),
            ssh: Mutex::new(Throttle::new(SSH_FAILURES_FREE)),
            waiting: Semaphore::new(LOGINS_MAX),
            hashing: Semaphore::new(HASHES_MAX),
        }
    }
}

impl Logged {
    /// The turn to hash a password.
    pub async fn hashing(&self) -> Result<SemaphorePermit<'_>, SiteError> {
        Ok(self.hashing.acquire().await.map_err(|_| crate::store::StoreError::Closed)?)
    }

    /// Sessions last as long as they would have; those that a one-time password began end with it.
    pub fn clock_jumped(&self, jump: &Jump) {
        self.sessions.lock().expect("no panic while held").clock_jumped(|at| jump.moved(at));
    }

    /// The keys that sessions were begun with, each once.
    pub fn keys(&self) -> HashSet<PublicKey> {
        self.sessions.lock().expect("no panic while held").keys()
    }

    /// Ends the sessions that `ends` says, and what was asked for in them.
    fn end_where(&self, ends: impl Fn(&SessionId, &Session) -> bool) {
        let mut sessions = self.sessions.lock().expect("no panic while held");
        for (_, ended, ()) in sessions.end_where(|id, session| ends(id, session).then_some(())) {
            ended.cancel();
        }
    }
}

/// A session that a request was let in by.
#[derive(Debug, Clone)]
pub struct InSession {
    /// Which.
    pub id: SessionId,
    /// Who.
    pub session: Session,
    /// How long it stays good.
    pub standing: Standing,
}

impl Site {
    /// Begins a session, in place of the one that is shown. What is asked for is checked as it stands in the site's settings at
    /// this moment. To be carried through even when the client goes away, or failures would not be counted.
    pub async fn log_in(
        &self,
        entrance: Entrance,
        request: LoginRequest,
        before: Option<InSession>,
    ) -> Result<LoggedIn, SiteError> {
        let LoginRequest { password, key, user, from } = request;
        if entrance != Entrance::Ssh && (key.is_some() || user.is_some() || from.is_some()) {
            return Err(SiteError::invalid("key", "keys, names and addresses are the SSH server's to tell"));
        }
        let from = from.map(|text| text.parse::<IpAddr>().map_err(|_| text)).transpose();
        let from = from.map_err(|text| SiteError::invalid("from", format!("{text:?} is not an address")))?;
        let addressed = from.is_some();
        let earlier = before.as_ref().map(|before| &before.session);
        let from = from.or(earlier.and_then(|earlier| earlier.from));
        let user = user.or(earlier.map(|earlier| base(&earlier.name).to_owned())).unwrap_or_default();
        // Not to whoever has a session, nor to a console that asks for the password, which gives no address: they would
        // have less by it than before.
        let one_time = entrance == Entrance::Ssh && before.is_none() && addressed;
        let (who, key, one_time) = match (password, key) {
            (Some(password), None) => {
                (user, None, self.check_login(entrance, password, from, one_time).await?)
            }
            (None, Some(key)) => {
                let (who, key) = self.check_key(&key, user).await?;
                (who, Some(key), None)
            }
            _ => {
                let message = "either a password or a key is what one logs in with";
                return Err(SiteError::Invalid(vec![FieldProblem {
                    field: "password".into(),
                    message: message.into(),
                }]));
            }
        };
        let now = self.now();
        let (with, scope) = match (&key, one_time) {
            (Some(_), _) => (LoginWith::Key, Scope::Operator),
            // Even what a viewer may is not for it (`http::guard`).
            (None, Some(_)) => (LoginWith::OneTimePassword, Scope::Viewer),
            (None, None) => (LoginWith::Password, Scope::Admin),
        };
        let session = Session {
            name: name(entrance, with, &who),
            scope,
            entrance,
            with,
            key,
            one_time,
            from,
            began_at: now,
            used_at: now,
        };
        self.begin_session(session, before.map(|before| before.id)).await
    }

    async fn begin_session(
        &self,
        session: Session,
        before: Option<SessionId>,
    ) -> Result<LoggedIn, SiteError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| SiteError::NoRandomness(error.to_string()))?;
        let token = spell(random);
        // What was spelled is a token.
        let Some(id) = digest_of(&token) else { return Err(SiteError::NoRandomness("no token".into())) };
        let kind = EventKind::LoggedIn {
            name: session.name.clone(),
            entrance: session.entrance,
            with: session.with,
            scope: session.scope,
            from: session.from.map(|from| from.to_string()),
        };
        let actor = ironwake_api::Actor::Operator(session.name.clone());
        self.store.save(vec![self.event(actor, None, kind)]).await?;
        tracing::info!(name = session.name, scope = %session.scope, entrance = %session.entrance, "logged in");
        let answer = LoggedIn {
            token,
            scope: session.scope,
            with: session.with,
            name: session.name.clone(),
            expires_at: session.expires_at(),
            lock_after_secs: self.live().lock_after.map(|limit| limit / 1000),
        };
        let mut sessions = self.logged.sessions.lock().expect("no panic while held");
        if let Some((_, ended)) = before.and_then(|before| sessions.end(&before)) {
            ended.cancel();
        }
        if let Some((gone, ended)) = sessions.begin(id, session, CancellationToken::new()) {
            tracing::warn!(name = gone.name, "a session that was left alone has ended: there are too many");
            ended.cancel();
        }
        Ok(answer)
    }

    /// Compares the password, one at a time and not too often. The one-time password is compared where `one_time` says so; if it
    /// was that one, says when it ends.
    async fn check_login(
        &self,
        entrance: Entrance,
        password: Secret,
        from: Option<IpAddr>,
        one_time: bool,
    ) -> Result<Option<Millis>, SiteError> {
        let full = |_| SiteError::Full { what: "logins under way", limit: LOGINS_MAX };
        let _waiting = self.logged.waiting.try_acquire().map_err(full)?;
        // Before the waits are looked at, so that those who come at once are no faster than one after the other.
        let _hashing = self.logged.hashing().await?;
        let caller = match entrance {
            Entrance::Console => Caller::Console,
            Entrance::Ssh => Caller::Ssh(from.map(Network::from)),
        };
        if let Some(wait) = self.login_wait(caller) {
            return Err(SiteError::LoginSlowed { secs: wait.div_ceil(1000) });
        }
        // Guesses at the administrator's password are not forgotten for it.
        if let Some(ends) = self.one_time_password(&password).filter(|_| one_time) {
            return Ok(Some(ends));
        }
        let good = match self.password() {
            Some(hash) => {
                let hashed = tokio::task::spawn_blocking(move || hash.matches(&password.0)).await;
                hashed.map_err(|_| crate::store::StoreError::Closed)?.map_err(SiteError::Password)?
            }
            // Guesses at the other one are counted too.
            None if one_time && self.has_one_time_password() => false,
            None => return Err(SiteError::NoPassword),
        };
        if good {
            self.logged.throttle.lock().expect("no panic while held").succeeded(caller);
            return Ok(None);
        }
        self.note_login_failure(entrance, caller, from);
        Err(SiteError::LoginRefused("that is not the password"))
    }

    fn login_wait(&self, caller: Caller) -> Option<Millis> {
        let now = self.now();
        let own = self.logged.throttle.lock().expect("no panic while held").wait(caller, now);
        let all = match caller {
            Caller::Console => None,
            Caller::Ssh(_) => self.logged.ssh.lock().expect("no panic while held").wait((), now),
        };
        own.max(all)
    }

    fn note_login_failure(&self, entrance: Entrance, caller: Caller, from: Option<IpAddr>) {
        let now = self.now();
        let failures = self.logged.throttle.lock().expect("no panic while held").failed(caller, now);
        let from = from.map(|from| from.to_string());
        tracing::warn!(%entrance, from = from.as_deref().unwrap_or("-"), failures, "a login failed: wrong password");
        let refused = |from, failures| {
            let kind = EventKind::LoginRefused { entrance, from, failures };
            self.save_behind(vec![self.event(ironwake_api::Actor::Daemon, None, kind)]);
        };
        // One event for each time that somebody begins to be slowed down; the log has every attempt.
        if failures == FAILURES_FREE + 1 {
            refused(from, failures);
        }
        if let Caller::Ssh(_) = caller {
            let all = self.logged.ssh.lock().expect("no panic while held").failed((), now);
            if all == SSH_FAILURES_FREE + 1 {
                refused(None, all);
            }
        }
    }

    /// The key, and whose it is: the comment of its line, or who they say they are.
    async fn check_key(&self, key: &str, user: String) -> Result<(String, PublicKey), SiteError> {
        let key = PublicKey::parse(key).map_err(|why| SiteError::invalid("key", why))?;
        match self.ssh_keys.listed(&key).await? {
            Some(comment) if comment.is_empty() => Ok((user, key)),
            Some(comment) => Ok((comment, key)),
            None => Err(SiteError::LoginRefused("the key is not among those that may log in")),
        }
    }

    /// The session of a token that is shown at a socket.
    pub fn in_session(&self, entrance: Entrance, shown: &str) -> Result<InSession, SiteError> {
        let id = digest_of(shown).ok_or(SiteError::SessionEnded)?;
        let (now, lock_after) = (self.now(), self.live().lock_after);
        // Looked up by a digest, of which whoever guesses chooses no bit: its timing tells nothing.
        let sessions = self.logged.sessions.lock().expect("no panic while held");
        let (session, ended) =
            sessions.find(&id, entrance, now, lock_after).ok_or(SiteError::SessionEnded)?;
        if !self.is_worth(session) {
            return Err(SiteError::SessionEnded);
        }
        Ok(InSession { id, session: session.clone(), standing: Standing::of_session(ended.clone()) })
    }

    /// Somebody is there: the session's lock waits anew.
    pub fn renew_session(&self, id: &SessionId) {
        self.logged.sessions.lock().expect("no panic while held").renew(id, self.now());
    }

    /// Ends a session, and what was asked for in it.
    pub fn log_out(&self, id: &SessionId) {
        let ended = self.logged.sessions.lock().expect("no panic while held").end(id);
        if let Some((session, ended)) = ended {
            tracing::info!(name = session.name, "logged out");
            ended.cancel();
        }
    }

    /// Ends those sessions whose time is over, and what was asked for in them.
    pub fn end_sessions(&self) {
        let (now, lock_after) = (self.now(), self.live().lock_after);
        let mut sessions = self.logged.sessions.lock().expect("no panic while held");
        let end = |_: &SessionId, session: &Session| match self.is_worth(session) {
            true => session.end(now, lock_after),
            false => Some(SessionEnd::Over),
        };
        for (session, ended, why) in sessions.end_where(end) {
            let why = match why {
                SessionEnd::Locked => "nothing was done in it",
                SessionEnd::Over => "it has lasted for as long as any may",
            };
            tracing::info!(name = session.name, "a session has ended: {why}");
            ended.cancel();
        }
    }

    /// Ends every session that was begun so, but this one.
    pub(super) fn end_sessions_with(&self, with: LoginWith, but: Option<&SessionId>) {
        self.logged.end_where(|id, session| session.with == with && Some(id) != but);
    }

    /// Ends every session of a key.
    pub(super) fn end_key_sessions(&self, key: &PublicKey) {
        self.logged.end_where(|_, session| session.key.as_ref() == Some(key));
    }

    /// When a session ends if nothing is done.
    pub fn locks_at(&self, session: &Session) -> Option<Millis> {
        session.locks_at(self.live().lock_after)
    }

    /// Fills in what whoever asks may log in with.
    pub async fn with_logins(&self, whoami: Whoami) -> Whoami {
        Whoami {
            password_set: self.password().is_some(),
            keys_listed: self.ssh_keys.any().await.unwrap_or_default(),
            one_time_password_set: self.has_one_time_password(),
            ..whoami
        }
    }
}

/// The actor of a session: who it is, and how that is known.
fn name(entrance: Entrance, with: LoginWith, who: &str) -> String {
    let who: String =
        who.trim().chars().filter(|c| !ironwake_api::human::steers(*c)).take(NAME_CHARS_MAX).collect();
    let who = if who.is_empty() { NAMELESS } else { &who };
    match (entrance, with) {
        // With a password anybody may say any name.
        (Entrance::Ssh, LoginWith::Password) => format!("{who} (ssh, password)"),
        (Entrance::Ssh, LoginWith::OneTimePassword) => format!("{who} (ssh, one-time password)"),
        (entrance, _) => format!("{who} ({entrance})"),
    }
}

/// The name without how it is known.
fn base(name: &str) -> &str {
    name.rsplit_once(" (").map_or(name, |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_after_who_and_how() {
        let check = |entrance, with, who: &str, expected: &str| {
            let found = name(entrance, with, who);
            assert_eq!(found, expected);
        };
        check(Entrance::Ssh, LoginWith::Key, "anna@laptop", "anna@laptop (ssh)");
        check(Entrance::Ssh, LoginWith::Password, "anna", "anna (ssh, password)");
        check(Entrance::Ssh, LoginWith::Password, " \u{1b}[31m\n", "[31m (ssh, password)");
        check(Entrance::Console, LoginWith::Password, "", "administrator (console)");
        check(Entrance::Ssh, LoginWith::Key, &"x".repeat(200), &format!("{} (ssh)", "x".repeat(64)));
        assert_eq!(base("anna (at home) (ssh)"), "anna (at home)");
        assert_eq!(base(&name(Entrance::Ssh, LoginWith::Key, "")), "administrator");
    }
}
