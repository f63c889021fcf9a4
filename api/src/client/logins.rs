//! Logging in where people do: from then on the client and its clones show their session.

use std::sync::PoisonError;

use hyper::Method;
use hyper::header::HeaderValue;

use super::{Client, ClientError};
use crate::{KeyListed, KeyOffer, LoggedIn, LoginRequest, PasswordNew, Secret, Whoami};

/// A session as it was shown at some time.
#[derive(Debug, Clone)]
pub struct Shown(Option<HeaderValue>);

impl Client {
    /// A client of the same daemon that is in no session, and logs in for itself.
    pub fn apart(&self) -> Self {
        Self { way: self.way.clone(), session: Default::default() }
    }

    /// Shows a session's token from here on, or none. What cannot be a token is none.
    pub fn set_session(&self, token: Option<&str>) {
        let header = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = header;
    }

    /// Whether it is in a session.
    pub fn in_session(&self) -> bool {
        self.session.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The session as it is shown now, for [`Self::forget`].
    pub fn shown(&self) -> Shown {
        Shown(self.session.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Where a refusal says that the session is over that was shown, it is not shown again; says whether that is so. A
    /// session that somebody has begun meanwhile stays.
    pub fn forget(&self, shown: &Shown, refusal: &ClientError) -> bool {
        let over =
            matches!(refusal, ClientError::Refused(problem) if problem.kind.ends_with(":session_ended"));
        let mut session = self.session.write().unwrap_or_else(PoisonError::into_inner);
        let forgets = over && session.is_some() && *session == shown.0;
        if forgets {
            *session = None;
        }
        forgets
    }

    /// Begins a session, in place of the one that there is.
    pub async fn log_in(&self, request: &LoginRequest) -> Result<LoggedIn, ClientError> {
        let begun: LoggedIn = self.send(Method::POST, "/login", Some(request)).await?;
        self.set_session(Some(&begun.token));
        Ok(begun)
    }

    /// Ends the session. It is not shown again, whether the daemon heard of that or not.
    pub async fn log_out(&self) -> Result<(), ClientError> {
        let ended = self.call(Method::POST, "/logout", None::<&()>).await;
        self.set_session(None);
        ended.map(drop)
    }

    /// Somebody is there: the session's lock waits anew.
    pub async fn renew(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/renew", None::<&()>).await.map(drop)
    }

    /// Who this is to the daemon, and how one could log in.
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        self.get("/whoami").await
    }

    /// Whether the holder of a key may log in; kind and base64, as in `authorized_keys`.
    pub async fn key_is_listed(&self, key: &str) -> Result<bool, ClientError> {
        let offer = KeyOffer { key: key.to_owned() };
        let answer: KeyListed = self.send(Method::POST, "/login/key", Some(&offer)).await?;
        Ok(answer.listed)
    }

    /// Sets the administrator's password.
    pub async fn set_password(&self, password: Secret) -> Result<(), ClientError> {
        self.call(Method::PUT, "/password", Some(&PasswordNew { password })).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_a_session_and_one_apart_has_none() {
        let client = Client::new("/nowhere");
        let (clone, apart) = (client.clone(), client.apart());
        client.set_session(Some("iwt_secret"));
        assert!(clone.in_session() && !apart.in_session());
        assert!(!format!("{client:?}").contains("secret"), "{client:?}");
        clone.set_session(None);
        assert!(!client.in_session());
        client.set_session(Some("a\nb"));
        assert!(!client.in_session());
    }

    #[test]
    fn a_session_that_is_over_is_forgotten_and_a_later_one_is_not() {
        let client = Client::new("/nowhere");
        let refusal = |code| ClientError::Refused(crate::Problem::new(401, "", code, ""));
        client.set_session(Some("one"));
        let shown = client.shown();
        assert!(!client.forget(&shown, &refusal("locked")) && client.in_session());
        client.set_session(Some("two"));
        assert!(!client.forget(&shown, &refusal("session_ended")) && client.in_session());
        assert!(client.forget(&client.shown(), &refusal("session_ended")) && !client.in_session());
        assert!(!client.forget(&client.shown(), &refusal("session_ended")));
    }
}
