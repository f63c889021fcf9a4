//! The OpenAPI 3.1 document, made from the handlers and the contract's types.

use std::sync::Arc;

use axum::Extension;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ironwake_api::{Event, EventOrder, Problem};
use utoipa::OpenApi;
use utoipa::openapi::path::PathItem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{problem, scopes};
use crate::site::SharedSite;

/// The document as it is served.
#[derive(Clone)]
pub(super) struct Document(pub Arc<Bytes>);

/// How the document calls tokens.
const SCHEME: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ironwake",
        description = "The operators' API: on Unix sockets, where the kernel vouches for the caller, and over HTTPS \
                       with a bearer token. Times are milliseconds since 1970-01-01 UTC."
    ),
    components(schemas(Problem, Event, EventOrder)),
    tags(
        (name = "machines", description = "Pieces of hardware"),
        (name = "operations", description = "Durable pieces of work on one machine"),
        (name = "profiles", description = "What a machine can be made into"),
        (name = "inventories", description = "What was reported of a machine's hardware"),
        (name = "attempts", description = "Runs of a machine through DHCP, TFTP, HTTP and the agent"),
        (name = "artifacts", description = "Boot files, what is built of them, and imported images"),
        (name = "access", description = "Tokens, logins, and the authority of the API's certificate"),
        (name = "events", description = "Everything that happened, in order"),
        (name = "webhooks", description = "Events that are sent to others"),
        (name = "system", description = "The appliance's own system: name, time, address, reboot"),
        (name = "daemon", description = "What the daemon has and how it is")
    )
)]
struct Base;

/// The document before any route is in it.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The finished document as JSON: every operation may also be answered with a problem.
pub(super) fn complete(mut document: utoipa::openapi::OpenApi) -> String {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SCHEME, bearer());
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, post, patch, put, delete, .. } = item;
        let verbs = [
            (Method::GET, get),
            (Method::POST, post),
            (Method::PATCH, patch),
            (Method::PUT, put),
            (Method::DELETE, delete),
        ];
        for (method, operation) in
            verbs.into_iter().filter_map(|(method, found)| Some((method, found.as_mut()?)))
        {
            // Which scope it takes: OpenAPI 3.1 has room for such names under every scheme.
            let scope = scopes::demanded(&method, Some(path)).name();
            operation.security = Some(vec![SecurityRequirement::new(SCHEME, [scope])]);
            let responses = &mut operation.responses.responses;
            responses.insert(
                "401".into(),
                problem::documented("No token or session where one is needed, or one that is not good."),
            );
            responses.insert("403".into(), problem::documented("The caller may not do this."));
            responses.insert(
                "429".into(),
                problem::documented("Too many wrong tokens or passwords; Retry-After says when."),
            );
            responses.insert("default".into(), problem::documented("Any other error."));
        }
    }
    // Types without maps with other keys than text: this cannot fail, and an empty document shows if it does.
    document.to_json().unwrap_or_default()
}

fn bearer() -> SecurityScheme {
    let text = "A token that `ironwake token add` made. Each operation names the scope that it takes; operator includes \
                viewer, and admin both. On the operators' Unix socket no token is needed; where people \
                log in, it is that of a session.";
    SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build())
}

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "daemon", operation_id = "openapi",
    responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1")))]
async fn document(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Bytes::clone(&document.0)).into_response()
}
