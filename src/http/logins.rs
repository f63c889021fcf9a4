//! Logging in and out at the sockets of the console and of SSH, the administrator's password, and who asks.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ironwake_api::{
    Actor, Entrance, KeyListed, KeyOffer, KnownBy, LoggedIn, LoginRequest, PasswordNew, Scope, Whoami,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Json;
use super::machines::to_its_end;
use super::peer::Peer;
use super::problem::{BadRequest, Conflict, Invalid, Refusal};
use super::scopes;
use crate::site::{SettingPassword, SharedSite, SiteError};

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(key))
        .routes(routes!(log_out))
        .routes(routes!(renew))
        .routes(routes!(whoami))
        .routes(routes!(set_password))
}

/// Begins a session at the socket of the console or of SSH, in place of the one that is shown. A session by password is an
/// admin's, one by key an operator's. It ends by itself when nothing is done, and after a day.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", operation_id = "login", request_body = LoginRequest,
    responses((status = 200, body = LoggedIn), BadRequest, Conflict, Invalid))]
async fn log_in(
    State(site): State<SharedSite>,
    Extension(peer): Extension<Peer>,
    Json(request): Json<LoginRequest>,
) -> Result<axum::Json<LoggedIn>, Response> {
    let (entrance, before) = match peer {
        Peer::Viewer(entrance) => (entrance, None),
        Peer::Session(held) => (held.session.entrance, Some(*held)),
        _ => return Err(elsewhere().into_response()),
    };
    // Also where the client goes away: a failure counts.
    let asked = async move { Ok(site.log_in(entrance, request, before).await) };
    match to_its_end(asked).await.map_err(IntoResponse::into_response)? {
        Ok(begun) => Ok(axum::Json(begun)),
        Err(error) => Err(refused(error)),
    }
}

/// A refusal that says when to try again.
fn refused(error: SiteError) -> Response {
    let secs = match &error {
        SiteError::LoginSlowed { secs } => Some(*secs),
        _ => None,
    };
    let mut response = Refusal::from(error).into_response();
    if let Some(secs) = secs {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

/// Whether the holder of a key may log in, for the SSH server.
#[utoipa::path(post, path = "/api/v1/login/key", tag = "access", operation_id = "login_key",
    request_body = KeyOffer, responses((status = 200, body = KeyListed), BadRequest, Conflict, Invalid))]
async fn key(
    State(site): State<SharedSite>,
    Extension(peer): Extension<Peer>,
    Json(offer): Json<KeyOffer>,
) -> Result<axum::Json<KeyListed>, Refusal> {
    if entrance(&peer) != Some(Entrance::Ssh) {
        return Err(elsewhere());
    }
    let listed = site.listed(&offer.key).await?.is_some();
    Ok(axum::Json(KeyListed { listed }))
}

/// Ends the session that is shown, and what was asked for in it.
#[utoipa::path(post, path = "/api/v1/logout", tag = "access", operation_id = "logout",
    responses((status = 204, description = "Ended"), Conflict))]
async fn log_out(
    State(site): State<SharedSite>,
    Extension(peer): Extension<Peer>,
) -> Result<StatusCode, Refusal> {
    let Peer::Session(held) = peer else { return Err(elsewhere()) };
    site.log_out(&held.id);
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody is there: the lock of the session that is shown waits anew. What changes something does the same.
#[utoipa::path(post, path = "/api/v1/renew", tag = "access", operation_id = "renew",
    responses((status = 204, description = "Renewed"), Conflict))]
async fn renew(
    State(site): State<SharedSite>,
    Extension(peer): Extension<Peer>,
) -> Result<StatusCode, Refusal> {
    let Peer::Session(held) = peer else { return Err(elsewhere()) };
    site.renew_session(&held.id);
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks, what they may do, and how they could log in.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "access", operation_id = "whoami",
    responses((status = 200, body = Whoami)))]
async fn whoami(State(site): State<SharedSite>, Extension(peer): Extension<Peer>) -> axum::Json<Whoami> {
    let known = |name: Option<String>, scope, how| Whoami {
        name,
        scope,
        how,
        entrance: entrance(&peer),
        locks_at: None,
        expires_at: None,
        password_set: false,
        keys_listed: false,
        one_time_password_set: false,
    };
    let whoami = match &peer {
        Peer::Operator(name) => known(Some(name.clone()), Scope::Admin, KnownBy::Socket),
        Peer::Token(name, scope) => known(Some(name.clone()), *scope, KnownBy::Token),
        Peer::Session(held) => Whoami {
            locks_at: site.locks_at(&held.session),
            expires_at: Some(held.session.expires_at()),
            ..known(Some(held.session.name.clone()), held.session.scope, KnownBy::Session)
        },
        // The others are not let in; they may look at nothing.
        Peer::Viewer(_) | Peer::Remote(_) | Peer::Refused(_) => known(None, Scope::Viewer, KnownBy::Socket),
    };
    axum::Json(site.with_logins(whoami).await)
}

/// Sets the administrator's password or PIN. Sessions that the one before began end, but for the one that is shown. While
/// there is none, whoever stands in front of the appliance may set it without a login.
#[utoipa::path(put, path = "/api/v1/password", tag = "access", operation_id = "password_set",
    request_body = PasswordNew,
    responses((status = 204, description = "Set"), BadRequest, Conflict, Invalid))]
async fn set_password(
    State(site): State<SharedSite>,
    Extension(peer): Extension<Peer>,
    Json(new): Json<PasswordNew>,
) -> Result<StatusCode, Refusal> {
    let (setting, actor) = match peer {
        Peer::Operator(name) => (SettingPassword::Anew(None), Actor::Operator(name)),
        Peer::Token(name, _) => (SettingPassword::Anew(None), Actor::Token(name)),
        Peer::Session(held) => (SettingPassword::Anew(Some(held.id)), Actor::Operator(held.session.name)),
        Peer::Viewer(Entrance::Console) => (SettingPassword::First, Actor::Operator("console".into())),
        Peer::Viewer(_) | Peer::Remote(_) | Peer::Refused(_) => {
            return Err(scopes::locked(&Peer::Viewer(Entrance::Ssh), scopes::PASSWORD, Scope::Admin));
        }
    };
    to_its_end(async move { site.set_password(new.password, setting, actor).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where whoever asks could log in.
fn entrance(peer: &Peer) -> Option<Entrance> {
    match peer {
        Peer::Viewer(entrance) => Some(*entrance),
        Peer::Session(held) => Some(held.session.entrance),
        Peer::Operator(_) | Peer::Token(..) | Peer::Remote(_) | Peer::Refused(_) => None,
    }
}

fn elsewhere() -> Refusal {
    let detail = "logins and sessions are for the sockets of the console and of SSH: here the kernel or a token says who asks";
    Refusal::new(StatusCode::CONFLICT, "login_elsewhere", detail)
}
