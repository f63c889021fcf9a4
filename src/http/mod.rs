//! The operators' API under `/api/v1`, on the Unix socket: reads requests, asks the site, writes answers.
//!
//! Every error is an RFC 9457 problem document, those of routing and of parsing included. Who may
//! call is decided once for each connection, by the kernel's word on the peer ([`Peer`]); a request
//! that comes without that word is refused.

use std::sync::Arc;

use axum::extract::FromRef;
use axum::{Extension, Router, middleware};
use bytes::Bytes;
use utoipa_axum::router::OpenApiRouter;

use crate::site::SharedSite;
use crate::store::Store;

mod artifacts;
mod bulk;
mod events;
mod extract;
mod follow;
mod guard;
mod inventories;
mod listen;
mod machines;
mod openapi;
mod operations;
mod peer;
mod problem;
mod profiles;
mod status;
mod webhooks;

#[cfg(test)]
mod site_tests;
#[cfg(test)]
mod tests;

pub use listen::{HttpError, bind, serve};
pub use peer::Peer;

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
        .merge(inventories::routes())
        .merge(artifacts::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(status::routes())
        .merge(openapi::routes())
        .split_for_parts();
    let document = openapi::complete(document);
    router
        .fallback(guard::no_such_route)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(Extension(openapi::Document(Arc::new(Bytes::from(document)))))
        .layer(middleware::from_fn(guard::admitted))
        .layer(middleware::from_fn(guard::caught))
        .with_state(site)
}

impl FromRef<SharedSite> for Store {
    fn from_ref(site: &SharedSite) -> Self {
        site.store().clone()
    }
}
