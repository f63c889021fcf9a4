//! Logging in at the sockets of the console and of SSH: who does is a viewer before, and has a session after.

use serde::{Deserialize, Serialize};

use crate::{Millis, Scope};

/// Text that is shown nowhere: `Debug` writes `***`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A socket where people log in. Whoever comes through it may look, and with a session do more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Entrance {
    /// The console on a screen of the appliance.
    Console,
    /// The server of the console over SSH.
    Ssh,
}

impl Entrance {
    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Ssh => "ssh",
        }
    }
}

impl std::fmt::Display for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What somebody logged in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginWith {
    /// The administrator's password or PIN: the session is an admin's.
    Password,
    /// A listed public key: the session is an operator's.
    Key,
    /// A one-time password, over SSH: in the session keys can be added, once, and nothing else.
    OneTimePassword,
}

/// `POST /api/v1/login`: either a password or a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The administrator's password or PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// From the SSH server alone: a public key, kind and base64 as in `authorized_keys`, whose holder has proved that it is
    /// theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// From the SSH server alone: the name that was given there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// From the SSH server alone: the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Somebody has logged in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedIn {
    /// What is shown as `Authorization: Bearer ...` on the same socket. It is in this answer and nowhere else.
    pub token: String,
    /// What the session may do.
    pub scope: Scope,
    /// What it was begun with.
    pub with: LoginWith,
    /// The actor of what is done with it, such as `anna@laptop (ssh)`.
    pub name: String,
    /// When it ends, however much it is used.
    pub expires_at: Millis,
    /// It ends when nothing was done for so long; absent where that is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_after_secs: Option<u64>,
}

impl std::fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { token: _, scope, with, name, expires_at, lock_after_secs } = self;
        f.debug_struct("LoggedIn")
            .field("token", &"***")
            .field("scope", scope)
            .field("with", with)
            .field("name", name)
            .field("expires_at", expires_at)
            .field("lock_after_secs", lock_after_secs)
            .finish()
    }
}

/// `POST /api/v1/login/key`: may this key log in? From the SSH server alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyOffer {
    /// Kind and base64, as in `authorized_keys`.
    pub key: String,
}

/// Whether a key may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyListed {
    /// It is among those that may.
    pub listed: bool,
}

/// How the daemon knows who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// By the socket: root and the group `ironwake` on the operators', viewers on those where people log in.
    Socket,
    /// By a token, over HTTPS.
    Token,
    /// By a session.
    Session,
}

/// `GET /api/v1/whoami`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Whoami {
    /// The actor of what is done; absent for a viewer who has not logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What may be done.
    pub scope: Scope,
    /// How that is known.
    pub how: KnownBy,
    /// Where people log in, if this is such a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrance: Option<Entrance>,
    /// When the session ends unless something is done before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locks_at: Option<Millis>,
    /// When the session ends in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// Whether the administrator's password is set.
    pub password_set: bool,
    /// Whether any public key may log in over SSH.
    pub keys_listed: bool,
    /// Whether a one-time password lets keys be added over SSH.
    #[serde(default)]
    pub one_time_password_set: bool,
}

/// `PUT /api/v1/password`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordNew {
    /// At least 8 characters, or a PIN of at least 6 digits.
    pub password: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_in_debug() {
        let secret = || Secret("hunter2-token".into());
        let request = LoginRequest { password: Some(secret()), ..LoginRequest::default() };
        let made = LoggedIn {
            token: secret().0,
            scope: Scope::Admin,
            with: LoginWith::Password,
            name: "administrator (console)".into(),
            expires_at: 1,
            lock_after_secs: None,
        };
        let shown = format!("{request:?}{made:?}{:?}", PasswordNew { password: secret() });
        assert!(!shown.contains("hunter2") && shown.contains("administrator"), "{shown}");
        assert_eq!(serde_json::to_string(&request).unwrap(), "{\"password\":\"hunter2-token\"}");
    }
}
