//! Builds: ordered once, taken once, known after a restart; an image that is there is not made again.

use std::pin::pin;

use futures_util::FutureExt;
use ironwake_api::{ArtifactState as State, BuildNew, BuildOutcome, BuildReport};

use super::operations::operator;
use super::*;

const NAME: &str = "debian-image/trixie-amd64";

fn new() -> BuildNew {
    BuildNew { name: NAME.into(), mirror: None }
}

fn ended(outcome: BuildOutcome) -> BuildReport {
    BuildReport { outcome: Some(outcome), ..BuildReport::default() }
}

async fn take(lab: &Fixture) -> Option<Build> {
    lab.site.next_build(Duration::ZERO, operator(), None).await.expect("an answer")
}

async fn import(lab: &Fixture, byte: u8) {
    let mut upload = lab.site.receive_import(NAME, None).expect("a place");
    upload.write(&vec![byte; 4096]).expect("written");
    let received = upload.finish(None).expect("whole");
    lab.site.import(NAME, received, operator(), None).await.expect("imported");
}

#[tokio::test]
async fn an_order_is_taken_once_and_survives_a_restart() {
    let lab = Fixture::new().await;
    let ordered = lab.site.order_build(new(), operator()).await.expect("ordered");
    assert_eq!(ordered.state, State::Queued);
    advance(Duration::from_secs(1));
    let again = lab.site.order_build(new(), operator()).await.expect("the same");
    assert_eq!(again, ordered, "one build for all who order it");

    let lab = lab.restart().await;
    assert_eq!(take(&lab).await.expect("the order").state, State::Working);
    assert_eq!(take(&lab).await, None, "it is taken");
    let stage = BuildReport { stage: Some("packing".into()), done_bytes: Some(5), ..BuildReport::default() };
    let told = lab.site.report_build(NAME, stage, operator()).await.expect("noted");
    assert_eq!((told.stage.as_deref(), told.done_bytes), (Some("packing"), Some(5)));

    let progress = |byte| BuildReport { done_bytes: Some(byte), ..BuildReport::default() };
    for byte in 6..20 {
        lab.site.report_build(NAME, progress(byte), operator()).await.expect("noted");
    }
    advance(Duration::from_secs(10));
    lab.site.report_build(NAME, progress(20), operator()).await.expect("noted");

    // The daemon starts anew in the middle: the builder goes on.
    let lab = lab.restart().await;
    let told = lab.kinds().await.into_iter().filter_map(|kind| match kind {
        EventKind::ArtifactBuildProgress { stage, done_bytes, .. } => Some((stage, done_bytes)),
        _ => None,
    });
    let packing = |bytes| ("packing".to_owned(), Some(bytes));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [packing(5), packing(20)],
        "once at its beginning, then now and then"
    );
    let line = BuildReport { lines: vec!["x".repeat(1000)], ..BuildReport::default() };
    let told = lab.site.report_build(NAME, line, operator()).await.expect("noted");
    assert_eq!((told.state, told.log[0].len()), (State::Working, 300));
    assert_eq!(take(&lab).await, None, "its builder has been heard");
    advance(Duration::from_secs(121));
    assert!(take(&lab).await.is_some(), "a builder that says nothing is gone");
}

/// A request may end at any moment, its token revoked or its client gone, and takes no order with it.
#[tokio::test]
async fn an_order_is_for_whoever_waits_still() {
    const HOUR: Duration = Duration::from_secs(3600);
    let lab = Fixture::new().await;
    let mut first = Box::pin(lab.site.next_build(HOUR, operator(), None));
    let mut second = pin!(lab.site.next_build(HOUR, operator(), None));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    lab.site.order_build(new(), operator()).await.expect("ordered");
    // The first one has heard of it, and waits for its turn to take it.
    let gate = lab.site.gate.lock().await;
    assert!(first.as_mut().now_or_never().is_none());
    drop(first);
    drop(gate);
    let taken = tokio::time::timeout(Duration::from_secs(60), second).await.expect("it is woken");
    assert_eq!(taken.expect("an answer").expect("the order").name, NAME);
}

#[tokio::test]
async fn what_was_made_is_known_by_its_recipe_as_long_as_it_is_there() {
    let lab = Fixture::new().await;
    lab.site.order_build(new(), operator()).await.expect("ordered");
    assert_eq!(take(&lab).await.expect("the order").recipe, None);
    let made = || ended(BuildOutcome::Made { recipe: "ab".into() });
    let refused = lab.site.report_build(NAME, made(), operator()).await;
    assert!(matches!(refused, Err(SiteError::Conflict(_))), "nothing was imported: {refused:?}");
    import(&lab, 1).await;
    let done = lab.site.report_build(NAME, made(), operator()).await.expect("noted");
    assert_eq!((done.state, done.recipe.as_deref()), (State::Done, Some("ab")));
    assert!(lab.site.report_build(NAME, made(), operator()).await.is_err(), "it has ended");

    let lab = lab.restart().await;
    lab.site.order_build(new(), operator()).await.expect("ordered");
    assert_eq!(take(&lab).await.expect("the order").recipe.as_deref(), Some("ab"));
    let unchanged = ended(BuildOutcome::Unchanged);
    assert_eq!(lab.site.report_build(NAME, unchanged, operator()).await.expect("noted").state, State::Done);

    // Somebody imported something else under this name.
    import(&lab, 2).await;
    lab.site.order_build(new(), operator()).await.expect("ordered");
    assert_eq!(take(&lab).await.expect("the order").recipe, None);
}

#[tokio::test]
async fn a_failure_says_why_and_may_be_ordered_again() {
    let lab = Fixture::new().await;
    lab.site.order_build(new(), operator()).await.expect("ordered");
    take(&lab).await.expect("the order");
    let failed = ended(BuildOutcome::Failed { error: "no mirror".into() });
    let build = lab.site.report_build(NAME, failed, operator()).await.expect("noted");
    assert_eq!((build.state, build.error.as_deref()), (State::Failed, Some("no mirror")));
    assert_eq!(lab.site.order_build(new(), operator()).await.expect("ordered").state, State::Queued);
    let said: Vec<String> = lab
        .kinds()
        .await
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::ArtifactBuild { said, .. } => Some(said),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["is ordered", "is being built", "could not be built: no mirror", "is ordered"]);
}

#[tokio::test]
async fn only_recipes_that_are_known_and_mirrors_that_are_urls_are_taken() {
    let lab = Fixture::new().await;
    for (name, mirror) in [
        ("debian-image/sid-amd64", None),
        ("anything", None),
        (NAME, Some("ftp://a.example/debian")),
        (NAME, Some("http://a.example/debian trixie main\ndeb http://b.example/")),
        (NAME, Some("http://a.example/[trusted=yes]")),
    ] {
        let new = BuildNew { name: name.into(), mirror: mirror.map(str::to_owned) };
        let refused = lab.site.order_build(new, operator()).await;
        assert!(matches!(refused, Err(SiteError::Invalid(_))), "{name} {mirror:?}: {refused:?}");
    }
    let mirror = Some("https://a.example:8443/debian/".to_owned());
    lab.site.order_build(BuildNew { name: NAME.into(), mirror }, operator()).await.expect("ordered");
}
