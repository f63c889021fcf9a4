//! Tokens of the operators' API: who shows one, what it is good for, and how long it lasts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use ironwake_api::{Actor, Authority, EventKind, FieldProblem, Millis, Scope, Token, TokenMade, TokenNew};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Site, SiteError};
use crate::access::{FAILURES_FREE, Kept, Network, Throttle, check_token_name, digest_of, spell};
use crate::appliance::Jump;
use crate::store::Change;

/// Tokens at once: one for each person and program of a large site.
const TOKENS_MAX: usize = 1000;
/// A token ends after a minute at least, and after ten years at most; one that never ends says so.
const EXPIRES_SECS: RangeInclusive<u64> = 60..=10 * 366 * 86_400;

/// Every token, by its digest.
pub(super) struct Tokens {
    by_digest: RwLock<HashMap<[u8; 32], Held>>,
    throttle: Mutex<Throttle<Network>>,
    authority: RwLock<Option<Authority>>,
}

struct Held {
    token: Token,
    revoked: CancellationToken,
}

/// Somebody whose token is good.
#[derive(Debug)]
pub struct Admitted {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// How long it stays good.
    pub standing: Standing,
}

/// How long a token or a session stays good.
#[derive(Debug, Clone)]
pub struct Standing {
    revoked: CancellationToken,
    until: Option<Instant>,
}

impl Standing {
    /// That of a session, which the clock ends too.
    pub(super) fn of_session(ended: CancellationToken) -> Self {
        Self { revoked: ended, until: None }
    }

    /// Returns once the token is good no more.
    pub async fn ended(&self) {
        match self.until {
            Some(until) => {
                // Either way it is over.
                let _ = tokio::time::timeout_at(until, self.revoked.cancelled()).await;
            }
            None => self.revoked.cancelled().await,
        }
    }

    /// Refuses what a token asked for that is good no more; who is known by the socket has none. Asked with the gate held,
    /// nothing is changed by a token behind its end.
    pub fn check(standing: Option<&Self>) -> Result<(), SiteError> {
        let over = |standing: &Self| {
            standing.revoked.is_cancelled() || standing.until.is_some_and(|until| until <= Instant::now())
        };
        match standing {
            Some(standing) if over(standing) => Err(SiteError::TokenEnded),
            _ => Ok(()),
        }
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It shows no token.
    #[error(
        "a token is needed: send the header `Authorization: Bearer TOKEN`; `ironwake token add` makes one"
    )]
    Missing,
    /// It shows one that is none of ours.
    #[error("the token is not known: it was revoked, or is another appliance's")]
    Wrong,
    /// It shows one that has ended.
    #[error("the token {name} has ended: make another one with `ironwake token add`")]
    Expired {
        /// Its name.
        name: String,
    },
    /// Its address has shown too many wrong ones.
    #[error("too many wrong tokens came from this address: try again in {secs} s")]
    Slowed {
        /// How long it has to wait.
        secs: u64,
    },
}

impl Tokens {
    pub fn new(kept: Vec<Kept>) -> Self {
        let held = kept.into_iter().map(|kept| (kept.digest, Held::new(kept.token)));
        Self {
            by_digest: RwLock::new(held.collect()),
            throttle: Mutex::new(Throttle::new(FAILURES_FREE)),
            authority: RwLock::default(),
        }
    }
}

impl Tokens {
    /// Those that were made since the start of the system last as long as they were made for; the others end on their day.
    pub fn clock_jumped(&self, jump: &Jump) {
        let mut held = self.by_digest.write().expect("no panic while held");
        for Held { token, .. } in
            held.values_mut().filter(|held| jump.given_since_boot(held.token.created_at))
        {
            token.created_at = jump.moved(token.created_at);
            token.expires_at = token.expires_at.map(|at| jump.moved(at));
        }
    }
}

impl Held {
    fn new(token: Token) -> Self {
        Self { token, revoked: CancellationToken::new() }
    }
}

impl Site {
    /// Who shows this token from this address.
    pub fn admit(&self, from: IpAddr, shown: Option<&str>) -> Result<Admitted, Denied> {
        let now = self.now();
        let wait = self.tokens.throttle.lock().expect("no panic while held").wait(from.into(), now);
        if let Some(wait) = wait {
            return Err(Denied::Slowed { secs: wait.div_ceil(1000) });
        }
        // Asking without a token is no attempt: a browser's first request is like that.
        let shown = shown.ok_or(Denied::Missing)?;
        let admitted = digest_of(shown).ok_or(Denied::Wrong).and_then(|digest| self.look_up(&digest, now));
        if let Err(denied) = &admitted {
            self.note_failure(from, now, denied);
        }
        admitted
    }

    // The table is looked up by a digest, of which whoever guesses chooses no bit: its timing tells nothing.
    fn look_up(&self, digest: &[u8; 32], now: Millis) -> Result<Admitted, Denied> {
        let held = self.tokens.by_digest.read().expect("no panic while held");
        let Held { token, revoked } = held.get(digest).ok_or(Denied::Wrong)?;
        let left = token.expires_at.map(|at| at.saturating_sub(now));
        if left == Some(0) {
            return Err(Denied::Expired { name: token.name.clone() });
        }
        let until = left.map(|left| Instant::now() + Duration::from_millis(left));
        let standing = Standing { revoked: revoked.clone(), until };
        Ok(Admitted { name: token.name.clone(), scope: token.scope, standing })
    }

    fn note_failure(&self, from: IpAddr, now: Millis, denied: &Denied) {
        let failures = self.tokens.throttle.lock().expect("no panic while held").failed(from.into(), now);
        tracing::warn!(%from, failures, reason = %denied, "an attempt on the API failed");
        // One event for each time that somebody begins to be slowed down; the log has every attempt.
        if failures == FAILURES_FREE + 1 {
            let kind = EventKind::AccessSlowed { from: from.to_string(), failures };
            self.save_behind(vec![self.event(Actor::Daemon, None, kind)]);
        }
    }

    /// Every token by name.
    pub fn tokens(&self) -> Vec<Token> {
        let held = self.tokens.by_digest.read().expect("no panic while held");
        let mut tokens: Vec<Token> = held.values().map(|held| held.token.clone()).collect();
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        tokens
    }

    /// Makes a token.
    pub async fn make_token(&self, new: TokenNew, actor: Actor) -> Result<TokenMade, SiteError> {
        let mut wrong = Vec::new();
        if let Err(message) = check_token_name(&new.name) {
            wrong.push(FieldProblem { field: "name".into(), message });
        }
        if let Some(secs) = new.expires_secs.filter(|secs| !EXPIRES_SECS.contains(secs)) {
            let message =
                format!("{secs} is not between {} and {}", EXPIRES_SECS.start(), EXPIRES_SECS.end());
            wrong.push(FieldProblem { field: "expires_secs".into(), message });
        }
        if !wrong.is_empty() {
            return Err(SiteError::Invalid(wrong));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| SiteError::NoRandomness(error.to_string()))?;
        let secret = spell(random);
        // What was spelled is a token.
        let Some(digest) = digest_of(&secret) else { return Err(SiteError::NoRandomness("no token".into())) };
        let _gate = self.gate.lock().await;
        let before = self.tokens();
        if before.iter().any(|token| token.name == new.name) {
            let message =
                format!("there is a token {:?} already: revoke it first, or choose another name", new.name);
            return Err(SiteError::Conflict(message));
        }
        if before.len() >= TOKENS_MAX {
            return Err(SiteError::Full { what: "tokens", limit: TOKENS_MAX });
        }
        let token = Token {
            name: new.name,
            scope: new.scope,
            created_at: self.now(),
            created_by: actor.clone(),
            expires_at: new.expires_secs.map(|secs| self.now() + secs * 1000),
        };
        let kind = EventKind::TokenMade {
            name: token.name.clone(),
            scope: token.scope,
            expires_at: token.expires_at,
        };
        let change = Change::Token(Box::new(Kept { token: token.clone(), digest }));
        self.store.save(vec![change, self.event(actor, None, kind)]).await?;
        let mut held = self.tokens.by_digest.write().expect("no panic while held");
        held.insert(digest, Held::new(token.clone()));
        Ok(TokenMade { secret, token })
    }

    /// Ends a token.
    pub async fn revoke_token(&self, name: &str, actor: Actor) -> Result<(), SiteError> {
        let _gate = self.gate.lock().await;
        if !self.tokens().iter().any(|token| token.name == name) {
            return Err(SiteError::NoSuchToken(name.to_owned()));
        }
        let event = self.event(actor, None, EventKind::TokenRevoked { name: name.to_owned() });
        self.store.save(vec![Change::TokenDeleted(name.to_owned()), event]).await?;
        let mut held = self.tokens.by_digest.write().expect("no panic while held");
        for revoked in held.values().filter(|held| held.token.name == name) {
            revoked.revoked.cancel();
        }
        held.retain(|_, held| held.token.name != name);
        Ok(())
    }

    /// The daemon has this authority.
    pub fn set_authority(&self, authority: Authority) {
        *self.tokens.authority.write().expect("no panic while held") = Some(authority);
    }

    /// The appliance's own authority.
    pub fn authority(&self) -> Option<Authority> {
        self.tokens.authority.read().expect("no panic while held").clone()
    }
}
