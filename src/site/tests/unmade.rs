//! What cannot be made for an operation any more: it fails of that at once, and says where.

use ironwake_api::OperationState as State;

use super::operations::{FROM, HTTP, claim, operator, refused, tokens};
use super::rebuild::{rebuild, with_machine};
use super::*;
use crate::operation::{Purpose, SiteKey};

const TOP: &str =
    "version = \"1\"\nsummary = \"Late\"\narchitectures = [\"amd64\"]\nfirmware = [\"bios\", \"uefi\"]\n";
pub(super) const IMAGE: &str = "kind = \"image\"\n[image]\nartifact = \"thirteen\"\n";
pub(super) const FILE: &str = "[[file]]\ntemplate = \"late.j2\"\npartition = \"1\"\npath = \"/srv/late\"\n";

/// A site with a machine, and a profile `late` of this text beside one template.
pub(super) async fn with_profile(text: &str, template: &str) -> (Fixture, String, TempDir) {
    let (mut lab, machine) = with_machine().await;
    let profiles = tempfile::tempdir().expect("a folder");
    let folder = profiles.path().join("late");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("profile.toml"), format!("name = \"late\"\n{TOP}{text}")).expect("a profile");
    std::fs::write(folder.join("late.j2"), template).expect("a template");
    lab.config.profiles = profiles.path().to_owned();
    (lab.restart().await, machine, profiles)
}

pub(super) fn late() -> OperationNew {
    OperationNew { profile: Some("late".into()), variables: BTreeMap::new(), ..rebuild("") }
}

pub(super) async fn failure(lab: &Fixture, id: &str) -> (State, String) {
    let failure = lab.site.operation(id).await.expect("an operation").failure.expect("a failure");
    (failure.stage, failure.reason)
}

/// What an operation has beside its profile can differ from what it was made with.
#[tokio::test]
async fn work_that_cannot_be_made_fails_at_once_and_says_where() {
    let check = async |text: &str, template: &str, reason: &str| {
        let (lab, machine, _profiles) = with_profile(text, template).await;
        let id = lab.site.operate(&machine, late(), operator()).await.expect("an operation").id;
        let (kernel, work) = tokens(&lab);
        lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
        refused(lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await, reason);
        let (stage, why) = failure(&lab, &id).await;
        assert_eq!((stage, why), (State::PxeBooted, format!("its work cannot be made: {reason}")));
        assert!(lab.site.store().login_key(&id).await.expect("a store").is_none());
        refused(lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await, "no work to take");
    };
    let unset = "{% if operation.id %}{{ machine.macs[9] | line }}{% endif %}";
    let why = "the value before `| line` is not set";
    let prefix = "profile late cannot be rendered any more:";
    let template = format!("first\n{unset}\n");
    check(&format!("{IMAGE}{FILE}"), &template, &format!("{prefix} late.j2:2: {why}")).await;
    let step = format!("{IMAGE}{FILE}[[step]]\nname = \"join\"\ncommand = \"{unset}\"\n");
    let key = "{% if operation.ssh_key %}{{ operation.ssh_key | line }}{% endif %}\n";
    check(&step, key, &format!("{prefix} step.command in profile.toml: {why}")).await;
}

/// An installer whose kernel has been served asks in vain.
#[tokio::test]
async fn answers_that_cannot_be_made_fail_at_once_and_say_where() {
    let text = "kind = \"installer\"\n[boot]\nkernel = \"thirteen\"\ncommand_line = \"x\"\n\
                [[file]]\ntemplate = \"late.j2\"\nname = \"answers\"\n\
                [[step]]\nname = \"join\"\ncommand = \"true\"\n";
    let template = "{% if operation.ssh_key %}{{ machine.macs[9] | line }}{% endif %}\n";
    let (lab, machine, _profiles) = with_profile(text, template).await;
    let id = lab.site.operate(&machine, late(), operator()).await.expect("an operation").id;
    let token = |purpose| SiteKey::new([7; 32]).token(purpose, &id, 1);
    lab.site.serve_armed(&id, &token(Purpose::Kernel), FROM, HTTP).await.expect("served");
    let asked = lab.site.answer_file(&id, &token(Purpose::AnswerFile), "answers", FROM, HTTP).await;
    refused(asked, "profile late cannot be rendered any more: late.j2:1:");
    let (stage, why) = failure(&lab, &id).await;
    assert_eq!(stage, State::PxeBooted);
    assert!(why.starts_with("its answers cannot be made: profile late cannot"), "{why}");
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed));
}
