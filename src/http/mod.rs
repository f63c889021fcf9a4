//! The operators' API under `/api/v1`, on the Unix socket and over HTTPS: reads requests, asks the site, writes
//! answers.
//!
//! Every error is an RFC 9457 problem document, those of routing and of parsing included. On the socket who may
//! call is decided once for each connection, by the kernel's word on the peer ([`Peer`]); over HTTPS for each
//! request, by its token and the scope that its route demands (`scopes`). A request without either is refused.
//! On the sockets where people log in, the kernel's word makes a viewer, and a session more (`logins`).

use std::sync::Arc;

use axum::extract::FromRef;
use axum::{Extension, Router, middleware};
use bytes::Bytes;
use utoipa_axum::router::OpenApiRouter;

use crate::site::SharedSite;
use crate::store::Store;

mod artifacts;
mod backup;
mod builds;
mod bulk;
mod events;
mod extract;
mod follow;
mod guard;
mod install;
mod inventories;
mod listen;
mod logins;
mod machines;
mod openapi;
mod operations;
mod peer;
mod problem;
mod profiles;
mod scopes;
mod secure;
mod settings;
mod setup;
mod shell;
mod ssh_keys;
mod status;
mod system;
mod tokens;
mod updates;
mod values;
mod webhooks;

#[cfg(test)]
mod ended_tests;
#[cfg(test)]
mod logins_tests;
#[cfg(test)]
mod secure_tests;
#[cfg(test)]
mod site_tests;
#[cfg(test)]
mod ssh_keys_tests;
#[cfg(test)]
mod tests;

pub use listen::{HttpError, bind, bind_entrance, serve, serve_entrance};
pub use peer::Peer;
pub use secure::serve as serve_secure;

/// The largest request body that is held in memory. The largest that is sent is a machine's notes; images go to the
/// disk as they come.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// All routes over a site. Requests need a [`Peer`] among their extensions.
pub fn router(site: SharedSite) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(openapi::base())
        .merge(machines::routes())
        .merge(operations::routes())
        .merge(bulk::routes())
        .merge(profiles::routes())
        .merge(shell::routes())
        .merge(inventories::routes())
        .merge(artifacts::routes())
        .merge(builds::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(status::routes())
        .merge(tokens::routes())
        .merge(logins::routes())
        .merge(ssh_keys::routes())
        .merge(settings::routes())
        .merge(system::routes())
        .merge(setup::routes())
        .merge(updates::routes())
        .merge(install::routes())
        .merge(backup::routes())
        .merge(values::routes())
        .merge(openapi::routes())
        .split_for_parts();
    let document = openapi::complete(document);
    router
        .fallback(guard::no_such_route)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(Extension(openapi::Document(Arc::new(Bytes::from(document)))))
        .layer(middleware::from_fn_with_state(site.clone(), guard::admitted))
        .layer(middleware::from_fn(guard::caught))
        .with_state(site)
}

impl FromRef<SharedSite> for Store {
    fn from_ref(site: &SharedSite) -> Self {
        site.store().clone()
    }
}
