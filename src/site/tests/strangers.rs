//! Somebody on the network who has read an armed machine's script, or calls again and again.

use ironwake_api::{OperationState as State, WorkReport};

use super::operations::{FROM, HTTP, claim, disk, operator, refused, tokens};
use super::*;

const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);

fn wipe() -> OperationNew {
    OperationNew {
        kind: ironwake_api::OperationKind::Wipe,
        profile: None,
        variables: Default::default(),
        disks: vec!["serial=A".into()],
        arm: true,
        armed_secs: None,
    }
}

fn inventory() -> EnrollRequest {
    let mut report = report("S1", &[1]);
    report.inventory.disks = vec![disk("sda", "A")];
    report
}

/// An enrolled machine, armed for a wipe: its id, the operation's, and the tokens for kernel and work.
async fn armed() -> (Fixture, String, String, String, String) {
    let lab = Fixture::new().await;
    let machine = lab.site.enroll(inventory(), None, FROM).await.expect("an inventory").answer.machine;
    lab.site.enroll_by_operator(&machine, operator()).await.expect("enrolled");
    let id = lab.site.operate(&machine, wipe(), operator()).await.expect("an operation").id;
    let (kernel, work) = tokens(&lab);
    (lab, machine, id, kernel, work)
}

async fn refusals(lab: &Fixture) -> Vec<String> {
    // Behind it, all that was queued before.
    lab.site.store().save(Vec::new()).await.expect("saved");
    let reason = |kind| match kind {
        EventKind::TokenRefused { reason, .. } => Some(reason),
        _ => None,
    };
    lab.kinds().await.into_iter().filter_map(reason).collect()
}

#[tokio::test]
async fn work_is_not_for_the_address_of_another_machine() {
    let (lab, machine, id, kernel, work) = armed().await;
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    lab.site.learn_address(mac(66), STRANGER);
    refused(lab.site.claim(&id, &work, &claim(&machine), STRANGER, HTTP).await, "another machine");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Failed);
    // Whoever took the kernel comes second, and is told of.
    refused(lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await, "no work to take");
    assert_eq!(refusals(&lab).await.len(), 2);
}

/// Nothing is known of the stranger's address: the machine's own agent comes second, and that is seen.
#[tokio::test]
async fn work_that_somebody_else_has_begun_fails_when_its_machine_asks_for_it() {
    let (lab, machine, id, kernel, work) = armed().await;
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    lab.site.claim(&id, &work, &claim(&machine), STRANGER, HTTP).await.expect("nobody knows better");
    lab.site.work_report(&id, &work, WorkReport::Began, STRANGER).await.expect("noted");
    refused(lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await, "was taken by 10.0.0.66");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Failed);
}

#[tokio::test]
async fn an_inventory_with_the_token_comes_from_the_boot_that_was_served() {
    let (lab, machine, id, kernel, work) = armed().await;
    let bearer = || Some((id.clone(), work.clone()));
    refused(lab.site.enroll(inventory(), bearer(), FROM).await, &id);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    lab.site.learn_address(mac(66), STRANGER);
    refused(lab.site.enroll(inventory(), bearer(), STRANGER).await, &id);
    lab.site.enroll(inventory(), bearer(), FROM).await.expect("its own");
    lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    refused(lab.site.enroll(inventory(), bearer(), Ipv4Addr::new(10, 0, 0, 67)).await, &id);
    let reasons = refusals(&lab).await;
    let parts = ["before its kernel was served", "from another machine", "from another machine"];
    assert!(reasons.iter().zip(parts).all(|(reason, part)| reason.contains(part)), "{reasons:?}");
}

/// Whoever has read the tokens says that the work goes on, is done, or that the host runs.
#[tokio::test]
async fn the_end_of_an_installation_is_not_said_by_another_machine() {
    let (lab, machine) = rebuild::with_machine().await;
    let (id, home, work) = rebuild::installing(&lab, &machine).await;
    let before = lab.site.operation(&id).await.expect("an operation");
    lab.enroll("S9", &[66]).await;
    // The taker's address is somebody else's by this time.
    lab.site.learn_address(mac(66), FROM);
    for report in [WorkReport::Done, WorkReport::Failed { reason: "no".into() }] {
        let answer = lab.site.work_report(&id, &work, report, FROM).await;
        // An agent that was refused for good would stop in the middle of a disk.
        assert!(
            matches!(&answer, Err(SiteError::AddressInDoubt(reason)) if reason.ends_with("another machine")),
            "{answer:?}"
        );
    }
    refused(lab.site.phone_home(&id, &home, PhoneHome::default(), FROM).await, "another machine");
    // What is said of oneself does not count.
    let said = PhoneHome { serial: Some("S1".into()), ..PhoneHome::default() };
    lab.site.learn_address(mac(66), STRANGER);
    refused(lab.site.phone_home(&id, &home, said.clone(), STRANGER).await, "another machine");
    assert_eq!(lab.site.operation(&id).await.expect("an operation"), before, "nothing changes");
    assert_eq!(refusals(&lab).await.len(), 3, "the same refusal is told once");
    lab.site.learn_address(mac(1), FROM);
    lab.site
        .work_report(&id, &work, WorkReport::Done, FROM)
        .await
        .expect("its own card has the address again");
    let bridge = Ipv4Addr::new(10, 0, 0, 77);
    lab.site.learn_address(mac(77), bridge);
    lab.site.phone_home(&id, &home, PhoneHome::default(), bridge).await.expect("no record has this card");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Ready);
}

/// A new lease, or an address of which nobody knows anything, is no other machine.
#[tokio::test]
async fn a_host_with_another_address_is_heard() {
    for leased in [true, false] {
        let (lab, machine) = rebuild::with_machine().await;
        let (id, home, _) = rebuild::installing(&lab, &machine).await;
        if leased {
            lab.site.learn_address(mac(1), STRANGER);
        }
        lab.site.phone_home(&id, &home, PhoneHome::default(), STRANGER).await.expect("heard");
        assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Ready);
    }
}

/// Asking for a machine's script makes nobody that machine.
#[tokio::test]
async fn a_request_for_a_script_attests_no_address() {
    let (lab, ..) = armed().await;
    lab.site.ipxe_script(&ScriptRequest { from: STRANGER, ..request(1) });
    assert_eq!(lab.site.mac_of(STRANGER), Some(mac(1)));
    assert_eq!(lab.site.attested_mac_of(STRANGER), None);
    lab.site.learn_address(mac(66), STRANGER);
    lab.site.ipxe_script(&ScriptRequest { from: STRANGER, ..request(1) });
    assert_eq!(lab.site.attested_mac_of(STRANGER), Some(mac(66)));
}

/// Or everything else would be pushed out of the events.
#[tokio::test]
async fn the_same_refusal_is_told_once_in_a_while() {
    let (lab, _, id, ..) = armed().await;
    for _ in 0..50 {
        refused(lab.site.serve_armed(&id, &"0".repeat(64), STRANGER, HTTP).await, "wrong token");
    }
    assert_eq!(refusals(&lab).await.len(), 1);
    advance(Duration::from_secs(3601));
    refused(lab.site.serve_armed(&id, &"0".repeat(64), STRANGER, HTTP).await, "wrong token");
    assert_eq!(refusals(&lab).await.len(), 2);
}

#[tokio::test]
async fn a_search_for_nothing_selects_nothing() {
    let (lab, ..) = armed().await;
    for search in ["", ":", " "] {
        let machines = Selection { search: Some(search.into()), ..Selection::default() };
        let asked = lab.site.bulk(BulkRequest { machines, action: BulkAction::Enroll }, operator()).await;
        refused(asked.map(drop), "name keys, or conditions");
    }
}
