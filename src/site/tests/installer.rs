//! Installers and live systems: a kernel once, answers for whoever took it, a word at the end that is always heard.

use ironwake_api::{OperationKind as Kind, OperationState as State, PhoneHome};

use super::operations::{FROM, HTTP, disk, operator, refused};
use super::*;
use crate::operation::Trigger;

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 66);

async fn import(lab: &Fixture, name: &str) {
    lab.import(name, name.as_bytes()).await;
}

fn rebuild() -> OperationNew {
    OperationNew {
        kind: Kind::Rebuild,
        profile: Some("debian-installer".into()),
        variables: BTreeMap::from([
            ("mirror_host".to_owned(), "deb.example.org".into()),
            ("root_password_hash".to_owned(), "$6$salt$secret".into()),
        ]),
        disks: vec!["serial=A".into()],
        arm: true,
        armed_secs: None,
    }
}

async fn with_machine() -> (Fixture, String) {
    let lab = Fixture::new().await;
    let id = lab.enrolled(vec![Disk { size_bytes: 9_000_000_000, ..disk("sda", "A") }]).await;
    (lab, id)
}

/// What stands behind `from` in a text, up to one of these.
fn behind<'a>(text: &'a str, from: &str, to: &[char]) -> &'a str {
    text.split_once(from).and_then(|(_, rest)| rest.split(to).next()).expect(from)
}

/// An installer whose kernel was served: operation, and the token of its answers.
async fn booted(lab: &Fixture, machine: &str) -> (String, String) {
    for name in ["debian-installer-13/linux", "debian-installer-13/initrd.gz"] {
        import(lab, name).await;
    }
    let id = lab.site.operate(machine, rebuild(), operator()).await.expect("an operation").id;
    let (kernel, files) = script_tokens(lab, &id);
    let path = lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    assert!(path.ends_with("/linux"), "{path}");
    (id, files)
}

/// Kernel token and files token of the machine's script.
fn script_tokens(lab: &Fixture, id: &str) -> (String, String) {
    let made = lab.site.ipxe_script(&ScriptRequest { http: HTTP, ..request(1) });
    let base = format!("/boot/v1/operations/{id}/");
    let kernel = behind(&made.text, &base, &['/']).to_owned();
    let files = behind(&made.text, &format!("{base}files/"), &['/']).to_owned();
    assert!(made.text.contains("/initrd.gz || goto failed"), "{}", made.text);
    (kernel, files)
}

async fn answer(
    lab: &Fixture,
    id: &str,
    token: &str,
    name: &str,
    from: Ipv4Addr,
) -> Result<String, SiteError> {
    lab.site.answer_file(id, token, name, from, HTTP).await.map(|file| file.content)
}

#[tokio::test]
async fn parity_fl12_fl13_an_installer_goes_from_its_kernel_to_a_host_that_phones_home() {
    let (lab, machine) = with_machine().await;
    let (id, files) = booted(&lab, &machine).await;
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Under(Kind::Rebuild, State::PxeBooted)));
    let preseed = answer(&lab, &id, &files, "preseed.cfg", FROM).await.expect("answers");
    assert!(
        preseed.contains("$6$salt$secret") && preseed.contains("partman-lvm/device_remove_lvm boolean true")
    );
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Installing);
    let guard = answer(&lab, &id, &files, "guard.sh", FROM).await.expect("a guard");
    assert!(guard.contains("serial='A'") && guard.contains("bytes=9000000000"), "{guard}");
    let late = answer(&lab, &id, &files, "late.sh", FROM).await.expect("a script");
    let installed = behind(&late, &format!("/boot/v1/operations/{id}/installed/"), &['\'']).to_owned();
    let home = behind(&late, &format!("/boot/v1/operations/{id}/phone-home/"), &['\'']).to_owned();
    refused(answer(&lab, &id, &files, "other", FROM).await, "no file \"other\"");
    let call = PhoneHome { pub_key_ed25519: Some("ssh-ed25519 AAAA".into()), ..PhoneHome::default() };
    lab.site.installed(&id, &installed, call, FROM).await.expect("heard");
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Under(Kind::Rebuild, State::Installed)));
    refused(answer(&lab, &id, &files, "preseed.cfg", FROM).await, "no answer is served");
    lab.site.sent_to_disk(mac(1)).await.expect("noted");
    lab.site.phone_home(&id, &home, PhoneHome::default(), FROM).await.expect("heard");
    let done = lab.site.operation(&id).await.expect("an operation");
    use State::*;
    let states: Vec<State> = done.history.iter().map(|event| event.to).collect();
    assert_eq!(states, [PxeReady, PxeBooted, Installing, Installed, FirstBoot, Joining, Ready]);
    assert_eq!(
        done.host.expect("a host").ssh_keys,
        ["ssh-ed25519 AAAA"],
        "its keys are those of the installer's word"
    );
}

#[tokio::test]
async fn parity_pv9_any_token_that_was_ever_issued_is_heard_and_others_are_not() {
    let (lab, machine) = with_machine().await;
    let (id, files) = booted(&lab, &machine).await;
    answer(&lab, &id, &files, "preseed.cfg", FROM).await.expect("answers");
    let late = answer(&lab, &id, &files, "late.sh", FROM).await.expect("a script");
    let token = behind(&late, "/installed/", &['\'']).to_owned();
    refused(lab.site.installed(&id, &"0".repeat(64), PhoneHome::default(), FROM).await, "wrong token");
    for _ in 0..2 {
        lab.site.installed(&id, &token, PhoneHome::default(), FROM).await.expect("heard");
    }
    advance(Duration::from_secs(24 * 3600));
    lab.site.expire_operations().await;
    lab.site.installed(&id, &token, PhoneHome::default(), ELSEWHERE).await.expect("heard");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Failed);
    // Behind it, all that was queued before.
    lab.site.store().save(Vec::new()).await.expect("saved");
    let noted = lab.kinds().await;
    let repeated = noted.iter().filter(|kind| {
        matches!(kind, EventKind::TokenRefused { reason, .. } if reason.starts_with("an installer said that it is done"))
    });
    assert_eq!(repeated.count(), 2);
}

/// It is answered, or the installer of a machine behind a router that answers for it would stop; but it moves nothing.
#[tokio::test]
async fn parity_pv9_another_machine_that_says_it_is_done_is_an_event_only() {
    let (lab, machine) = with_machine().await;
    let (id, files) = booted(&lab, &machine).await;
    answer(&lab, &id, &files, "preseed.cfg", FROM).await.expect("answers");
    let late = answer(&lab, &id, &files, "late.sh", FROM).await.expect("a script");
    let token = behind(&late, "/installed/", &['\'']).to_owned();
    lab.enroll("S9", &[66]).await;
    lab.site.learn_address(mac(66), ELSEWHERE);
    let before = lab.site.operation(&id).await.expect("an operation");
    lab.site.installed(&id, &token, PhoneHome::default(), ELSEWHERE).await.expect("answered");
    assert_eq!(lab.site.operation(&id).await.expect("an operation"), before);
    lab.site.store().save(Vec::new()).await.expect("saved");
    let noted = lab.kinds().await.into_iter().filter(
        |kind| matches!(kind, EventKind::TokenRefused { reason, .. } if reason.ends_with("another machine")),
    );
    assert_eq!(noted.count(), 1);
    lab.site.learn_address(mac(1), ELSEWHERE);
    lab.site.installed(&id, &token, PhoneHome::default(), ELSEWHERE).await.expect("heard");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Installed);
}

#[tokio::test]
async fn answers_are_for_whoever_took_the_kernel_and_a_second_one_fails_the_operation() {
    let (lab, machine) = with_machine().await;
    let (id, files) = booted(&lab, &machine).await;
    refused(answer(&lab, &id, &"0".repeat(64), "preseed.cfg", FROM).await, "wrong token");
    refused(answer(&lab, &id, &files, "preseed.cfg", ELSEWHERE).await, "asked for by 10.0.0.66");
    let failed = lab.site.operation(&id).await.expect("an operation");
    assert!(failed.state == State::Failed && !failed.may_have_written);
    refused(answer(&lab, &id, &files, "preseed.cfg", FROM).await, "no answer is served");
    // Another arming has other tokens.
    let again = lab.site.retry(&id, None, operator()).await.expect("again").id;
    let (kernel, fresh) = script_tokens(&lab, &again);
    refused(answer(&lab, &again, &files, "preseed.cfg", FROM).await, "wrong token");
    lab.site.serve_armed(&again, &kernel, FROM, HTTP).await.expect("served");
    // The installer asked for an address of its own, which its lease shows.
    lab.site.learn_address(mac(1), Ipv4Addr::new(10, 0, 0, 7));
    let elsewhere = answer(&lab, &again, &fresh, "preseed.cfg", Ipv4Addr::new(10, 0, 0, 7)).await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
}

#[tokio::test]
async fn a_lost_answer_is_given_again_but_not_for_ever() {
    let (lab, machine) = with_machine().await;
    let (id, files) = booted(&lab, &machine).await;
    let first = answer(&lab, &id, &files, "preseed.cfg", FROM).await.expect("answers");
    let lab = lab.restart().await;
    for _ in 1..8 {
        assert_eq!(answer(&lab, &id, &files, "preseed.cfg", FROM).await.expect("again"), first);
    }
    refused(answer(&lab, &id, &files, "preseed.cfg", FROM).await, "served 8 times already");
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Installing);
}

#[tokio::test]
async fn an_installer_is_not_served_once_its_arming_is_over() {
    let (lab, machine) = with_machine().await;
    for name in ["debian-installer-13/linux", "debian-installer-13/initrd.gz"] {
        import(&lab, name).await;
    }
    let id = lab.site.operate(&machine, rebuild(), operator()).await.expect("an operation").id;
    let (kernel, _) = script_tokens(&lab, &id);
    advance(Duration::from_secs(3600));
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::ArmingOver(Kind::Rebuild)));
    refused(lab.site.serve_armed(&id, &kernel, FROM, HTTP).await, "was armed for is over");
}

/// Its kernel is the profile's own.
#[tokio::test]
async fn an_installer_needs_no_discovery_image() {
    let (lab, machine) = with_machine().await;
    *lab.site.discovery.write().expect("no panic while held") = None;
    booted(&lab, &machine).await;
}

#[tokio::test]
async fn what_a_profile_starts_has_to_be_here() {
    let (lab, machine) = with_machine().await;
    refused(
        lab.site.operate(&machine, rebuild(), operator()).await,
        "\"debian-installer-13/linux\" is not here",
    );
    import(&lab, "debian-installer-13/linux").await;
    refused(
        lab.site.operate(&machine, rebuild(), operator()).await,
        "artifact import debian-installer-13/initrd.gz",
    );
    import(&lab, "debian-installer-13/initrd.gz").await;
    let id = lab.site.operate(&machine, rebuild(), operator()).await.expect("an operation").id;
    refused(lab.site.delete_import("debian-installer-13/linux", operator()).await, &id);
    let live = OperationNew { profile: Some("memtest".into()), variables: BTreeMap::new(), ..rebuild() };
    lab.site.cancel(&id, operator()).await.expect("cancelled");
    refused(lab.site.operate(&machine, live, operator()).await, "ironwake rescue MACHINE --profile memtest");
}

#[tokio::test]
async fn a_live_system_runs_once_it_is_served_and_is_done_when_its_time_is_over() {
    let (lab, machine) = with_machine().await;
    import(&lab, "memtest86+/memtest86+x64.bin").await;
    let rescue = |profile: &str| OperationNew {
        kind: Kind::Rescue,
        profile: Some(profile.into()),
        variables: BTreeMap::new(),
        disks: Vec::new(),
        ..rebuild()
    };
    refused(
        lab.site.operate(&machine, rescue("debian-installer"), operator()).await,
        "takes a profile of kind live",
    );
    let id = lab.site.operate(&machine, rescue("memtest"), operator()).await.expect("an operation").id;
    let text = lab.site.ipxe_script(&request(1)).text;
    let kernel = behind(&text, &format!("/boot/v1/operations/{id}/"), &['/']).to_owned();
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    let running = lab.site.operation(&id).await.expect("an operation");
    assert!(running.state == State::Installing && !running.may_have_written);
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::Under(Kind::Rescue, State::Installing)));
    refused(lab.site.serve_armed(&id, &kernel, FROM, HTTP).await, "not possible");
    advance(Duration::from_secs(7 * 24 * 3600));
    lab.site.expire_operations().await;
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::Ready);
}

/// What a boot needs may go between the confirmation and the boot: the machine must not restart for it again and again.
#[tokio::test]
async fn a_boot_that_cannot_be_made_fails_its_operation_and_boots_the_disk() {
    let lab = Fixture::new().await;
    let mut report = report("S1", &[1]);
    report.inventory.disks = vec![Disk { size_bytes: 20_000_000_000, ..disk("sda", "A") }];
    report.inventory.memory.total_bytes = Some(8 << 30);
    let machine = lab.site.enroll(report, None, FROM).await.expect("an inventory").answer.machine;
    lab.site.enroll_by_operator(&machine, operator()).await.expect("enrolled");
    let iso = "ubuntu-24.04/live-server.iso";
    for name in ["ubuntu-24.04/vmlinuz", "ubuntu-24.04/initrd", iso] {
        import(&lab, name).await;
    }
    let new =
        OperationNew { profile: Some("ubuntu-autoinstall".into()), variables: BTreeMap::new(), ..rebuild() };
    let id = lab.site.operate(&machine, new, operator()).await.expect("an operation").id;
    refused(lab.site.delete_import(iso, operator()).await, &id);
    let lab = super::kept::without(lab, iso).await;

    // Whoever asks what would happen changes nothing.
    let query =
        SimulateQuery { mac: mac(1).to_string(), arch: "uefi-x64".into(), ..SimulateQuery::default() };
    lab.site.simulate(&query).expect("steps");
    lab.site.fail_unmade_boots().await;
    assert_eq!(lab.site.operation(&id).await.expect("an operation").state, State::PxeReady);

    let not_made = BootPlan::LocalBoot(Why::BootNotMade(Kind::Rebuild));
    assert_eq!(lab.plan(1), not_made);
    // Another arming is not taken for the one that was noted.
    lab.site.happen(&id, Trigger::Disarm, &operator()).await.expect("disarmed");
    lab.site.arm(&id, None, operator()).await.expect("armed");
    lab.site.fail_unmade_boots().await;
    assert_eq!(lab.plan(1), not_made);
    lab.site.fail_unmade_boots().await;
    let failed = lab.site.operation(&id).await.expect("an operation");
    let failure = failed.failure.expect("a reason");
    assert_eq!(failure.stage, State::PxeReady);
    assert!(
        failure.reason.contains("its boot cannot be made") && failure.reason.contains(iso),
        "{}",
        failure.reason
    );
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
}
