//! Deadlines of every state, in virtual time, and over a daemon that was killed.

use ironwake_api::{OperationKind as Kind, OperationState as State};

use super::operations::operator;
use super::rebuild::{rebuild, with_machine};
use super::*;
use crate::operation::tests::trigger;
use crate::operation::{Happening, next};

/// Every state of a kind that the table leads to and that is no end, with what has to happen until then.
fn ways(kind: Kind) -> Vec<(State, Vec<Happening>)> {
    let mut ways = vec![(State::Registered, Vec::new())];
    let mut at = 0;
    while let Some((state, way)) = ways.get(at).cloned() {
        at += 1;
        for happening in Happening::ALL {
            let Some([.., to]) = next(kind, state, happening) else { continue };
            if !to.has_ended() && ways.iter().all(|(seen, _)| seen != to) {
                ways.push((*to, [&way[..], &[happening]].concat()));
            }
        }
    }
    ways
}

fn new(kind: Kind) -> OperationNew {
    OperationNew {
        kind,
        profile: None,
        variables: BTreeMap::new(),
        disks: if kind == Kind::Wipe { vec!["only".into()] } else { Vec::new() },
        arm: false,
        armed_secs: None,
    }
}

/// Opens what a daemon leaves that is killed at this moment.
async fn killed(lab: Fixture) -> Fixture {
    let state = tempfile::tempdir().expect("a folder");
    for name in ["ironwake.db", "ironwake.db-wal"] {
        let from = lab.state.path().join(name);
        if from.exists() {
            std::fs::copy(from, state.path().join(name)).expect("copied");
        }
    }
    let site = open(&lab.config, &state).await;
    Fixture { site, config: lab.config, state }
}

/// Parity PV18: every state in the table has a deadline; one that ran out while the daemon was dead ends at its start.
#[tokio::test]
async fn parity_pv18_every_state_has_a_deadline_that_survives_kill_9() {
    let mut states = Vec::new();
    for kind in [Kind::Inspect, Kind::Rebuild, Kind::Wipe, Kind::Rescue] {
        for (state, way) in ways(kind) {
            let (lab, machine) = with_machine().await;
            let new = match kind {
                Kind::Rebuild => OperationNew { arm: false, ..rebuild("thirteen") },
                _ => new(kind),
            };
            let id = lab.site.operate(&machine, new, operator()).await.expect("an operation").id;
            for happening in way {
                let record = lab.site.stored(&id).await.expect("a record");
                let changed =
                    lab.site.advance(record, &trigger(happening, clock()), &Actor::Daemon, |_| {}).await;
                changed.unwrap_or_else(|error| panic!("{kind} {state}: {error}"));
            }
            let operation = lab.site.operation(&id).await.expect("an operation");
            assert_eq!(operation.state, state, "{kind}");
            let deadline = operation.deadline.unwrap_or_else(|| panic!("{kind} {state} may last for ever"));
            // In time, nothing ends it, and a crash neither loses nor prolongs it.
            advance(Duration::from_millis(deadline - clock() - 1));
            lab.site.expire_operations().await;
            let lab = killed(lab).await;
            lab.site.expire_operations().await;
            assert_eq!(lab.site.operation(&id).await.expect("an operation"), operation);
            // It runs out while the daemon is dead.
            advance(Duration::from_millis(1));
            let lab = killed(lab).await;
            lab.site.expire_operations().await;
            let ended = lab.site.operation(&id).await.expect("an operation");
            // A shell that nobody closed has served its purpose.
            let shell = (kind, state) == (Kind::Rescue, State::Installing);
            let expected = if shell { State::Ready } else { State::Failed };
            assert_eq!((ended.state, ended.deadline), (expected, None), "{kind} {state}");
            let last = ended.history.last().expect("history");
            assert_eq!(
                (last.from, last.to, last.at, &last.actor),
                (state, expected, deadline, &Actor::Daemon)
            );
            let failure = ended.failure.as_ref().map(|failure| (failure.stage, failure.reason.is_empty()));
            assert_eq!(failure, (!shell).then_some((state, false)), "{:?}", ended.failure);
            // And it is the machine's no more, after another crash either.
            let lab = killed(lab).await;
            assert_eq!(lab.site.operation(&id).await.expect("an operation"), ended);
            lab.site.operate(&machine, self::new(Kind::Inspect), operator()).await.expect("the next one");
            states.push(state);
        }
    }
    let all = State::ALL.into_iter().filter(|state| !state.has_ended());
    assert!(all.into_iter().all(|state| states.contains(&state)), "{states:?}");
}
