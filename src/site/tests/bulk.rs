//! Many machines at once: a result for each, and batches that never have more under way than was said.

use ironwake_api::{OperationKind as Kind, OperationState as State};

use super::operations::{FROM, disk, operator, refused};
use super::*;
use crate::operation::Trigger;

/// A site with so many enrolled machines, tagged `rack=1`, each with one disk; their ids.
async fn with_machines(count: u8) -> (Fixture, Vec<String>) {
    let lab = Fixture::new().await;
    let mut ids = Vec::new();
    for n in 1..=count {
        let mut report = report(&format!("S{n}"), &[n]);
        report.inventory.disks = vec![disk("sda", &format!("D{n}"))];
        let id = lab.site.enroll(report, None, FROM).await.expect("an inventory").answer.machine;
        let patch = MachinePatch { tags: Some(vec!["rack=1".into()]), ..MachinePatch::default() };
        lab.site.edit(&id, patch, operator()).await.expect("tagged");
        lab.site.enroll_by_operator(&id, operator()).await.expect("enrolled");
        ids.push(id);
    }
    (lab, ids)
}

fn tagged(tag: &str, action: BulkAction) -> BulkRequest {
    BulkRequest { machines: Selection { tags: vec![tag.into()], ..Selection::default() }, action }
}

fn wipe() -> OperationNew {
    OperationNew {
        kind: Kind::Wipe,
        profile: None,
        variables: BTreeMap::new(),
        disks: vec!["only".into()],
        arm: false,
        armed_secs: None,
    }
}

impl Fixture {
    /// Records a wipe for each machine and arms them as a batch; their ids.
    async fn batch(&self, at_once: u32, keep_going: bool) -> Vec<String> {
        let made = self.site.bulk(tagged("rack=1", BulkAction::Operate(wipe())), operator()).await;
        let ids = made.expect("outcomes").into_iter().map(|outcome| {
            let operation = outcome.result.expect("an operation").expect("an operation");
            assert_eq!(operation.state, State::Registered, "nothing is armed before it is confirmed");
            operation.id
        });
        let ids: Vec<String> = ids.collect();
        let batch =
            BatchNew { operations: ids.clone(), at_once: Some(at_once), keep_going, ..BatchNew::default() };
        self.site.arm_batch(batch, operator()).await.expect("a batch");
        ids
    }

    async fn states(&self, ids: &[String]) -> Vec<State> {
        let mut states = Vec::new();
        for id in ids {
            states.push(self.site.operation(id).await.expect("an operation").state);
        }
        states
    }

    async fn fail(&self, id: &str) {
        let trigger = Trigger::Fail { reason: "the disk is gone".into() };
        self.site.happen(id, trigger, &Actor::Machine).await.expect("failed");
    }
}

#[tokio::test]
async fn what_is_refused_for_one_is_done_for_the_others_parity_me13() {
    let (lab, ids) = with_machines(3).await;
    lab.site.operate(&ids[1], wipe(), operator()).await.expect("an operation");
    let outcomes = lab.site.bulk(tagged("rack=1", BulkAction::Delete), operator()).await.expect("outcomes");
    let refusals: Vec<Option<String>> =
        outcomes.iter().map(|outcome| outcome.result.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(
        outcomes.iter().map(|outcome| &outcome.machine).collect::<Vec<_>>(),
        ids.iter().collect::<Vec<_>>()
    );
    assert!(refusals[0].is_none() && refusals[2].is_none());
    assert!(refusals[1].as_ref().expect("a refusal").contains("cancel it or wait"));
    assert_eq!(lab.site.list(&MachineQuery::default()).expect("a list").total, 1);
}

#[tokio::test]
async fn tags_are_added_and_removed_in_bulk() {
    let (lab, ids) = with_machines(2).await;
    let patch = MachinePatch {
        add_tags: vec!["role=db".into()],
        remove_tags: vec!["rack=1".into()],
        ..MachinePatch::default()
    };
    let keys = vec![ids[0].clone(), "nobody".into(), ids[0].clone()];
    let machines = Selection { keys, ..Selection::default() };
    let outcomes = lab
        .site
        .bulk(BulkRequest { machines, action: BulkAction::Edit(patch) }, operator())
        .await
        .expect("outcomes");
    assert_eq!(outcomes.len(), 2, "one machine named twice is one");
    assert_eq!(lab.site.machine(&ids[0]).expect("a machine").tags, ["role=db"]);
    assert_eq!(lab.site.machine(&ids[1]).expect("a machine").tags, ["rack=1"]);
    assert!(outcomes[1].result.as_ref().expect_err("no such").to_string().contains("nobody"));
}

#[tokio::test]
async fn a_selection_says_what_it_selects() {
    let (lab, ids) = with_machines(1).await;
    let bulk =
        async |machines, action| lab.site.bulk(BulkRequest { machines, action }, operator()).await.map(drop);
    refused(bulk(Selection::default(), BulkAction::Delete).await, "machines: name keys, or conditions");
    let both = Selection { keys: ids.clone(), tags: vec!["rack=1".into()], ..Selection::default() };
    refused(bulk(both, BulkAction::Delete).await, "not both");
    let armed = OperationNew { arm: true, ..wipe() };
    let all = Selection { tags: vec!["rack=1".into()], ..Selection::default() };
    refused(bulk(all, BulkAction::Operate(armed)).await, "armed as a batch");
    let batch = |operations: &[&str], at_once| BatchNew {
        operations: operations.iter().map(ToString::to_string).collect(),
        at_once: Some(at_once),
        ..BatchNew::default()
    };
    refused(lab.site.arm_batch(batch(&["x"], 0), operator()).await, "at_once: 0 is not between");
    refused(lab.site.arm_batch(batch(&[], 1), operator()).await, "operations: 0 is not between");
    refused(lab.site.arm_batch(batch(&["x"], 1), operator()).await, "operations[0]: no operation");
}

#[tokio::test]
async fn a_batch_never_has_more_under_way_than_was_said() {
    use State::{PxeReady, Ready, Registered};
    let (mut lab, _) = with_machines(5).await;
    let ids = lab.batch(2, false).await;
    assert_eq!(lab.states(&ids).await, [PxeReady, PxeReady, Registered, Registered, Registered]);
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [PxeReady, PxeReady, Registered, Registered, Registered]);
    lab.site.happen(&ids[0], Trigger::Served { what: "it".into() }, &Actor::Machine).await.expect("served");
    lab.site.happen(&ids[0], Trigger::Began, &Actor::Machine).await.expect("begun");
    let done = Trigger::Finished { what: "wiped".into() };
    lab.site.happen(&ids[0], done, &Actor::Machine).await.expect("done");
    // What waits is in the store, and its turn comes after a restart too.
    lab = lab.restart().await;
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [Ready, PxeReady, PxeReady, Registered, Registered]);
    let armed = lab.site.operation(&ids[2]).await.expect("an operation");
    assert_eq!(armed.arming.expect("armed").by, operator());
    // What an operator disarms is not armed again by its batch.
    lab.site.happen(&ids[1], Trigger::Disarm, &operator()).await.expect("disarmed");
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [Ready, Registered, PxeReady, PxeReady, Registered]);
}

/// Between the list of those whose turn it is and an arming, somebody else may have done something with the operation.
#[tokio::test]
async fn an_operation_is_looked_at_again_before_its_batch_arms_it() {
    use State::{Cancelled, PxeReady, Registered};
    let (lab, _) = with_machines(3).await;
    let ids = lab.batch(1, false).await;
    let batch = lab.site.operation(&ids[2]).await.expect("an operation").batch.expect("a batch");
    lab.site.happen(&ids[0], Trigger::Disarm, &operator()).await.expect("taken out of the batch");
    let other = Actor::Operator("anna".into());
    lab.site.arm(&ids[1], None, other.clone()).await.expect("armed by somebody else");
    lab.site.cancel(&ids[2], operator()).await.expect("cancelled");
    for id in &ids {
        lab.site.arm_next(id, &batch).await.expect("passed over");
    }
    assert_eq!(lab.states(&ids).await, [Registered, PxeReady, Cancelled]);
    let armed = lab.site.operation(&ids[1]).await.expect("an operation");
    assert_eq!((armed.arming.expect("armed").by, armed.history.len()), (other, 1));
}

#[tokio::test]
async fn what_waits_is_cancelled_when_one_has_failed() {
    use State::{Cancelled, Failed, PxeReady, Registered};
    let (mut lab, _) = with_machines(4).await;
    let ids = lab.batch(2, false).await;
    lab.fail(&ids[0]).await;
    assert_eq!(lab.states(&ids).await, [Failed, PxeReady, Cancelled, Cancelled]);
    let cause = lab.site.operation(&ids[3]).await.expect("an operation").history.pop().expect("an end").cause;
    assert_eq!(cause, format!("operation {} of the same batch failed", ids[0]));
    lab = lab.restart().await;
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [Failed, PxeReady, Cancelled, Cancelled]);

    let (lab, _) = with_machines(3).await;
    let ids = lab.batch(1, true).await;
    lab.fail(&ids[0]).await;
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [Failed, PxeReady, Registered]);
}

/// A database of before: what was armed then, and what waited for its turn, may have been called off since.
#[tokio::test]
async fn nothing_of_a_batch_is_armed_by_records_of_before() {
    use State::{Cancelled, PxeReady, Registered};
    let (mut lab, _) = with_machines(4).await;
    let ids = lab.batch(2, true).await;
    let drafts = lab.site.bulk(tagged("rack=1", BulkAction::Operate(wipe())), operator()).await;
    assert_eq!(lab.states(&ids).await, [PxeReady, PxeReady, Registered, Registered]);
    lab = lab.restart().await;
    lab.site.end_what_could_write("the database is of before").await.expect("ended");
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [Cancelled; 4]);
    let cause = lab.site.operation(&ids[3]).await.expect("an operation").history.pop().expect("an end").cause;
    assert_eq!(cause, "the database is of before");
    // What nobody has armed waits for an operator, as it did.
    for outcome in drafts.expect("outcomes").into_iter().filter_map(|outcome| outcome.result.ok().flatten()) {
        assert_eq!(lab.site.operation(&outcome.id).await.expect("an operation").state, Registered);
    }
}

#[tokio::test]
async fn a_machine_shows_the_operation_that_runs_on_it() {
    let (lab, ids) = with_machines(1).await;
    let id =
        lab.site.operate(&ids[0], OperationNew { arm: true, ..wipe() }, operator()).await.expect("armed").id;
    let listed = lab.site.list(&MachineQuery::default()).expect("a list").items.remove(0);
    let shown = lab.site.shown_machine(&ids[0]).await.expect("a machine");
    assert_eq!(listed.operation, shown.operation);
    let brief = shown.operation.expect("an operation");
    assert_eq!((brief.id.as_str(), brief.state), (id.as_str(), State::PxeReady));
    assert_eq!(brief.armed_until, Some(lab.site.now() + 3_600_000));
    lab.site.happen(&id, Trigger::Cancel { why: None }, &operator()).await.expect("cancelled");
    assert_eq!(lab.site.shown_machine(&ids[0]).await.expect("a machine").operation, None);
}

/// What waits for its turn has no deadline of its own, however many come before it.
#[tokio::test]
async fn what_waits_in_a_batch_does_not_run_out() {
    use State::{Failed, PxeReady, Registered};
    let (lab, _) = with_machines(3).await;
    let ids = lab.batch(1, true).await;
    advance(Duration::from_secs(8 * 24 * 3600));
    lab.site.expire_operations().await;
    assert_eq!(lab.states(&ids).await, [Failed, Registered, Registered]);
    lab.site.arm_waiting().await;
    assert_eq!(lab.states(&ids).await, [Failed, PxeReady, Registered]);
    let deadline = async |id: &str| lab.site.operation(id).await.expect("an operation").deadline;
    assert_eq!((deadline(&ids[1]).await.is_some(), deadline(&ids[2]).await), (true, None));
    // Out of the batch, it is a plan that nobody follows.
    lab.site.happen(&ids[1], Trigger::Disarm, &operator()).await.expect("disarmed");
    assert!(deadline(&ids[1]).await.is_some());
}
