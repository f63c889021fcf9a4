//! Which scope each route demands of a token or a session.

use axum::http::{Method, StatusCode};
use ironwake_api::{Entrance, LoginWith, Scope};

use super::peer::Peer;
use super::problem::Refusal;

/// Where the administrator's password is set.
pub(super) const PASSWORD: (&Method, &str) = (&Method::PUT, "/api/v1/password");
/// Where one logs in: with an earlier session that has ended, too.
pub(super) const LOGIN: (&Method, &str) = (&Method::POST, "/api/v1/login");

/// What may be asked for in a session that a one-time password began, and nothing else, whatever its scope: adding keys, and
/// what is about the session alone.
const ONE_TIME: &[(Method, &str)] = &[
    (Method::POST, "/api/v1/ssh-keys"),
    (Method::GET, "/api/v1/whoami"),
    (Method::POST, "/api/v1/renew"),
    (Method::POST, "/api/v1/logout"),
];

/// Every route of the API. One that is not here demands the most, and fails a test.
const ROUTES: &[(Method, &str, Scope)] = &[
    (Method::GET, "/api/v1/machines", Scope::Viewer),
    (Method::POST, "/api/v1/machines", Scope::Operator),
    (Method::GET, "/api/v1/machines/{key}", Scope::Viewer),
    (Method::PATCH, "/api/v1/machines/{key}", Scope::Operator),
    (Method::DELETE, "/api/v1/machines/{key}", Scope::Operator),
    (Method::POST, "/api/v1/machines/{key}/enroll", Scope::Operator),
    (Method::POST, "/api/v1/machines/{key}/orders", Scope::Operator),
    (Method::POST, "/api/v1/machines/{key}/operations", Scope::Operator),
    // It changes nothing, and shows no secret.
    (Method::POST, "/api/v1/machines/{key}/operations/dry-run", Scope::Viewer),
    (Method::GET, "/api/v1/machines/{key}/inventories", Scope::Viewer),
    (Method::GET, "/api/v1/machines/{key}/inventories/diff", Scope::Viewer),
    (Method::GET, "/api/v1/machines/{key}/attempts", Scope::Viewer),
    (Method::GET, "/api/v1/machines/{key}/values", Scope::Viewer),
    (Method::GET, "/api/v1/machines/{key}/profiles", Scope::Viewer),
    (Method::PATCH, "/api/v1/machines/{key}/values", Scope::Operator),
    (Method::POST, "/api/v1/bulk", Scope::Operator),
    (Method::POST, "/api/v1/batches", Scope::Operator),
    (Method::GET, "/api/v1/attempts/{id}", Scope::Viewer),
    (Method::GET, "/api/v1/operations", Scope::Viewer),
    (Method::GET, "/api/v1/operations/{id}", Scope::Viewer),
    (Method::POST, "/api/v1/operations/{id}/arm", Scope::Operator),
    (Method::POST, "/api/v1/operations/{id}/disarm", Scope::Operator),
    (Method::POST, "/api/v1/operations/{id}/cancel", Scope::Operator),
    (Method::POST, "/api/v1/operations/{id}/retry", Scope::Operator),
    (Method::GET, "/api/v1/profiles", Scope::Viewer),
    (Method::GET, "/api/v1/profiles/{name}", Scope::Viewer),
    // It changes nothing, and shows no secret.
    (Method::POST, "/api/v1/profiles/{name}/render", Scope::Viewer),
    (Method::GET, "/api/v1/artifacts", Scope::Viewer),
    (Method::GET, "/api/v1/artifacts/{name}", Scope::Viewer),
    (Method::GET, "/api/v1/cache", Scope::Viewer),
    (Method::PUT, "/api/v1/artifacts/{name}", Scope::Operator),
    (Method::PUT, "/api/v1/artifacts/{name}/download", Scope::Operator),
    (Method::PATCH, "/api/v1/artifacts/{name}", Scope::Operator),
    (Method::DELETE, "/api/v1/artifacts/{name}", Scope::Operator),
    (Method::GET, "/api/v1/webhooks", Scope::Viewer),
    (Method::GET, "/api/v1/webhooks/{name}/deliveries", Scope::Viewer),
    (Method::POST, "/api/v1/webhooks/{name}/test", Scope::Operator),
    (Method::GET, "/api/v1/builds", Scope::Viewer),
    (Method::POST, "/api/v1/builds", Scope::Operator),
    (Method::GET, "/api/v1/builds/{name}", Scope::Viewer),
    (Method::POST, "/api/v1/builds/next", Scope::Operator),
    (Method::POST, "/api/v1/builds/{name}/report", Scope::Operator),
    (Method::POST, "/api/v1/machines/{key}/shell", Scope::Operator),
    (Method::GET, "/api/v1/events", Scope::Viewer),
    (Method::GET, "/api/v1/events/stream", Scope::Viewer),
    (Method::GET, "/api/v1/leases", Scope::Viewer),
    (Method::GET, "/api/v1/health", Scope::Viewer),
    (Method::GET, "/api/v1/version", Scope::Viewer),
    (Method::GET, "/api/v1/simulate", Scope::Viewer),
    (Method::GET, "/api/v1/openapi.json", Scope::Viewer),
    (Method::GET, "/api/v1/authority", Scope::Viewer),
    (Method::GET, "/api/v1/settings", Scope::Admin),
    (Method::PATCH, "/api/v1/settings", Scope::Admin),
    (Method::GET, "/api/v1/system", Scope::Viewer),
    (Method::PATCH, "/api/v1/system", Scope::Admin),
    (Method::GET, "/api/v1/system/choices", Scope::Viewer),
    (Method::POST, "/api/v1/system/reboot", Scope::Admin),
    (Method::POST, "/api/v1/system/power-off", Scope::Admin),
    (Method::POST, "/api/v1/system/units/{name}/restart", Scope::Admin),
    (Method::PUT, "/api/v1/system/network/{interface}", Scope::Admin),
    (Method::POST, "/api/v1/system/network/confirm", Scope::Admin),
    (Method::GET, "/api/v1/setup", Scope::Viewer),
    (Method::POST, "/api/v1/setup", Scope::Admin),
    // It changes nothing, and shows no secret.
    (Method::POST, "/api/v1/setup/dry-run", Scope::Viewer),
    (Method::GET, "/api/v1/appliance", Scope::Viewer),
    // It changes nothing, but takes its time.
    (Method::POST, "/api/v1/appliance/self-test", Scope::Operator),
    (Method::GET, "/api/v1/update", Scope::Viewer),
    (Method::POST, "/api/v1/update", Scope::Admin),
    (Method::PUT, "/api/v1/update", Scope::Admin),
    (Method::POST, "/api/v1/update/check", Scope::Admin),
    (Method::GET, "/api/v1/appliance/disks", Scope::Viewer),
    (Method::GET, "/api/v1/appliance/install", Scope::Viewer),
    (Method::POST, "/api/v1/appliance/install", Scope::Admin),
    (Method::POST, "/api/v1/appliance/factory-reset", Scope::Admin),
    (Method::POST, "/api/v1/backup", Scope::Admin),
    (Method::POST, "/api/v1/restore", Scope::Admin),
    (Method::GET, "/api/v1/tokens", Scope::Admin),
    (Method::POST, "/api/v1/tokens", Scope::Admin),
    (Method::DELETE, "/api/v1/tokens/{name}", Scope::Admin),
    (Method::GET, "/api/v1/ssh-keys", Scope::Admin),
    (Method::POST, "/api/v1/ssh-keys", Scope::Admin),
    (Method::DELETE, "/api/v1/ssh-keys/{fingerprint}", Scope::Admin),
    (Method::GET, "/api/v1/ssh-keys/found", Scope::Admin),
    (Method::POST, "/api/v1/ssh-keys/one-time-password", Scope::Admin),
    // Who logs in is a viewer before, and these change nothing else.
    (Method::POST, "/api/v1/login", Scope::Viewer),
    (Method::POST, "/api/v1/login/key", Scope::Viewer),
    (Method::POST, "/api/v1/logout", Scope::Viewer),
    (Method::POST, "/api/v1/renew", Scope::Viewer),
    (Method::GET, "/api/v1/whoami", Scope::Viewer),
    (Method::PUT, "/api/v1/password", Scope::Admin),
];

/// The scope that a request demands; `route` is the path as the router knows it, if it does.
pub(super) fn demanded(method: &Method, route: Option<&str>) -> Scope {
    // What is no route answers that there is none.
    let Some(route) = route else { return Scope::Viewer };
    listed(method, route).unwrap_or(Scope::Admin)
}

/// The scope of a route of the table. HEAD is GET without its body.
pub(super) fn listed(method: &Method, route: &str) -> Option<Scope> {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    ROUTES.iter().find(|row| row.0 == *method && row.1 == route).map(|row| row.2)
}

/// Whether a session that was begun so may ask for this.
pub(super) fn session_may(with: LoginWith, scope: Scope, method: &Method, route: Option<&str>) -> bool {
    match with {
        LoginWith::OneTimePassword => ONE_TIME.iter().any(|row| row.0 == *method && Some(row.1) == route),
        LoginWith::Password | LoginWith::Key => scope >= demanded(method, route),
    }
}

/// What is said to whoever may look and wants to do more: that a login is needed, and how.
pub(super) fn locked(peer: &Peer, (method, path): (&Method, &str), demanded: Scope) -> Refusal {
    let (status, needs) = match peer {
        Peer::Session(held) if held.session.with == LoginWith::OneTimePassword => (
            StatusCode::FORBIDDEN,
            "another login: a one-time password lets keys be added, and nothing else".to_owned(),
        ),
        Peer::Session(held) => {
            let (name, scope) = (&held.session.name, held.session.scope);
            (
                StatusCode::FORBIDDEN,
                format!(
                    "the scope {demanded}, and {name} has {scope}: log in with the administrator's password"
                ),
            )
        }
        Peer::Viewer(Entrance::Console) => {
            (StatusCode::UNAUTHORIZED, "a login with the administrator's password or PIN".to_owned())
        }
        _ => {
            (StatusCode::UNAUTHORIZED, "a login with the administrator's password or a listed key".to_owned())
        }
    };
    Refusal::new(status, "locked", format!("{method} {path} needs {needs}"))
}

/// How many routes the table has.
#[cfg(test)]
pub(super) fn count() -> usize {
    ROUTES.len()
}
