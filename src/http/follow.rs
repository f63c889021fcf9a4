//! Following events: those stored after an id, then those that come, each once and in order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, stream};
use ironwake_api::{Event, EventOrder};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::store::{EventFilter, Store, StoreError};

/// Events read from the store at a time.
const PAGE: u32 = 200;

/// Every event after `after`, or from here on, that the filter wants, whatever its own ids and order are. Ends with the store.
pub(super) fn follow(
    store: Store,
    after: Option<i64>,
    filter: EventFilter,
) -> impl Stream<Item = Arc<Event>> + Send {
    // First the subscription, then the position: what is committed in between comes twice, not never,
    // and what comes twice is known by its id.
    let live = store.subscribe();
    let newest = store.last_event();
    // An id beyond the newest is of another database: waiting for it would be waiting for years.
    let last = after.map_or(newest, |after| after.clamp(0, newest));
    let follower = Follower { store, filter, live, last, read: VecDeque::new(), behind: last < newest };
    stream::unfold(follower, |mut follower| async move {
        match follower.next().await {
            Ok(event) => event.map(|event| (event, follower)),
            Err(error) => {
                // The client asks again, with the id it has.
                tracing::debug!(%error, "an event stream ends");
                None
            }
        }
    })
}

struct Follower {
    store: Store,
    filter: EventFilter,
    live: broadcast::Receiver<Arc<Event>>,
    /// The id up to which everything is sent or was not wanted.
    last: i64,
    /// Read from the store, not yet sent.
    read: VecDeque<Arc<Event>>,
    /// The store has events that the subscription has not.
    behind: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Arc<Event>>, StoreError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.last = event.id;
                return Ok(Some(event));
            }
            if self.behind {
                let filter = EventFilter {
                    after: self.last,
                    before: None,
                    order: EventOrder::Asc,
                    ..self.filter.clone()
                };
                let page = self.store.events(filter, PAGE).await?;
                self.behind = page.len() == PAGE as usize;
                self.read = page.into_iter().map(Arc::new).collect();
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.id <= self.last => {}
                Ok(event) => {
                    self.last = event.id;
                    if self.filter.wants(&event) {
                        return Ok(Some(event));
                    }
                }
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt;
    use ironwake_api::{Actor, EventKind};

    use super::*;
    use crate::store::{Change, EVENTS_LAG_MAX, NewEvent};

    async fn add(store: &Store, count: usize, machine: &str) {
        let event = || {
            Change::Event(Box::new(NewEvent {
                at: 1,
                actor: Actor::Daemon,
                machine: Some(machine.to_owned()),
                kind: EventKind::MachineRegistered,
            }))
        };
        store.save((0..count).map(|_| event()).collect()).await.expect("saved");
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("ironwake.db")).expect("a store");
        (folder, store)
    }

    fn all() -> EventFilter {
        EventFilter::default()
    }

    async fn ids(stream: impl Stream<Item = Arc<Event>>, count: usize) -> Vec<i64> {
        pin!(stream).take(count).map(|event| event.id).collect().await
    }

    #[tokio::test]
    async fn parity_pv14_stored_events_come_first_then_live_ones_without_gap_or_double() {
        let (_folder, store) = store();
        add(&store, 450, "m1").await;
        let mut stream = pin!(follow(store.clone(), Some(3), all()));
        assert_eq!(stream.next().await.expect("one").id, 4);
        // Committed while the stream is still reading pages.
        add(&store, 50, "m1").await;
        assert_eq!(ids(stream.by_ref().take(496), 496).await, (5..=500).collect::<Vec<_>>());
        add(&store, 1, "m1").await;
        assert_eq!(stream.next().await.expect("live").id, 501);
        store.close().await.expect("closed");
    }

    #[tokio::test]
    async fn events_committed_at_any_moment_come_once() {
        let (_folder, store) = store();
        let writer = store.clone();
        let adding = tokio::spawn(async move {
            for _ in 0..300 {
                add(&writer, 3, "m1").await;
            }
        });
        // Each stream starts at another moment of the writing.
        for _ in 0..10 {
            assert_eq!(ids(follow(store.clone(), Some(0), all()), 90).await, (1..=90).collect::<Vec<_>>());
        }
        adding.await.expect("added");
        assert_eq!(ids(follow(store.clone(), Some(0), all()), 900).await, (1..=900).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn without_an_id_only_what_comes_is_sent() {
        let (_folder, store) = store();
        add(&store, 5, "m1").await;
        let stream = follow(store.clone(), None, all());
        let beyond = follow(store.clone(), Some(99), all());
        add(&store, 1, "m1").await;
        assert_eq!(ids(stream, 1).await, [6]);
        assert_eq!(ids(beyond, 1).await, [6]);
    }

    #[tokio::test]
    async fn one_machine_is_followed_alone() {
        let (_folder, store) = store();
        add(&store, 2, "other").await;
        add(&store, 2, "m1").await;
        let one = EventFilter { machine: Some("m1".into()), ..all() };
        let stream = follow(store.clone(), Some(0), one);
        add(&store, 2, "other").await;
        add(&store, 1, "m1").await;
        assert_eq!(ids(stream, 3).await, [3, 4, 7]);
    }

    #[tokio::test]
    async fn some_kinds_are_followed_alone() {
        let (_folder, store) = store();
        add(&store, 2, "m1").await;
        let deleted = Change::Event(Box::new(NewEvent {
            at: 1,
            actor: Actor::Daemon,
            machine: None,
            kind: EventKind::MachineDeleted,
        }));
        store.save(vec![deleted.clone()]).await.expect("saved");
        let kinds = EventFilter { kinds: vec!["machine_deleted".into()], ..all() };
        let stream = follow(store.clone(), Some(0), kinds);
        add(&store, 2, "m1").await;
        store.save(vec![deleted]).await.expect("saved");
        assert_eq!(ids(stream, 2).await, [3, 6]);
    }

    #[tokio::test]
    async fn a_stream_that_lags_is_caught_up_from_the_store() {
        let (_folder, store) = store();
        let stream = follow(store.clone(), None, all());
        let count = EVENTS_LAG_MAX * 2;
        for _ in 0..8 {
            add(&store, count / 8, "m1").await;
        }
        assert_eq!(ids(stream, count).await, (1..=count as i64).collect::<Vec<_>>());
    }
}
