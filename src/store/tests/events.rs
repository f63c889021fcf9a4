//! Events are selected from either end.

use ironwake_api::EventOrder;

use super::*;

/// Each selection, in both orders, page by page.
#[tokio::test]
async fn events_are_selected_by_kind_operation_and_machine_from_either_end() {
    let folder = Folder::new();
    let store = folder.open();
    let new = |machine: Option<&str>, kind| {
        let machine = machine.map(str::to_owned);
        Change::Event(Box::new(NewEvent { at: 1, actor: Actor::Daemon, machine, kind }))
    };
    let made = |operation: &str| EventKind::OperationMade {
        operation: operation.into(),
        work: ironwake_api::OperationKind::Wipe,
    };
    // 1 and 2, 4 and 5, ...: a machine's; every third: an operation's.
    for n in 0..4 {
        let machine = if n % 2 == 0 { "even" } else { "odd" };
        let changes = vec![
            new(Some(machine), EventKind::MachineRegistered),
            new(Some(machine), EventKind::MachineDeleted),
            new(None, made(if n < 2 { "o1" } else { "o2" })),
        ];
        store.save(changes).await.expect("saved");
    }
    let filter = EventFilter::default;
    let kinds = |kinds: &[&str]| EventFilter {
        kinds: kinds.iter().map(|kind| kind.to_string()).collect(),
        ..EventFilter::default()
    };
    let check = async |filter: EventFilter, limit, expected: &[i64]| {
        let ascending = store.events(filter.clone(), limit).await.expect("events");
        let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(ids(&ascending), expected, "{filter:?}");
        assert!(ascending.iter().all(|event| filter.wants(event)), "{filter:?}");
        let all = store.events(filter.clone(), 1000).await.expect("events");
        let descending = EventFilter { order: EventOrder::Desc, ..filter };
        let mut newest = ids(&store.events(descending.clone(), limit).await.expect("events"));
        newest.reverse();
        let ids_of_all = ids(&all);
        assert_eq!(newest, ids_of_all[ids_of_all.len() - newest.len()..], "{descending:?}");
    };
    check(filter(), 100, &(1..=12).collect::<Vec<_>>()).await;
    check(filter(), 2, &[1, 2]).await;
    check(EventFilter { before: Some(4), ..filter() }, 2, &[1, 2]).await;
    check(EventFilter { after: 3, before: Some(6), ..filter() }, 9, &[4, 5]).await;
    check(kinds(&["machine_registered"]), 9, &[1, 4, 7, 10]).await;
    check(kinds(&["machine_registered", "operation_made"]), 5, &[1, 3, 4, 6, 7]).await;
    check(
        EventFilter { before: Some(9), ..kinds(&["machine_deleted", "operation_made"]) },
        9,
        &[2, 3, 5, 6, 8],
    )
    .await;
    check(EventFilter { machine: Some("odd".into()), ..filter() }, 9, &[4, 5, 10, 11]).await;
    check(EventFilter { machine: Some("odd".into()), ..kinds(&["machine_deleted"]) }, 9, &[5, 11]).await;
    check(EventFilter { operation: Some("o2".into()), ..filter() }, 9, &[9, 12]).await;
    check(EventFilter { operation: Some("o2".into()), ..kinds(&["machine_deleted"]) }, 9, &[]).await;
    check(EventFilter { operation: Some("o1".into()), after: 3, ..filter() }, 9, &[6]).await;
    check(kinds(&["webhook_test"]), 9, &[]).await;
}
