//! Who may use the operators' API over HTTPS: tokens, and the authority that its certificate is checked by.

use serde::{Deserialize, Serialize};

use crate::{Actor, Millis};

/// What a caller may do; each may all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read.
    Viewer,
    /// Change machines, operations and artifacts.
    Operator,
    /// Change tokens, settings and the appliance itself.
    Admin,
}

impl Scope {
    /// As it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A token, without what is shown to the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    /// Its name: the actor of what is done with it.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Millis,
    /// Who made it.
    pub created_by: Actor,
    /// When it ends; never, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
}

/// `POST /api/v1/tokens`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenNew {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// Ends after so many seconds; never, where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_secs: Option<u64>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenMade {
    /// What is shown to the API as `Authorization: Bearer ...`. It is in this answer and nowhere else.
    pub secret: String,
    /// Everything else of it.
    #[serde(flatten)]
    pub token: Token,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMade").field("secret", &"***").field("token", &self.token).finish()
    }
}

/// `GET /api/v1/authority`: the appliance's own certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Authority {
    /// Its certificate, in PEM: what clients check the API's certificate by.
    pub certificate: String,
    /// SHA-256 of the certificate, bytes in hexadecimal with colons between.
    pub fingerprint: String,
    /// Until when it is good.
    pub expires_at: Millis,
}
