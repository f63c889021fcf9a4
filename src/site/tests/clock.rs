//! A clock that is set: what lasts until a time lasts exactly as long, and nothing is armed for longer.

use super::operations::operator;
use super::*;
use crate::appliance::{Jump, Known};
use crate::store::Change;

const HOUR: Millis = 3_600_000;
const YEAR: Millis = 365 * 24 * HOUR;

fn known() -> Known {
    Known { boot: "a".into(), since_boot: HOUR, at: clock() }
}

fn set(to: Millis) {
    NOW.with(|now| now.store(to, Ordering::Relaxed));
}

/// Sets the clock of a system that was started at this time.
async fn jump(lab: &Fixture, to: Millis, booted_at: Option<Millis>) {
    let jump = Jump { from: clock(), to, booted_at };
    lab.site.clock_jumped(jump, known(), || set(to)).await.expect("saved");
}

async fn armed(lab: &Fixture) -> Operation {
    let machine = lab.enrolled(Vec::new()).await;
    let new = OperationNew {
        kind: OperationKind::Inspect,
        profile: None,
        variables: BTreeMap::new(),
        disks: Vec::new(),
        arm: true,
        armed_secs: Some(3600),
    };
    lab.site.operate(&machine, new, operator()).await.expect("armed")
}

async fn state_of(lab: &Fixture, id: &str) -> (OperationState, Option<Millis>) {
    let record = lab.site.stored(id).await.expect("an operation");
    (record.operation.state, record.operation.arming.map(|arming| arming.expires_at))
}

#[tokio::test]
async fn an_arming_lasts_as_long_as_it_was_given_for_and_ends_at_its_end() {
    for by in [i64::try_from(YEAR).expect("a year"), -i64::try_from(YEAR).expect("a year")] {
        let lab = Fixture::new().await;
        let operation = armed(&lab).await;
        let token = lab.site.make_token(
            TokenNew { name: "ci".into(), scope: Scope::Viewer, expires_secs: Some(7200) },
            operator(),
        );
        token.await.expect("a token");
        let to = clock().checked_add_signed(by).expect("a time");
        jump(&lab, to, Some(clock() - HOUR)).await;
        assert_eq!(state_of(&lab, &operation.id).await, (OperationState::PxeReady, Some(to + HOUR)));
        assert_eq!(lab.site.tokens()[0].expires_at, Some(to + 2 * HOUR));
        assert!(lab.kinds().await.iter().any(|kind| matches!(kind, EventKind::ClockJumped { .. })));
        // Over a restart too.
        let lab = lab.restart().await;
        advance(Duration::from_secs(3599));
        lab.site.expire_operations().await;
        assert_eq!(state_of(&lab, &operation.id).await.0, OperationState::PxeReady);
        assert_eq!(lab.site.tokens()[0].expires_at, Some(to + 2 * HOUR));
        advance(Duration::from_secs(1));
        lab.site.expire_operations().await;
        assert_eq!(state_of(&lab, &operation.id).await.0, OperationState::Failed);
        // Set back again, it is not armed once more.
        jump(&lab, to, Some(to - HOUR)).await;
        lab.site.expire_operations().await;
        assert_eq!(state_of(&lab, &operation.id).await.0, OperationState::Failed);
    }
}

#[tokio::test]
async fn what_was_armed_before_the_system_started_ends_when_in_doubt() {
    // Started since: set forward, it ends by its date.
    let lab = Fixture::new().await;
    let operation = armed(&lab).await;
    advance(Duration::from_secs(60));
    jump(&lab, clock() + YEAR, Some(clock())).await;
    lab.site.expire_operations().await;
    assert_eq!(state_of(&lab, &operation.id).await.0, OperationState::Failed);
    // Another start of the system, with a clock that is behind: nobody knows how long it was off.
    let lab = Fixture::new().await;
    let operation = armed(&lab).await;
    jump(&lab, clock() - YEAR, None).await;
    lab.site.expire_operations().await;
    assert_eq!(state_of(&lab, &operation.id).await.0, OperationState::Failed);
}

#[tokio::test]
async fn leases_in_the_store_move_as_those_in_memory_do() {
    let lab = Fixture::new().await;
    let now = clock();
    let lease = |last: u8, since: Millis, until: Millis| Lease {
        address: format!("10.0.0.{last}"),
        network: "lo".into(),
        mac: mac(last),
        client_id: None,
        hostname: None,
        state: LeaseState::Bound,
        renewed_at: since,
        expires_at: until,
    };
    let given = [
        lease(1, now - 10, now + HOUR),
        lease(2, now - 2 * HOUR, now + HOUR),
        lease(3, now - 2 * HOUR, now - HOUR),
        lease(4, now + YEAR, now + YEAR + HOUR),
        lease(5, 0, 0),
    ];
    let booted = now - HOUR;
    for (to, booted_at) in [
        (now + YEAR, Some(booted)),
        (now - YEAR, Some(booted)),
        (now - HOUR / 2, Some(booted)),
        (now - YEAR, None),
        (10, Some(booted)),
    ] {
        set(now);
        let changes = given.iter().map(|lease| Change::Lease(Box::new(lease.clone()))).collect();
        lab.site.store().save(changes).await.expect("saved");
        let change = Jump { from: now, to, booted_at };
        lab.site.clock_jumped(change, known(), || set(to)).await.expect("saved");
        let stored = lab.site.store().leases().await.expect("leases");
        let times: Vec<_> = stored.iter().map(|lease| (lease.renewed_at, lease.expires_at)).collect();
        let expected: Vec<_> =
            given.iter().map(|lease| change.lease(lease.renewed_at, lease.expires_at)).collect();
        assert_eq!(times, expected, "{change:?}");
        assert_eq!(lab.site.store().clock().await.expect("read").map(|known| known.boot), Some("a".into()));
    }
    assert_eq!(lab.site.moment().1, 5);
    assert_eq!(lab.site.jumps_since(3).len(), 2);
}
