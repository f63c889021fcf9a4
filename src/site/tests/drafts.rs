//! Dry runs: every mistake at once, and nothing is changed.

use super::operations::{disk, operator};
use super::rebuild::{rebuild, with_machine};
use super::*;

fn fields(run: &DryRun) -> Vec<&str> {
    run.mistakes.iter().map(|problem| problem.field.as_str()).collect()
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_recorded_and_records_nothing() {
    let (lab, machine) = with_machine().await;
    let events = lab.kinds().await;
    let run = lab.site.dry_run(&machine, &rebuild("thirteen")).await.expect("an answer");
    assert_eq!(run.mistakes, []);
    assert_eq!(lab.kinds().await, events, "no event");
    assert_eq!(lab.site.operations(&OperationQuery::default()).await.expect("a list"), []);
    assert_eq!(lab.plan(1), BootPlan::LocalBoot(Why::NotArmed), "nothing is armed");

    let made = lab.site.operate(&machine, rebuild("thirteen"), operator()).await.expect("an operation");
    assert_eq!((&run.disks, &run.profile), (&made.disks, &made.profile));
    let sha256 = lab.site.artifact("thirteen").expect("there").sha256.expect("a digest");
    assert_eq!(run.artifacts, [SettledArtifact { name: "thirteen".into(), sha256 }]);
    assert_eq!(run.hostname.as_deref(), Some("node-525400000001"));
    let user_data = run.files.iter().find(|file| file.place.ends_with("/user-data")).expect("a seed");
    assert!(user_data.content.contains("***"), "{}", user_data.content);
    assert!(!format!("{run:?}").contains("$6$salt$secret"), "no secret is shown");
}

#[tokio::test]
async fn a_dry_run_says_every_mistake_at_once() {
    let lab = Fixture::new().await;
    let machine = lab.enroll("A1234", &[1]).await.answer.machine;
    let mut new = rebuild("thirteen");
    new.armed_secs = Some(1);
    new.disks = vec!["fastest".into()];
    new.variables.insert("imgae".into(), "x".into());
    let run = lab.site.dry_run(&machine, &new).await.expect("an answer");
    assert_eq!(fields(&run), ["machine", "armed_secs", "disks[0]", "profile", "variables.imgae"]);
    assert!(run.mistakes[0].message.contains("is not enrolled"), "{:?}", run.mistakes);
    assert!(matches!(lab.site.dry_run("nobody", &new).await, Err(SiteError::NoSuchMachine(_))));
}

#[tokio::test]
async fn a_dry_run_says_what_runs_on_the_machine_and_knows_the_disks_all_the_same() {
    let (lab, machine) = with_machine().await;
    lab.site.operate(&machine, rebuild("thirteen"), operator()).await.expect("an operation");
    let wipe = OperationNew {
        kind: OperationKind::Wipe,
        profile: None,
        variables: Default::default(),
        disks: vec!["only".into()],
        arm: true,
        armed_secs: None,
    };
    let run = lab.site.dry_run(&machine, &wipe).await.expect("an answer");
    assert_eq!(fields(&run), ["machine"]);
    assert!(run.mistakes[0].message.contains("cancel it or wait"), "{:?}", run.mistakes);
    assert_eq!(run.disks.len(), 1);
    assert_eq!(run.disks[0].serial, disk("sda", "A").serial);
}
