//! What templates name by `artifact("NAME")` is what it was when the operation was made.

use ironwake_api::{OperationState as State, Work, WorkReport};

use super::operations::{FROM, HTTP, claim, operator, refused, tokens};
use super::unmade::{FILE, IMAGE, failure, late, with_profile};
use super::*;

/// A file names one artifact always, and another one once the operation has a key.
const TEMPLATE: &str =
    "{{ artifact('tool') | line }}\n{% if operation.ssh_key %}{{ artifact('extra') | line }}{% endif %}\n";
const STEP: &str = "[[step]]\nname = \"join\"\ncommand = \"true\"\n";

/// The same site, started again without the bytes of an import.
pub(super) async fn without(lab: Fixture, name: &str) -> Fixture {
    let sha256 = digest(&lab, name);
    let file = lab.state.path().join("imports").join(sha256);
    std::fs::remove_file(file).expect("its bytes");
    lab.restart().await
}

fn digest(lab: &Fixture, name: &str) -> String {
    lab.site.artifact(name).expect("there").sha256.expect("a digest")
}

/// An armed operation whose template names two artifacts: site, machine, operation, and their digests.
async fn armed() -> (Fixture, String, String, [String; 2], TempDir) {
    let (lab, machine, profiles) = with_profile(&format!("{IMAGE}{FILE}{STEP}"), TEMPLATE).await;
    for name in ["tool", "extra"] {
        lab.import(name, format!("{name} as confirmed").as_bytes()).await;
    }
    let id = lab.site.operate(&machine, late(), operator()).await.expect("an operation").id;
    let confirmed = ["tool", "extra"].map(|name| digest(&lab, name));
    (lab, machine, id, confirmed, profiles)
}

#[tokio::test]
async fn a_name_that_is_given_to_other_bytes_changes_nothing_of_an_operation() {
    let (lab, machine, id, confirmed, _profiles) = armed().await;
    for name in ["tool", "extra"] {
        refused(lab.site.delete_import(name, operator()).await, &id);
        lab.import(name, b"other bytes").await;
    }
    lab.site.delete_import("extra", operator()).await.expect("no operation was confirmed with these bytes");
    let lab = lab.restart().await;
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    let taken = lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await.expect("the work");
    let Work::Image(image) = taken.work else { panic!("{taken:?}") };
    let [tool, extra] = &confirmed;
    let urls = format!("http://{HTTP}/artifacts/{tool}/tool\nhttp://{HTTP}/artifacts/{extra}/extra\n");
    assert_eq!(image.files[0].content.trim(), urls.trim());
    assert!(confirmed.iter().all(|digest| lab.site.holds(digest)), "they can be fetched");
    // Nobody needs them once it has ended.
    let failed = WorkReport::Failed { reason: "the disk is gone".into() };
    lab.site.work_report(&id, &work, failed, FROM).await.expect("noted");
    lab.site.sweep_imports();
    assert!(confirmed.iter().all(|digest| !lab.site.holds(digest)));
}

#[tokio::test]
async fn an_operation_whose_artifact_is_lost_fails_and_says_which() {
    let (lab, machine, id, confirmed, _profiles) = armed().await;
    let (kernel, work) = tokens(&lab);
    lab.site.serve_armed(&id, &kernel, FROM, HTTP).await.expect("served");
    let lab = without(lab, "tool").await;
    refused(lab.site.claim(&id, &work, &claim(&machine), FROM, HTTP).await, "tool as it was confirmed");
    let (stage, reason) = failure(&lab, &id).await;
    assert_eq!(stage, State::PxeBooted);
    assert!(reason.contains("profile late") && reason.contains(&confirmed[0]), "{reason}");
    refused(lab.site.retry(&id, None, operator()).await, "is not here any more");
    lab.import("tool", b"tool as confirmed").await;
    assert_eq!(lab.site.retry(&id, None, operator()).await.expect("again").state, State::PxeReady);
}

/// After a start it takes a while until it is known what the discovery image consists of.
#[tokio::test]
async fn parts_of_the_discovery_image_are_not_gone_before_it_is_known() {
    let lab = Fixture::new().await;
    assert!(!lab.site.comes("discovery/rescue"), "the image is known, and has none");
    *lab.site.discovery.write().expect("not poisoned") = None;
    assert!(lab.site.comes("discovery/rescue") && !lab.site.comes("rescue"));
}
