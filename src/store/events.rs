//! Reading events: whatever is asked for, an index leads to it, and no more rows are read than are answered with.

use ironwake_api::{Event, EventOrder};
use rusqlite::{Connection, params};

use super::READ_ROWS_MAX;
use super::read::{all, event};

/// Which events: all conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those with a larger id; from the first where zero.
    pub after: i64,
    /// Only those with a smaller id.
    pub before: Option<i64>,
    /// Only this machine's.
    pub machine: Option<String>,
    /// Only this operation's.
    pub operation: Option<String>,
    /// Only those of these kinds; all where empty.
    pub kinds: Vec<String>,
    /// Which comes first.
    pub order: EventOrder,
}

impl EventFilter {
    /// Whether an event is one of them; its place among the ids and the order apart.
    pub fn wants(&self, event: &Event) -> bool {
        if self.machine.is_some() && self.machine != event.machine {
            return false;
        }
        if self.kinds.is_empty() && self.operation.is_none() {
            return true;
        }
        let (kind, operation) = event.kind.labels();
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && (self.operation.is_none() || self.operation == operation)
    }
}

/// The events that `filter` selects, in its order.
pub(super) fn select(db: &Connection, filter: &EventFilter, limit: u32) -> rusqlite::Result<Vec<Event>> {
    let limit = limit.min(READ_ROWS_MAX);
    let narrow = filter.machine.is_some() || filter.operation.is_some();
    let mut found = match &filter.kinds[..] {
        // Events of one machine or operation are few: their kinds are looked at row by row.
        kinds if narrow || kinds.is_empty() => one(db, filter, None, limit)?,
        kinds => {
            // Each kind has its place in the index, in order, and none is read beyond the limit. One query for all of
            // them would sort every row of every kind.
            let mut found = Vec::new();
            for kind in kinds {
                found.extend(one(db, filter, Some(kind), limit)?);
            }
            found
        }
    };
    found.sort_by_key(|event| event.id);
    if filter.order == EventOrder::Desc {
        found.reverse();
    }
    found.dedup_by_key(|event| event.id);
    found.truncate(limit as usize);
    Ok(found)
}

fn one(
    db: &Connection,
    filter: &EventFilter,
    kind: Option<&str>,
    limit: u32,
) -> rusqlite::Result<Vec<Event>> {
    let from = match (&filter.operation, &filter.machine, kind) {
        (Some(_), ..) => "INDEXED BY events_by_operation",
        (None, Some(_), _) => "INDEXED BY events_by_machine",
        (None, None, Some(_)) => "INDEXED BY events_by_kind",
        (None, None, None) => "NOT INDEXED",
    };
    let mut conditions = String::from("id > ?1 AND id < ?2");
    let also = [
        (filter.machine.is_some(), " AND machine = ?3"),
        (filter.operation.is_some(), " AND json_extract(doc, '$.operation') = ?4"),
        (kind.is_some(), " AND json_extract(doc, '$.kind') = ?5"),
        (
            kind.is_none() && !filter.kinds.is_empty(),
            " AND json_extract(doc, '$.kind') IN (SELECT value FROM json_each(?6))",
        ),
    ];
    also.iter().filter(|(wanted, _)| *wanted).for_each(|(_, condition)| conditions.push_str(condition));
    let order = match filter.order {
        EventOrder::Asc => "ASC",
        EventOrder::Desc => "DESC",
    };
    // Parameters that no condition names are bound all the same, where the limit's name is the highest.
    let sql = format!(
        "SELECT id, at, machine, actor, doc FROM events {from} WHERE {conditions} ORDER BY id {order} LIMIT ?7"
    );
    let kinds = serde_json::to_string(&filter.kinds).unwrap_or_default();
    let before = filter.before.unwrap_or(i64::MAX);
    all(db, &sql, params![filter.after, before, filter.machine, filter.operation, kind, kinds, limit], event)
}
