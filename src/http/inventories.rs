//! What is kept of a machine: its inventories, their differences, and its boot attempts.

use axum::extract::State;
use axum::http::StatusCode;
use ironwake_api::{Attempt, InventoryChange, InventoryRecord};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Path, Query};
use super::machines::find;
use super::problem::{BadRequest, NotFound, Refusal};
use crate::machine::diff;
use crate::site::SharedSite;
use crate::store::{ATTEMPTS_PER_MACHINE_MAX, INVENTORIES_PER_MACHINE_MAX, Store};

pub(super) fn routes() -> OpenApiRouter<SharedSite> {
    OpenApiRouter::new()
        .routes(routes!(history))
        .routes(routes!(difference))
        .routes(routes!(attempts))
        .routes(routes!(attempt))
}

/// How many to answer with.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Newest {
    /// At most this many, from 1; everything that is kept when left out.
    limit: Option<u32>,
}

impl Newest {
    fn limit(&self, kept: u32) -> Result<u32, Refusal> {
        match self.limit {
            Some(0) => Err(Refusal::query("limit", "0 is out of range: expected 1 or more".into())),
            limit => Ok(limit.unwrap_or(kept).min(kept)),
        }
    }
}

/// Which two inventories to compare.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Between {
    /// Number of the earlier one; when left out, the one before `to`.
    from: Option<i64>,
    /// Number of the later one; the newest when left out.
    to: Option<i64>,
}

/// A machine's inventories, newest first.
#[utoipa::path(get, path = "/api/v1/machines/{key}/inventories", tag = "inventories",
    operation_id = "inventories", params(("key" = String, Path), Newest),
    responses((status = 200, body = Vec<InventoryRecord>), BadRequest, NotFound))]
async fn history(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Query(newest): Query<Newest>,
) -> Result<axum::Json<Vec<InventoryRecord>>, Refusal> {
    let limit = newest.limit(INVENTORIES_PER_MACHINE_MAX)?;
    let machine = find(&site, &key)?;
    Ok(axum::Json(site.store().inventories(&machine.id, limit).await?))
}

/// What differs between two inventories of a machine; between its two newest when none are named.
#[utoipa::path(get, path = "/api/v1/machines/{key}/inventories/diff", tag = "inventories",
    operation_id = "inventory_diff", params(("key" = String, Path), Between),
    responses((status = 200, body = Vec<InventoryChange>), BadRequest, NotFound))]
async fn difference(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Query(between): Query<Between>,
) -> Result<axum::Json<Vec<InventoryChange>>, Refusal> {
    let machine = find(&site, &key)?;
    let kept = site.store().inventories(&machine.id, INVENTORIES_PER_MACHINE_MAX).await?;
    let (before, after) = select(&kept, &between)?;
    Ok(axum::Json(diff(&before.inventory, &after.inventory)))
}

/// The two to compare, of `kept` (newest first).
fn select<'a>(
    kept: &'a [InventoryRecord],
    between: &Between,
) -> Result<(&'a InventoryRecord, &'a InventoryRecord), Refusal> {
    let missing = |detail: String| Refusal::new(StatusCode::NOT_FOUND, "no_such_inventory", detail);
    let numbered = |id: i64| {
        let place = kept.iter().position(|record| record.id == id);
        place.ok_or_else(|| missing(format!("the machine has no inventory {id}")))
    };
    let after = between.to.map_or(Ok(0), numbered)?;
    let before = between.from.map_or(Ok(after + 1), numbered)?;
    match (kept.get(before), kept.get(after)) {
        (Some(before), Some(after)) => Ok((before, after)),
        _ => Err(missing("there is no earlier inventory to compare with".into())),
    }
}

/// A machine's boot attempts, newest first, with their stages.
#[utoipa::path(get, path = "/api/v1/machines/{key}/attempts", tag = "attempts",
    operation_id = "machine_attempts", params(("key" = String, Path), Newest),
    responses((status = 200, body = Vec<Attempt>), BadRequest, NotFound))]
async fn attempts(
    State(site): State<SharedSite>,
    Path(key): Path<String>,
    Query(newest): Query<Newest>,
) -> Result<axum::Json<Vec<Attempt>>, Refusal> {
    let limit = newest.limit(ATTEMPTS_PER_MACHINE_MAX)?;
    let machine = find(&site, &key)?;
    Ok(axum::Json(site.store().attempts(&machine.id, limit).await?))
}

/// One boot attempt with its stages.
#[utoipa::path(get, path = "/api/v1/attempts/{id}", tag = "attempts", operation_id = "attempt",
    params(("id" = i64, Path)), responses((status = 200, body = Attempt), BadRequest, NotFound))]
async fn attempt(State(store): State<Store>, Path(id): Path<i64>) -> Result<axum::Json<Attempt>, Refusal> {
    let missing = || {
        let detail =
            format!("no boot attempt {id}; of each machine the last {ATTEMPTS_PER_MACHINE_MAX} are kept");
        Refusal::new(StatusCode::NOT_FOUND, "no_such_attempt", detail)
    };
    store.attempt(id).await?.map(axum::Json).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kept: &[i64], from: Option<i64>, to: Option<i64>, expected: Option<(i64, i64)>) {
        let kept: Vec<_> =
            kept.iter().map(|id| InventoryRecord { id: *id, at: 0, inventory: Default::default() }).collect();
        let selected = select(&kept, &Between { from, to }).ok().map(|(before, after)| (before.id, after.id));
        assert_eq!(selected, expected, "from {from:?} to {to:?}");
    }

    #[test]
    fn the_two_newest_are_compared_unless_others_are_named() {
        check(&[9, 5, 2], None, None, Some((5, 9)));
        check(&[9, 5, 2], Some(2), None, Some((2, 9)));
        check(&[9, 5, 2], None, Some(5), Some((2, 5)));
        check(&[9, 5, 2], Some(9), Some(2), Some((9, 2)));
        check(&[9, 5, 2], None, Some(2), None);
        check(&[9, 5, 2], Some(3), None, None);
        check(&[9], None, None, None);
        check(&[], None, None, None);
    }
}
