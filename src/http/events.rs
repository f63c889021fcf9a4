//! Events: as a list, and as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{self, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use ironwake_api::{Event, EventKind, EventQuery};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::follow::follow;
use super::problem::{BadRequest, Refusal};
use crate::document::nearest;
use crate::site::{SharedSite, Standing};
use crate::store::{EventFilter, READ_ROWS_MAX, Store};

/// Proxies and clients close what is silent for longer, often 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);
/// Events of one answer when no limit is given.
const LIMIT_DEFAULT: u32 = 100;

/// Cancelled when the daemon ends: a stream would otherwise hold its connection for ever.
#[derive(Clone)]
pub(super) struct Closing(pub CancellationToken);

/// What goes on for long ends with the daemon, and with the token that it was asked for with; returns which.
pub(super) async fn closed(
    closing: Option<Extension<Closing>>,
    standing: Option<Extension<Standing>>,
) -> &'static str {
    let closing = async {
        match closing {
            Some(Extension(Closing(token))) => token.cancelled_owned().await,
            None => std::future::pending().await,
        }
    };
    let standing = async {
        match standing {
            Some(Extension(standing)) => standing.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = closing => "the daemon ended",
        () = standing => "the operator's token is good no more",
    }
}

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(stream_events))
}

/// Which events to follow.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    /// Begin behind this id; with what comes from here on when left out. The header wins.
    after: Option<i64>,
    /// Only events of the machine with this id.
    machine: Option<String>,
    /// Only events of the operation with this id.
    operation: Option<String>,
    /// Only events of these kinds, such as `enrolment,operation_changed`.
    kind: Option<String>,
}

/// The kinds that a query names, each once; a word that is none is refused.
fn kinds(text: Option<&str>) -> Result<Vec<String>, Refusal> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut kinds: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim) {
        if !EventKind::NAMES.contains(&word) {
            let help = nearest(word, EventKind::NAMES).map(|meant| format!("; did you mean `{meant}`?"));
            let message = format!("{word:?} is no kind of event{}", help.unwrap_or_default());
            return Err(Refusal::query("kind", message));
        }
        if !kinds.iter().any(|kind| kind == word) {
            kinds.push(word.to_owned());
        }
    }
    Ok(kinds)
}

/// Events, oldest first unless asked otherwise.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", operation_id = "events", params(EventQuery),
    responses((status = 200, body = Vec<Event>), BadRequest))]
async fn list(
    State(store): State<Store>,
    Query(query): Query<EventQuery>,
) -> Result<axum::Json<Vec<Event>>, Refusal> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=READ_ROWS_MAX).contains(&limit) {
        let message = format!("{limit} is out of range: expected 1 to {READ_ROWS_MAX}");
        return Err(Refusal::query("limit", message));
    }
    let filter = EventFilter {
        after: query.after.unwrap_or(0),
        before: query.before,
        machine: query.machine,
        operation: query.operation,
        kinds: kinds(query.kind.as_deref())?,
        order: query.order.unwrap_or_default(),
    };
    Ok(axum::Json(store.events(filter, limit).await?))
}

/// Events as they happen: `id` is the event's, `event` its kind, `data` its JSON. The stream opens with the id behind which
/// it begins.
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events", operation_id = "events_stream",
    params(StreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "Begin behind this id")),
    responses(
        (status = 200, body = Event, content_type = "text/event-stream", description = "Does not end"),
        BadRequest
    ))]
async fn stream_events(
    State(store): State<Store>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
    closing: Option<Extension<Closing>>,
    standing: Option<Extension<Standing>>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Refusal> {
    let newest = store.last_event();
    let after = last_event_id(&headers)?.or(query.after).map_or(newest, |after| after.clamp(0, newest));
    let closed = Box::pin(closed(closing, standing));
    let filter = EventFilter {
        machine: query.machine,
        operation: query.operation,
        kinds: kinds(query.kind.as_deref())?,
        ..EventFilter::default()
    };
    let events = follow(store, Some(after), filter).take_until(closed);
    Ok(respond(after, events, KEEP_ALIVE))
}

/// Events as the body of an answer, with a comment wherever it is silent for `keep_alive`.
fn respond(
    after: i64,
    events: impl Stream<Item = Arc<Event>> + Send + 'static,
    keep_alive: Duration,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    // Something at once, so that the client knows that it is connected, and where: one whose connection breaks before its
    // first event goes on from there.
    let opening = stream::once(async move { sse::Event::default().id(after.to_string()).retry(RETRY) });
    let stream = opening.chain(events.map(|event| encode(&event))).map(Ok);
    Sse::new(stream).keep_alive(KeepAlive::new().interval(keep_alive))
}

/// The header that a browser sends when it connects again; empty before its first event.
fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Refusal> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong =
        || Refusal::query("Last-Event-ID", format!("{value:?} is not an event's id: expected a number"));
    number.map(Some).ok_or_else(wrong)
}

fn encode(event: &Event) -> sse::Event {
    let id = event.id.to_string();
    let encoded = serde_json::to_value(event).ok().and_then(|value| {
        let kind = value.get("kind")?.as_str()?.to_owned();
        Some(sse::Event::default().id(&id).event(kind).data(value.to_string()))
    });
    // An event came from JSON, so it always goes back; the id goes out in any case.
    encoded.unwrap_or_else(|| sse::Event::default().id(id))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[tokio::test]
    async fn parity_pv14_a_silent_stream_is_kept_alive() {
        let response = respond(7, stream::pending(), Duration::from_millis(5)).into_response();
        let mut body = response.into_body().into_data_stream();
        for expected in ["id: 7\nretry: 2000\n\n", ":\n\n", ":\n\n"] {
            assert_eq!(body.next().await.expect("more").expect("a chunk"), expected);
        }
    }
}
