//! Operations on a site: what is armed, served, claimed, reported; and what survives.

use ironwake_api::{ClaimRequest, OperationKind as Kind, OperationState as State, Work, WorkReport};

use super::*;
use crate::operation::Trigger;

pub const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const HTTP: std::net::SocketAddrV4 = std::net::SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 254), 8080);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);

pub fn operator() -> Actor {
    Actor::Operator("root".into())
}

pub fn disk(name: &str, serial: &str) -> Disk {
    Disk { name: name.into(), serial: Some(serial.into()), size_bytes: 1_000_000, ..Disk::default() }
}

fn wipe(rule: &str) -> OperationNew {
    OperationNew {
        kind: Kind::Wipe,
        profile: None,
        variables: Default::default(),
        disks: vec![rule.into()],
        arm: true,
        armed_secs: None,
    }
}

/// A site with an enrolled machine that has two disks; its id.
async fn with_machine() -> (Fixture, String) {
    let lab = Fixture::new().await;
    let id = lab.enrolled(vec![disk("sda", "A"), disk("sdb", "B")]).await;
    (lab, id)
}

/// Kernel token, claim token, as the machine's script has them.
pub fn tokens(lab: &Fixture) -> (String, String) {
    let text = lab.site.ipxe_script(&request(1)).text;
    let part =
        |from: &str, to: char| text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect(from).0;
    let kernel = part("/boot/v1/operations/", ' ').split('/').nth(1).expect("a token").to_owned();
    let work = part("ironwake.operation=", ' ').split_once('_').expect("operation and token").1.to_owned();
    (kernel, work)
}

pub fn claim(machine: &str) -> ClaimRequest {
    ClaimRequest { machine: machine.into(), boot_mac: mac(1) }
}

impl Fixture {
    async fn state(&self, id: &str) -> State {
        self.site.operation(id).await.expect("an operation").state
    }

    /// Makes an armed wipe and has its kernel served; the operation and the claim token.
    async fn booted(&self, machine: &str) -> (String, String) {
        let id = self.site.operate(machine, wipe("serial=A"), operator()).await.expect("an operation").id;
        let (kernel, work) = tokens(self);
        self.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
        (id, work)
    }

    /// The machine takes the work, begins to write, and is heard no more.
    async fn cut_off(&self, id: &str, work: &str, machine: &str) {
        self.site.claim(id, work, &claim(machine), FROM, HTTP).await.expect("the work");
        advance(Duration::from_secs(1));
        self.site.work_report(id, work, WorkReport::Began, FROM).await.expect("begun");
        advance(Duration::from_secs(3600));
        self.site.expire_operations().await;
        assert_eq!(self.state(id).await, State::Failed);
    }
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, SiteError>, part: &str) {
    let error = result.expect_err("a refusal").to_string();
    assert!(error.contains(part), "{error}");
}

/// Between the list of those that are late and the end of this one, its machine has booted.
#[tokio::test]
async fn what_was_late_and_has_gone_on_is_not_ended() {
    let (lab, machine) = with_machine().await;
    let (id, _) = lab.booted(&machine).await;
    lab.site.expire(&id).await;
    assert_eq!(lab.state(&id).await, State::PxeBooted);
}

/// Arming falls between the inventory and the agent's first question, or the daemon is started anew after it.
#[tokio::test]
async fn an_agent_that_asks_after_the_arming_is_told_to_restart_once() {
    let (lab, machine) = with_machine().await;
    let first = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation");
    let ask = || lab.site.next_order(&machine, Duration::ZERO);
    let order = ask().await.expect("an answer").expect("an order");
    assert_eq!(order.order, ironwake_api::OrderKind::Reboot);
    assert!(order.reason.is_some_and(|reason| reason.contains("armed for wipe")));
    let report = AgentReport { boot_mac: mac(1), message: "rebooting".into(), failed: false };
    lab.site.agent_report(&machine, report).await.expect("noted");
    assert_eq!(ask().await.expect("an answer"), None, "it is on its way");
    lab.site.cancel(&first.id, operator()).await.expect("cancelled");
    lab.site.operate(&machine, wipe("serial=B"), operator()).await.expect("another one");
    assert!(ask().await.expect("an answer").is_some(), "it was told of the first one only");
}

#[tokio::test]
async fn an_armed_wipe_is_served_claimed_done_once_each() {
    let (lab, machine) = with_machine().await;
    let operation = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation");
    assert_eq!(operation.state, State::PxeReady);
    assert_eq!(operation.disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>(), ["sda"]);
    assert_eq!(lab.plan(1), BootPlan::Armed(Why::ArmedFor(Kind::Wipe)));
    let (kernel, work) = tokens(&lab);
    assert_eq!(tokens(&lab), (kernel.clone(), work.clone()), "the same script until it was served");

    refused(lab.site.claim(&operation.id, &work, &claim(&machine), FROM, HTTP).await, "no work to take");
    refused(lab.site.serve_armed(&operation.id, &work, FROM, HTTP).await, "wrong token");
    let path = lab.site.serve_armed(&operation.id, &kernel, FROM, HTTP).await.expect("served");
    assert_eq!(path, "/artifacts/a/vmlinuz");
    refused(
        lab.site.serve_armed(&operation.id, &kernel, FROM, HTTP).await,
        "served is not possible while wipe is pxe_booted",
    );
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Under(Kind::Wipe, State::PxeBooted)));

    refused(
        lab.site.work_report(&operation.id, &work, WorkReport::Began, FROM).await,
        "did not take the work",
    );
    let taken = lab.site.claim(&operation.id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    let Work::Wipe(what) = taken.work else { panic!("{taken:?}") };
    assert_eq!(what.disks, operation.disks);
    lab.site
        .claim(&operation.id, &work, &claim(&machine), FROM, HTTP)
        .await
        .expect("the answer was lost: the same again");

    for report in [WorkReport::Began, WorkReport::Began, WorkReport::Done, WorkReport::Done] {
        lab.site.work_report(&operation.id, &work, report, FROM).await.expect("noted");
    }
    let done = lab.site.operation(&operation.id).await.expect("an operation");
    assert_eq!(done.state, State::Ready);
    let states: Vec<State> = done.history.iter().map(|event| event.to).collect();
    assert_eq!(states, [State::PxeReady, State::PxeBooted, State::Installing, State::Ready]);
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
}

/// Invariant 5: whoever comes second gets nothing, and the operation fails where everyone sees it.
#[tokio::test]
async fn a_second_taker_gets_nothing_and_the_operation_fails() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    refused(lab.site.claim(&id, &work, &claim(&machine), ELSEWHERE, HTTP).await, "was taken by 10.0.0.1");
    let failed = lab.site.operation(&id).await.expect("an operation");
    assert_eq!(failed.state, State::Failed);
    refused(lab.site.work_report(&id, &work, WorkReport::Began, FROM).await, "began is not possible");
    let refusals =
        lab.kinds().await.into_iter().filter(|kind| matches!(kind, EventKind::TokenRefused { .. }));
    assert_eq!(refusals.count(), 1);
}

#[tokio::test]
async fn another_machine_with_the_token_gets_nothing() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    refused(lab.site.claim(&id, &work, &claim("another"), FROM, HTTP).await, "by machine another");
    assert_eq!(lab.state(&id).await, State::Failed);
}

#[tokio::test]
async fn tokens_of_an_earlier_arming_are_worth_nothing() {
    let (lab, machine) = with_machine().await;
    let id = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation").id;
    let (kernel, _) = tokens(&lab);
    lab.site.happen(&id, Trigger::Disarm, &operator()).await.expect("disarmed");
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
    refused(lab.site.serve_armed(&id, &kernel, FROM, HTTP).await, "is not possible while wipe is registered");
    lab.site.arm(&id, None, operator()).await.expect("armed");
    refused(lab.site.serve_armed(&id, &kernel, FROM, HTTP).await, "wrong token");
    assert_eq!(lab.state(&id).await, State::PxeReady);
}

#[tokio::test]
async fn one_operation_at_a_time_and_no_deletion_under_it() {
    let (lab, machine) = with_machine().await;
    let id = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation").id;
    refused(lab.site.operate(&machine, wipe("serial=B"), operator()).await, &id);
    refused(lab.site.delete(&machine, operator()).await, "cancel it or wait");
    lab.site.happen(&id, Trigger::Cancel { why: None }, &operator()).await.expect("cancelled");
    refused(
        lab.site.happen(&id, Trigger::Cancel { why: None }, &operator()).await,
        "while wipe is cancelled",
    );
    lab.site.operate(&machine, wipe("serial=B"), operator()).await.expect("another");
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_said_by_field() {
    let (lab, machine) = with_machine().await;
    let check = async |change: fn(&mut OperationNew), part: &str| {
        let mut new = wipe("serial=A");
        change(&mut new);
        refused(lab.site.operate(&machine, new, operator()).await, part);
    };
    check(|new| new.disks.clear(), "disks: wipe writes: name each disk").await;
    check(|new| new.disks = vec!["sda".into()], "disks[0]: \"sda\" is no disk rule").await;
    check(|new| new.disks = vec!["only".into()], "several disks fit only").await;
    check(|new| new.disks = vec!["name=sda".into(), "serial=A".into()], "disks[1]: sda is named twice").await;
    check(|new| new.kind = Kind::Inspect, "disks: inspect writes to none").await;
    check(|new| new.profile = Some("x".into()), "profile: wipe takes none").await;
    check(|new| new.armed_secs = Some(5), "armed_secs: 5 is not between 60 and 604800").await;
    assert_eq!(lab.site.operations(&OperationQuery::default()).await.expect("a list"), []);
    let stranger = lab.enroll("S2", &[2]).await.answer.machine;
    let part = "machine 52:54:00:00:00:02 is not enrolled: `ironwake machine enroll 52:54:00:00:00:02`";
    refused(lab.site.operate(&stranger, wipe("serial=A"), operator()).await, part);
}

#[tokio::test]
async fn every_state_ends_by_itself() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    lab.site.work_report(&id, &work, WorkReport::Began, FROM).await.expect("begun");
    advance(Duration::from_secs(3599));
    lab.site.expire_operations().await;
    assert_eq!(lab.state(&id).await, State::Installing);
    advance(Duration::from_secs(1));
    lab.site.expire_operations().await;
    let failed = lab.site.operation(&id).await.expect("an operation");
    let failure = failed.failure.expect("a reason");
    assert_eq!((failure.stage, failure.reason.as_str()), (State::Installing, "writing was not done in time"));
    let again = lab.site.retry(&id, None, operator()).await.expect("tried again");
    assert_eq!((again.state, again.retry_of.as_deref()), (State::PxeReady, Some(id.as_str())));
    assert_eq!(again.disks, vec![ApprovedDisk { begun: true, ..failed.disks[0].clone() }]);
}

/// Invariant 4: after every single event the daemon may be killed, and goes on where it was.
#[tokio::test]
async fn a_restart_after_every_event_loses_nothing() {
    let (mut lab, machine) = with_machine().await;
    let id = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation").id;
    let (kernel, work) = tokens(&lab);
    lab = lab.restart().await;
    assert_eq!(tokens(&lab), (kernel.clone(), work.clone()), "what the machine holds is still good");
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    lab = lab.restart().await;
    refused(lab.site.serve_armed(&id, &kernel, FROM, HTTP).await, "not possible");
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Under(Kind::Wipe, State::PxeBooted)));
    lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    lab = lab.restart().await;
    refused(lab.site.claim(&id, &work, &claim(&machine), ELSEWHERE, HTTP).await, "was taken by 10.0.0.1");
    lab = lab.restart().await;
    assert_eq!(lab.state(&id).await, State::Failed);
    let id = lab.site.retry(&id, None, operator()).await.expect("tried again").id;
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    lab.site.work_report(&id, &work, WorkReport::Began, FROM).await.expect("begun");
    lab = lab.restart().await;
    assert!(lab.site.operation(&id).await.expect("an operation").may_have_written);
    lab.site.work_report(&id, &work, WorkReport::Done, FROM).await.expect("done");
    lab = lab.restart().await;
    assert_eq!(lab.state(&id).await, State::Ready);
    assert_eq!(lab.site.operations(&OperationQuery::default()).await.expect("a list").len(), 2);
}

#[tokio::test]
async fn an_inspection_ends_with_the_inventory_of_its_boot() {
    let (lab, machine) = with_machine().await;
    let new = OperationNew { kind: Kind::Inspect, disks: Vec::new(), ..wipe("") };
    let id = lab.site.operate(&machine, new, operator()).await.expect("an operation").id;
    refused(lab.site.enroll(report("S1", &[1]), None, FROM).await, "only its own boot may report");
    assert_eq!(lab.state(&id).await, State::PxeReady, "that came from a boot before the arming");
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    refused(lab.site.enroll(report("S1", &[1]), None, FROM).await, "only its own boot may report");
    assert_eq!(lab.state(&id).await, State::PxeBooted);
    let bearer = Some((id.clone(), work));
    lab.site.enroll(report("S1", &[1]), bearer, FROM).await.expect("an inventory");
    assert_eq!(lab.state(&id).await, State::Ready);
}

/// What an operation has written is in the inventory at once: the next one is confirmed and guarded by it.
#[tokio::test]
async fn what_was_written_is_known() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    let written = Disk { table_fingerprint: Some("sha256:aa".into()), ..disk("sda", "A") };
    let stray = Disk { table_fingerprint: Some("sha256:bb".into()), ..disk("sdb", "B") };
    let report = WorkReport::Disks { disks: vec![written, stray] };
    refused(lab.site.work_report(&id, &work, report.clone(), FROM).await, "wipe is pxe_booted");
    advance(Duration::from_secs(1));
    for report in [WorkReport::Began, report.clone(), report, WorkReport::Done] {
        lab.site.work_report(&id, &work, report, FROM).await.expect("noted");
    }
    let next = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation");
    assert_eq!(next.disks[0].table_fingerprint.as_deref(), Some("sha256:aa"));
    lab.site.happen(&next.id, Trigger::Cancel { why: None }, &operator()).await.expect("cancelled");
    let other = lab.site.operate(&machine, wipe("serial=B"), operator()).await.expect("an operation");
    assert_eq!(other.disks[0].table_fingerprint, None, "it says nothing of disks that were not approved");
}

/// A machine that lost its power while it wrote: nobody confirms what nobody knows, and a retry knows what was begun.
#[tokio::test]
async fn what_was_begun_is_inspected_or_tried_again() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    lab.cut_off(&id, &work, &machine).await;
    let refusal = "began to write sda after it was last reported";
    refused(lab.site.operate(&machine, wipe("serial=A"), operator()).await, refusal);
    let again = lab.site.retry(&id, None, operator()).await.expect("tried again");
    assert!(again.disks[0].begun);
    lab.site.happen(&again.id, Trigger::Cancel { why: None }, &operator()).await.expect("cancelled");
    lab.site.operate(&machine, wipe("serial=B"), operator()).await.expect("the other disk is as it was");
}

/// A retry that came to nothing knows what the first try has begun, and so does the next retry.
#[tokio::test]
async fn what_was_begun_stays_so_over_retries() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    lab.cut_off(&id, &work, &machine).await;
    let mut last = id;
    for _ in 0..2 {
        last = lab.site.retry(&last, None, operator()).await.expect("tried again").id;
        lab.site.cancel(&last, operator()).await.expect("cancelled");
    }
    let again = lab.site.retry(&last, None, operator()).await.expect("tried again");
    assert!(again.disks[0].begun && !again.may_have_written);
}

/// What another operation has said of its disk says nothing of one that was cut off before, nor does another one's end.
#[tokio::test]
async fn each_disk_is_as_old_as_its_last_report() {
    let (lab, machine) = with_machine().await;
    let (first, work) = lab.booted(&machine).await;
    lab.cut_off(&first, &work, &machine).await;
    // The other disk is written whole, which makes an inventory.
    let second = lab.site.operate(&machine, wipe("serial=B"), operator()).await.expect("an operation").id;
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&second, &kernel, FROM, HTTP).await.expect("served");
    lab.site.claim(&second, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    advance(Duration::from_secs(1));
    let written = Disk { table_fingerprint: Some("sha256:bb".into()), ..disk("sdb", "B") };
    for report in [WorkReport::Began, WorkReport::Disks { disks: vec![written] }, WorkReport::Done] {
        lab.site.work_report(&second, &work, report, FROM).await.expect("noted");
    }
    let lab = lab.restart().await;
    let refusal = format!("wipe {first} began to write sda after it was last reported");
    refused(lab.site.operate(&machine, wipe("serial=A"), operator()).await, &refusal);
    let third = lab.site.operate(&machine, wipe("serial=B"), operator()).await.expect("it is known").id;
    assert_eq!(
        lab.site.operation(&third).await.expect("an operation").disks[0].table_fingerprint.as_deref(),
        Some("sha256:bb")
    );
    // Both are cut off, and the newest is not the only one that counts.
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&third, &kernel, FROM, HTTP).await.expect("served");
    lab.cut_off(&third, &work, &machine).await;
    refused(lab.site.operate(&machine, wipe("serial=A"), operator()).await, &refusal);
    refused(lab.site.operate(&machine, wipe("serial=B"), operator()).await, &third);
    // The machine reports all that it has.
    let mut report = report("S1", &[1]);
    report.inventory.disks = vec![disk("sda", "A"), disk("sdb", "B")];
    lab.site.enroll(report, None, FROM).await.expect("an inventory");
    lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("it is known");
}

/// Invariant 1: a limited time, also while nobody comes by to end it, as after a start of the daemon.
#[tokio::test]
async fn an_arming_that_is_over_boots_nothing() {
    let (lab, machine) = with_machine().await;
    let operation = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation");
    let (kernel, _) = tokens(&lab);
    let until = operation.arming.expect("an arming").expires_at;
    advance(Duration::from_millis(until - clock() - 1));
    assert_eq!(lab.plan(1), BootPlan::Armed(Why::ArmedFor(Kind::Wipe)));
    advance(Duration::from_millis(1));
    let lab = lab.restart().await;
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::ArmingOver(Kind::Wipe)));
    refused(lab.site.serve_armed(&operation.id, &kernel, FROM, HTTP).await, "was armed for is over");
    assert_eq!(lab.state(&operation.id).await, State::PxeReady);
    lab.site.expire_operations().await;
    assert_eq!(lab.state(&operation.id).await, State::Failed);
}

/// Discovery is for machines that nobody knows.
#[tokio::test]
async fn what_is_armed_boots_where_discovery_is_off() {
    let lab = Fixture::with("[discovery]\nenabled = false\n").await;
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::DiscoveryOff));
    let mut report = report("S1", &[1]);
    report.inventory.disks = vec![disk("sda", "A")];
    let machine = lab.site.enroll(report, None, FROM).await.expect("an inventory").answer.machine;
    lab.site.enroll_by_operator(&machine, operator()).await.expect("enrolled");
    lab.booted(&machine).await;
}

/// Whoever knows its serial number or address cannot move the armed machine's record.
#[tokio::test]
async fn a_stranger_changes_nothing_of_an_armed_machine() {
    let (lab, machine) = with_machine().await;
    let id = lab.site.operate(&machine, wipe("serial=A"), operator()).await.expect("an operation").id;
    let before = lab.site.machine(&machine).expect("a record");
    for (serial, macs) in [("S1", &[66][..]), ("X9", &[1]), ("X9", &[66, 1]), ("S1", &[1])] {
        refused(lab.site.enroll(report(serial, macs), None, ELSEWHERE).await, &id);
    }
    let after = lab.site.machine(&machine).expect("a record");
    assert_eq!(
        (after.macs, after.serial, after.inventory_at),
        (before.macs, before.serial, before.inventory_at)
    );
    assert_eq!(lab.plan(1), BootPlan::Armed(Why::ArmedFor(Kind::Wipe)));
    assert_ne!(lab.plan(66), BootPlan::Armed(Why::ArmedFor(Kind::Wipe)));
}

/// Nothing that a machine could show is in the store, in events or in what the API answers.
#[tokio::test]
async fn tokens_are_nowhere_but_in_the_script() {
    let (lab, machine) = with_machine().await;
    let (id, work) = lab.booted(&machine).await;
    let simulated = lab.site.simulate(&SimulateQuery {
        mac: mac(1).to_string(),
        arch: "uefi-x64".into(),
        ..SimulateQuery::default()
    });
    let shown = format!(
        "{:?} {:?} {:?}",
        lab.kinds().await,
        lab.site.operation(&id).await.expect("an operation"),
        simulated.expect("steps")
    );
    assert!(!shown.contains(&work));
    lab.site.store().close().await.expect("the store closes");
    let entries = std::fs::read_dir(lab.state.path()).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    for path in files {
        let bytes = std::fs::read(path).expect("a file");
        assert!(!bytes.windows(work.len()).any(|window| window == work.as_bytes()));
    }
}
