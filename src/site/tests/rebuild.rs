//! Rebuilds: what is wrong is said before anything is armed; what is confirmed is what is installed.

use ironwake_api::{
    ClaimRequest, OperationKind as Kind, OperationState as State, PhoneHome, Work, WorkReport,
};
use tokio_util::sync::CancellationToken;

use super::operations::{FROM, HTTP, claim, disk, operator, refused, tokens};
use super::*;
use crate::operation::Trigger;

/// Imports an image of 4 MiB, which is called `thirteen`.
pub(super) async fn import(lab: &Fixture) {
    let mut upload = lab.site.receive_import("thirteen", None).expect("a place");
    upload.write(&vec![1; 4 << 20]).expect("written");
    let received = upload.finish(None).expect("whole");
    lab.site.import("thirteen", received, operator(), None).await.expect("imported");
}

pub(super) fn rebuild(image: &str) -> OperationNew {
    OperationNew {
        kind: Kind::Rebuild,
        profile: Some("cloud-image".into()),
        variables: BTreeMap::from([
            ("image".to_owned(), image.into()),
            ("password_hash".to_owned(), "$6$salt$secret".into()),
        ]),
        disks: vec!["only".into()],
        arm: true,
        armed_secs: None,
    }
}

pub(super) async fn with_machine() -> (Fixture, String) {
    let lab = Fixture::new().await;
    import(&lab).await;
    let mut report = report("S1", &[1]);
    report.inventory.disks = vec![Disk { size_bytes: 8_000_000_000, ..disk("sda", "A") }];
    report.inventory.memory.total_bytes = Some(4 << 30);
    let id = lab.site.enroll(report, None, FROM).await.expect("an inventory").answer.machine;
    lab.site.enroll_by_operator(&id, operator()).await.expect("enrolled");
    (lab, id)
}

/// A rebuild whose image is being written: its id, where the host phones home, and the token of the work.
async fn installing(lab: &Fixture, machine: &str) -> (String, String, String) {
    let id = lab.site.operate(machine, rebuild("thirteen"), operator()).await.expect("an operation").id;
    let (kernel, work) = tokens(lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    let request: ClaimRequest = claim(machine);
    let taken = lab.site.claim(&id, &work, &request, FROM, HTTP).await.expect("the work");
    let Work::Image(image) = taken.work else { panic!("{taken:?}") };
    assert_eq!(image.disk.name, "sda");
    assert!(image.image.path.ends_with("/thirteen"), "{}", image.image.path);
    let user_data = image.files.iter().find(|file| file.path.ends_with("/user-data")).expect("a seed");
    assert!(user_data.content.contains("$6$salt$secret"), "{}", user_data.content);
    let base = format!("http://{HTTP}/boot/v1/operations/{id}/phone-home/");
    let token = user_data.content.split_once(&base).expect("where to phone home").1[..64].to_owned();
    lab.site.work_report(&id, &work, WorkReport::Began, FROM).await.expect("noted");
    (id, token, work)
}

/// A rebuild whose image is written: its id, and where the host phones home.
async fn installed(lab: &Fixture, machine: &str) -> (String, String) {
    let (id, token, work) = installing(lab, machine).await;
    lab.site.work_report(&id, &work, WorkReport::Done, FROM).await.expect("noted");
    (id, token)
}

fn call() -> PhoneHome {
    PhoneHome {
        hostname: Some("node-1".into()),
        pub_key_ed25519: Some("ssh-ed25519 AAAA\n".into()),
        serial: Some("S1".into()),
        ..PhoneHome::default()
    }
}

#[tokio::test]
async fn a_rebuild_goes_from_profile_to_a_host_that_phones_home() {
    let (lab, machine) = with_machine().await;
    let (id, token) = installed(&lab, &machine).await;
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Under(Kind::Rebuild, State::Installed)));
    lab.site.sent_to_disk(mac(1)).await.expect("noted");
    refused(lab.site.phone_home(&id, &"0".repeat(64), call(), FROM).await, "wrong token");
    lab.site.phone_home(&id, &token, call(), FROM).await.expect("heard");
    lab.site.phone_home(&id, &token, call(), FROM).await.expect("the same again changes nothing");
    refused(lab.site.phone_home(&id, &token, call(), Ipv4Addr::new(10, 0, 0, 66)).await, "did again");
    let done = lab.site.operation(&id).await.expect("an operation");
    let states: Vec<State> = done.history.iter().map(|event| event.to).collect();
    use State::*;
    assert_eq!(states, [PxeReady, PxeBooted, Installing, Installed, FirstBoot, Joining, Ready]);
    let host = done.host.expect("a host");
    assert_eq!(
        (host.hostname.as_deref(), &host.ssh_keys[..]),
        (Some("node-1"), &["ssh-ed25519 AAAA".to_owned()][..])
    );
}

/// The daemon was away for longer than the agent waits with its last word.
#[tokio::test]
async fn a_host_that_phones_home_has_been_installed() {
    let (lab, machine) = with_machine().await;
    let (id, token, _) = installing(&lab, &machine).await;
    let lab = lab.restart().await;
    lab.site.phone_home(&id, &token, call(), FROM).await.expect("heard");
    let done = lab.site.operation(&id).await.expect("an operation");
    let states: Vec<State> = done.history.iter().map(|event| event.to).collect();
    use State::*;
    assert_eq!(states, [PxeReady, PxeBooted, Installing, Installed, FirstBoot, Joining, Ready]);
    assert!(done.host.is_some());
}

#[tokio::test]
async fn another_machine_that_phones_home_fails_the_operation() {
    let (lab, machine) = with_machine().await;
    let (id, token) = installed(&lab, &machine).await;
    let other = PhoneHome { serial: Some("S2".into()), ..call() };
    lab.site.phone_home(&id, &token, other, FROM).await.expect("heard");
    let failed = lab.site.operation(&id).await.expect("an operation");
    assert_eq!(failed.state, State::Failed);
    assert!(failed.failure.expect("a reason").reason.contains("serial number \"S2\" phoned home"));
    assert_eq!(failed.host, None);
}

#[tokio::test]
async fn what_is_wrong_with_a_rebuild_is_said_before_anything_is_armed() {
    let (lab, machine) = with_machine().await;
    let check = async |change: fn(&mut OperationNew), part: &str| {
        let mut new = rebuild("thirteen");
        change(&mut new);
        refused(lab.site.operate(&machine, new, operator()).await, part);
    };
    check(|new| new.profile = None, "profile: a rebuild needs one").await;
    check(|new| new.profile = Some("x".into()), "profile: there is none called \"x\"").await;
    check(|new| new.profile = Some("local".into()), "profile: local is of kind local").await;
    check(|new| drop(new.variables.remove("image")), "variables.image").await;
    check(|new| drop(new.variables.insert("imgae".into(), "x".into())), "variables.imgae").await;
    check(|new| drop(new.variables.insert("image".into(), "x".into())), "its image \"x\" is not here").await;
    check(|new| new.disks = vec!["size=1T".into()], "disks[0]: no disk fits").await;
    assert_eq!(lab.site.operations(&OperationQuery::default()).await.expect("a list"), []);
}

/// Secrets are in the work that one agent takes, and nowhere else.
#[tokio::test]
async fn a_secret_variable_is_shown_nowhere() {
    let (lab, machine) = with_machine().await;
    let (id, token) = installed(&lab, &machine).await;
    let operation = lab.site.operation(&id).await.expect("an operation");
    assert_eq!(operation.profile.as_ref().expect("a profile").variables["password_hash"], "***");
    let request = RenderRequest { machine, variables: rebuild("thirteen").variables, disk: None };
    let rendered = lab.site.render_profile("cloud-image", &request).await.expect("files");
    let shown = format!("{operation:?} {:?} {rendered:?}", lab.kinds().await);
    assert!(!shown.contains("$6$salt$secret") && !shown.contains(&token), "{shown}");
}

#[tokio::test]
async fn an_image_that_is_being_installed_stays() {
    let (lab, machine) = with_machine().await;
    let (id, token) = installed(&lab, &machine).await;
    refused(lab.site.delete_import("thirteen", operator()).await, &id);
    let sha256 = lab.site.artifact("thirteen").expect("there").sha256.expect("a digest");
    // Other bytes of its name are no matter: the operation has its own, by their digest.
    let mut upload = lab.site.receive_import("thirteen", None).expect("a place");
    upload.write(&vec![2; 4 << 20]).expect("written");
    lab.site
        .import("thirteen", upload.finish(None).expect("whole"), operator(), None)
        .await
        .expect("replaced");
    assert_ne!(lab.site.artifact("thirteen").expect("there").sha256.as_deref(), Some(&*sha256));
    let lab = lab.restart().await;
    assert!(lab.site.holds(&sha256));
    lab.site.phone_home(&id, &token, call(), FROM).await.expect("heard");
    lab.site.delete_import("thirteen", operator()).await.expect("nobody needs it");
    assert!(!lab.site.holds(&sha256));
}

/// A profile of so many files of 600 KiB each, as it is in a folder of profiles.
fn write_profile(folder: &std::path::Path, files: usize) {
    let folder = folder.join("heavy");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut text = "name = \"heavy\"\nversion = \"1\"\nsummary = \"Much to say\"\nkind = \"image\"\narchitectures = [\"amd64\"]\n\
         firmware = [\"bios\"]\n[image]\nartifact = \"thirteen\"\n"
        .to_owned();
    for n in 0..files {
        let row = format!("[[file]]\ntemplate = \"much.j2\"\npartition = \"1\"\npath = \"/srv/{n}\"\n");
        text.push_str(&row);
    }
    std::fs::write(folder.join("profile.toml"), text).expect("a profile");
    let much = format!("{{% for n in range(3) %}}{}{{% endfor %}}", "x".repeat(200 << 10));
    std::fs::write(folder.join("much.j2"), much).expect("a template");
}

/// The answer that gives the agent its work holds all of an image's files.
#[tokio::test]
async fn files_that_no_claim_holds_are_refused_before_anything_is_armed() {
    let (mut lab, machine) = with_machine().await;
    let profiles = tempfile::tempdir().expect("a folder");
    lab.config.profiles = profiles.path().to_owned();
    write_profile(profiles.path(), 30);
    let lab = lab.restart().await;
    let new =
        OperationNew { profile: Some("heavy".into()), variables: BTreeMap::new(), ..rebuild("thirteen") };
    let refusal = lab.site.operate(&machine, new.clone(), operator()).await.expect_err("refused").to_string();
    assert!(refusal.contains("its 30 files have 184"), "{refusal}");
    assert!(
        refusal.contains("more than 15728640")
            && refusal.contains("the largest are /srv/10 with 614467, /srv/11"),
        "{refusal}"
    );
    write_profile(profiles.path(), 2);
    let lab = lab.restart().await;
    let id = lab.site.operate(&machine, new, operator()).await.expect("an operation").id;
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    let taken = lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    let bytes = serde_json::to_vec(&taken).expect("JSON").len();
    assert!(bytes > 2 * (600 << 10) && bytes < CLAIM_BYTES_MAX, "{bytes}");
}

/// What is tried again needs the bytes that it was confirmed with, under whatever name.
#[tokio::test]
async fn an_operation_whose_image_is_gone_is_not_tried_again() {
    let (lab, machine) = with_machine().await;
    let id = lab.site.operate(&machine, rebuild("thirteen"), operator()).await.expect("an operation").id;
    lab.site.happen(&id, Trigger::Cancel { why: None }, &operator()).await.expect("cancelled");
    lab.site.delete_import("thirteen", operator()).await.expect("deleted");
    refused(lab.site.retry(&id, None, operator()).await, "is not here any more");
    import(&lab).await;
    assert_eq!(lab.site.retry(&id, None, operator()).await.expect("again").state, State::PxeReady);
}

/// The size is in the image itself: here a Zstandard frame with an empty block, which says 8 GiB.
#[tokio::test]
async fn an_image_that_no_disk_holds_is_refused_before_anything_is_armed() {
    let (lab, machine) = with_machine().await;
    let frame = [&b"\x28\xb5\x2f\xfd\xc0\x58"[..], &(8_u64 << 30).to_le_bytes(), b"\x01\0\0"].concat();
    let mut upload = lab.site.receive_import("large", None).expect("a place");
    upload.write(&frame).expect("written");
    lab.site.import("large", upload.finish(None).expect("whole"), operator(), None).await.expect("imported");
    refused(lab.site.operate(&machine, rebuild("large"), operator()).await, "and the image has 8589934592");
}

/// What was confirmed is installed, even after a restart.
#[tokio::test]
async fn a_rebuild_survives_a_restart() {
    let (lab, machine) = with_machine().await;
    let (id, token) = installed(&lab, &machine).await;
    let lab = lab.restart().await;
    lab.site.phone_home(&id, &token, call(), FROM).await.expect("heard");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Ready);
}

/// The store may fail between the call and the passing through.
#[tokio::test]
async fn a_host_that_was_not_passed_through_is_while_the_daemon_runs() {
    let (lab, machine) = with_machine().await;
    let (id, _) = installed(&lab, &machine).await;
    let Fixture { site, state: _state, .. } = lab;
    let (site, shutdown) = (SharedSite::new(site), CancellationToken::new());
    let attending = tokio::spawn(site.clone().attend_hosts(shutdown.clone()));
    // It looks for the first time, and finds nothing.
    tokio::task::yield_now().await;
    let mut events = site.store().subscribe();
    let record = site.stored(&id).await.expect("an operation");
    let who = Trigger::PhonedHome { who: "node-1".into() };
    site.advance(record, &who, &Actor::Machine, |_| {}).await.expect("joining");
    let ready = async {
        loop {
            let event = events.recv().await.expect("an event");
            if matches!(event.kind, EventKind::OperationChanged { to: State::Ready, .. }) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.expect("it is passed through");
    shutdown.cancel();
    attending.await.expect("ended");
}
