//! Hosts that call again after their first boot: whose call counts, what it changes, and when one is silent.

use ironwake_api::{OperationKind as Kind, OperationState as State, PhoneHome, Work, WorkReport};

use super::operations::{FROM, HTTP, claim, disk, operator, refused, tokens};
use super::*;
use crate::operation::{Purpose, SiteKey};
use crate::site::heartbeat::CALLS_PER_MINUTE_MAX;

const IMAGE: &str = "debian-image/trixie-amd64";
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);
const EVERY: Duration = Duration::from_secs(300);

/// A site with an enrolled machine and the Debian image; the machine's id.
async fn with_machine() -> (Fixture, String) {
    let lab = Fixture::new().await;
    lab.import(IMAGE, &vec![1; 4 << 20]).await;
    let id = lab.enrolled(vec![Disk { size_bytes: 8_000_000_000, ..disk("sda", "A") }]).await;
    (lab, id)
}

/// A rebuild whose disk is being written: its id, and the tokens for the first call home, for heartbeats and for the work.
async fn installing(lab: &Fixture, machine: &str) -> (String, String, String, String) {
    let new = OperationNew {
        kind: Kind::Rebuild,
        profile: Some("debian-image".into()),
        variables: BTreeMap::new(),
        disks: vec!["only".into()],
        arm: true,
        armed_secs: None,
    };
    let id = lab.site.operate(machine, new, operator()).await.expect("an operation").id;
    let (kernel, work) = tokens(lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    let taken = lab.site.claim(&id, &work, &claim(machine), FROM, HTTP).await.expect("the work");
    let Work::Image(image) = taken.work else { panic!("{taken:?}") };
    let file =
        |path: &str| &image.files.iter().find(|file| file.path.ends_with(path)).expect("a file").content;
    assert!(file("/ironwake-heartbeat.timer").contains("OnUnitActiveSec=300s"));
    let script = file("/ironwake-first-boot");
    let token = |part: &str| {
        let base = format!("http://{HTTP}/boot/v1/operations/{id}/{part}/");
        script.split_once(&base).expect("a URL").1[..64].to_owned()
    };
    let (home, beat) = (token("phone-home"), token("heartbeat"));
    assert_ne!(home, beat);
    lab.site.work_report(&id, &work, WorkReport::Began, FROM).await.expect("noted");
    (id, home, beat, work)
}

/// A host that has phoned home: its operation and the token of its heartbeats.
async fn ready(lab: &Fixture, machine: &str) -> (String, String) {
    let (id, home, beat, work) = installing(lab, machine).await;
    lab.site.work_report(&id, &work, WorkReport::Done, FROM).await.expect("noted");
    lab.site.phone_home(&id, &home, call(), FROM).await.expect("heard");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Ready);
    (id, beat)
}

fn call() -> PhoneHome {
    PhoneHome {
        hostname: Some("node-1".into()),
        serial: Some("S1".into()),
        macs: vec![mac(1)],
        addresses: vec!["10.0.0.1".into()],
        boot_id: Some("boot-1".into()),
        kernel: Some("6.12.1".into()),
        os: Some("Debian 13".into()),
        uptime_secs: Some(9),
        ..PhoneHome::default()
    }
}

fn again() -> PhoneHome {
    PhoneHome { boot_id: Some("boot-2".into()), kernel: Some("6.12.2".into()), ..call() }
}

async fn host(lab: &Fixture, machine: &str) -> MachineHost {
    *lab.site.shown_machine(machine).await.expect("a machine").host.expect("a host")
}

/// Events of hosts and of refused tokens.
async fn told(lab: &Fixture) -> Vec<String> {
    let words = |kind: &EventKind| match kind {
        EventKind::HostBooted { boot_id, changes, .. } => {
            Some(format!("booted {boot_id} {}", changes.join("; ")))
        }
        EventKind::HostChanged { changes, .. } => Some(changes.join("; ")),
        EventKind::HostSilent { heartbeat_secs, .. } => Some(format!("silent {heartbeat_secs}")),
        EventKind::HostBack { silent_secs, .. } => Some(format!("back {silent_secs}")),
        EventKind::TokenRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    // What is saved behind comes with the next commit.
    lab.site.store().save(Vec::new()).await.expect("saved");
    lab.kinds().await.iter().filter_map(words).collect()
}

#[tokio::test]
async fn calls_keep_the_host_up_to_date_and_only_what_matters_is_an_event() {
    let (lab, machine) = with_machine().await;
    assert!(lab.site.shown_machine(&machine).await.expect("a machine").host.is_none());
    let (id, beat) = ready(&lab, &machine).await;
    let first = host(&lab, &machine).await;
    assert_eq!((first.operation.as_str(), first.heartbeat_secs), (id.as_str(), Some(300)));
    assert_eq!((first.host.boot_id.as_deref(), first.reachability), (Some("boot-1"), Reachability::Calling));
    for minute in 1..=40 {
        advance(Duration::from_secs(60));
        let call = PhoneHome { uptime_secs: Some(9 + 60 * minute), ..call() };
        lab.site.heartbeat(&id, &beat, call, FROM).await.expect("heard");
    }
    assert_eq!(told(&lab).await, [""; 0], "the same again is no event");
    let last = host(&lab, &machine).await;
    assert_eq!((last.host.at, last.host.uptime_secs), (clock(), Some(9 + 40 * 60)));
    lab.site.heartbeat(&id, &beat, again(), ELSEWHERE).await.expect("heard");
    let moved = PhoneHome { addresses: vec!["10.0.0.66".into()], ..again() };
    lab.site.heartbeat(&id, &beat, moved, ELSEWHERE).await.expect("heard");
    let expected = ["booted boot-2 kernel: 6.12.1 → 6.12.2", "addresses: 10.0.0.1 → 10.0.0.66"];
    assert_eq!(told(&lab).await, expected);
    // An operator's list has it too, and nothing of it is lost.
    let listed = lab.site.list(&MachineQuery::default()).expect("a list").items.remove(0);
    assert_eq!(listed.host.as_deref(), Some(&host(&lab, &machine).await));
    let before = host(&lab, &machine).await;
    let lab = lab.restart().await;
    assert_eq!(host(&lab, &machine).await, before);
    assert_eq!(before.host.from, ELSEWHERE.to_string());
    assert_eq!(
        lab.site.operation(&id).await.expect("it").host.expect("a host").boot_id.as_deref(),
        Some("boot-1")
    );
}

#[tokio::test]
async fn a_token_is_good_for_what_it_was_installed_with() {
    let (lab, machine) = with_machine().await;
    let (id, beat) = ready(&lab, &machine).await;
    let refuse = async |token: &str, call: PhoneHome, from: Ipv4Addr, part: &str| {
        let before = host(&lab, &machine).await;
        refused(lab.site.heartbeat(&id, token, call, from).await, part);
        assert_eq!(host(&lab, &machine).await, before, "nothing is changed");
    };
    let home = SiteKey::new([7; 32]).token(Purpose::PhoneHome, &id, 1);
    for wrong in ["", "x", &home, &"0".repeat(64)] {
        refuse(wrong, again(), FROM, "a host called with a wrong token").await;
    }
    refuse(&beat, PhoneHome { serial: Some("S2".into()), ..again() }, FROM, "serial number \"S2\"").await;
    refuse(&beat, PhoneHome { macs: vec![mac(9)], ..again() }, FROM, "none of the addresses").await;
    // A call that does not say whose it is, from where another machine was seen.
    lab.enroll("S9", &[66]).await;
    lab.site.learn_address(mac(66), ELSEWHERE);
    let nobody = PhoneHome { serial: None, macs: Vec::new(), ..again() };
    refuse(&beat, nobody, ELSEWHERE, &format!("which is the address of machine {}", mac(66))).await;
    let told = told(&lab).await;
    assert_eq!(told.len(), 4, "the same refusal is told once: {told:?}");
    refused(lab.site.heartbeat("no-such", &beat, call(), FROM).await, "no operation");
    lab.site.heartbeat(&id, &beat, again(), FROM).await.expect("its own host is heard");
}

#[tokio::test]
async fn a_token_ends_when_the_next_operation_writes_and_with_the_machine() {
    let (lab, machine) = with_machine().await;
    let (first, old) = ready(&lab, &machine).await;
    let (second, home, new, work) = installing(&lab, &machine).await;
    assert!(
        lab.site.shown_machine(&machine).await.expect("a machine").host.is_none(),
        "it is being overwritten"
    );
    refused(lab.site.heartbeat(&first, &old, call(), FROM).await, "not what runs on the machine");
    refused(lab.site.heartbeat(&second, &new, call(), FROM).await, "not what runs on the machine");
    lab.site.work_report(&second, &work, WorkReport::Done, FROM).await.expect("noted");
    refused(lab.site.heartbeat(&second, &new, call(), FROM).await, "has not reported its first boot");
    lab.site.phone_home(&second, &home, again(), FROM).await.expect("heard");
    lab.site.heartbeat(&second, &new, again(), FROM).await.expect("heard");
    refused(lab.site.heartbeat(&first, &old, call(), FROM).await, "not what runs on the machine");
    let lab = lab.restart().await;
    assert_eq!(host(&lab, &machine).await.operation, second);
    refused(lab.site.heartbeat(&first, &old, call(), FROM).await, "not what runs on the machine");
    lab.site.delete(&machine, operator()).await.expect("deleted");
    refused(lab.site.heartbeat(&second, &new, call(), FROM).await, "no operation");
}

/// An operation that gave up too early has installed a host all the same.
#[tokio::test]
async fn a_host_whose_operation_has_failed_since_is_heard() {
    let (lab, machine) = with_machine().await;
    let (id, home, beat, work) = installing(&lab, &machine).await;
    lab.site.work_report(&id, &work, WorkReport::Done, FROM).await.expect("noted");
    advance(Duration::from_secs(86_400));
    lab.site.expire_operations().await;
    refused(lab.site.phone_home(&id, &home, call(), FROM).await, "not possible while rebuild is failed");
    lab.site.heartbeat(&id, &beat, call(), FROM).await.expect("heard");
    let found = host(&lab, &machine).await;
    assert_eq!((found.operation, found.host.boot_id.as_deref()), (id.clone(), Some("boot-1")));
    lab.site.heartbeat(&id, &beat, again(), FROM).await.expect("heard");
    assert_eq!(told(&lab).await, ["booted boot-2 kernel: 6.12.1 → 6.12.2"]);
}

#[tokio::test]
async fn a_host_that_misses_its_calls_is_silent_and_told_once() {
    let (lab, machine) = with_machine().await;
    let (id, beat) = ready(&lab, &machine).await;
    advance(EVERY * 3);
    lab.site.note_silent_hosts().await;
    assert_eq!(host(&lab, &machine).await.reachability, Reachability::Calling);
    advance(Duration::from_secs(61));
    assert_eq!(host(&lab, &machine).await.reachability, Reachability::Silent, "before anybody was told");
    lab.site.note_silent_hosts().await;
    lab.site.note_silent_hosts().await;
    let lab = lab.restart().await;
    advance(EVERY * 30);
    lab.site.note_silent_hosts().await;
    assert_eq!(told(&lab).await, ["silent 300"]);
    assert_eq!(host(&lab, &machine).await.reachability, Reachability::Silent);
    lab.site.heartbeat(&id, &beat, call(), FROM).await.expect("heard");
    assert_eq!(told(&lab).await, ["silent 300", "back 9961"]);
    assert_eq!(host(&lab, &machine).await.reachability, Reachability::Calling);
    // While the daemon did not listen, nobody was silent.
    advance(EVERY * 10);
    let lab = lab.restart().await;
    lab.site.note_silent_hosts().await;
    assert_eq!(host(&lab, &machine).await.reachability, Reachability::Calling);
}

#[tokio::test]
async fn calls_are_limited_and_a_flood_is_not_saved() {
    let (lab, machine) = with_machine().await;
    let (id, beat) = ready(&lab, &machine).await;
    advance(Duration::from_secs(60));
    for _ in 0..CALLS_PER_MINUTE_MAX {
        lab.site.heartbeat(&id, &beat, call(), FROM).await.expect("heard");
    }
    refused(lab.site.heartbeat(&id, &beat, again(), FROM).await, "within a minute");
    lab.site.heartbeat(&id, &beat, again(), ELSEWHERE).await.expect("another address is not concerned");
    advance(Duration::from_secs(60));
    lab.site.heartbeat(&id, &beat, call(), FROM).await.expect("heard");
    assert_eq!(host(&lab, &machine).await.host.boot_id.as_deref(), Some("boot-1"));
}

#[tokio::test]
async fn the_token_of_heartbeats_is_shown_nowhere() {
    let (lab, machine) = with_machine().await;
    let (id, beat) = ready(&lab, &machine).await;
    refused(
        lab.site.heartbeat(&id, &beat, PhoneHome { macs: vec![mac(9)], ..call() }, FROM).await,
        "none of",
    );
    lab.site.heartbeat(&id, &beat, again(), FROM).await.expect("heard");
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        lab.site.operation(&id).await.expect("an operation"),
        lab.site.shown_machine(&machine).await.expect("a machine"),
        lab.site.store().hosts().await.expect("hosts"),
        lab.kinds().await
    );
    assert!(!shown.contains(&beat), "{shown}");
    let lab = lab.restart().await;
    let name = lab.state.path().join("ironwake.db");
    for file in [name.clone(), name.with_extension("db-wal")] {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(beat.len()).any(|part| part == beat.as_bytes()), "{}", file.display());
    }
}
