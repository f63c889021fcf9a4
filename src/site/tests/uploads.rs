//! Images that are being sent, and taken back.

use super::*;
use crate::artifacts::ImportError;

const NAME: &str = "disk.img";

fn operator() -> Actor {
    Actor::Operator("root".into())
}

#[tokio::test]
async fn what_is_being_sent_is_shown_and_ended_by_its_name() {
    let Fixture { site, state, .. } = Fixture::new().await;
    let files = || std::fs::read_dir(state.path().join("imports")).expect("a folder").count();
    let mut upload = site.receive_import(NAME, Some(4096)).expect("begun");
    upload.write(&[7; 1024]).expect("written");
    let artifact = site.artifact(NAME).expect("shown");
    assert_eq!(artifact.state, ArtifactState::Working);
    let shown = artifact.upload.expect("it is being sent");
    assert_eq!((shown.step, shown.percent), (DownloadStep::Fetching, Some(25)));
    assert!(site.artifacts().iter().any(|artifact| artifact.name == NAME));
    site.delete_import(NAME, operator()).await.expect("ended");
    site.delete_import(NAME, operator()).await.expect("it ends already");
    let events = site.store().events_after(0, None, 1000).await.expect("events");
    let cancelled = |event: &&Event| matches!(event.kind, EventKind::ArtifactCancelled { .. });
    assert_eq!(events.iter().filter(cancelled).count(), 1);
    assert!(matches!(upload.write(&[7; 512]), Err(ImportError::Cancelled)));
    drop(upload);
    assert!(site.artifact(NAME).is_err());

    // One that has come, and has no name yet; what had the name stays.
    let send = |byte: u8| {
        let mut upload = site.receive_import(NAME, None).expect("begun");
        upload.write(&[byte; 512]).expect("written");
        upload.finish(None).expect("whole")
    };
    site.import(NAME, send(1), operator(), None).await.expect("named");
    let received = send(2);
    site.delete_import(NAME, operator()).await.expect("ended");
    let ended = site.import(NAME, received, operator(), None).await;
    let cancelled =
        |error: &SiteError| matches!(error, SiteError::Import(e) if matches!(**e, ImportError::Cancelled));
    assert!(ended.as_ref().is_err_and(cancelled), "{ended:?}");
    assert_eq!((site.artifact(NAME).expect("it").state, files()), (ArtifactState::Done, 1));
    site.delete_import(NAME, operator()).await.expect("deleted");
    assert_eq!(files(), 0);
}
