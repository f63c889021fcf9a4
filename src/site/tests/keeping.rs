//! Imports make room for others, and never while something needs them.

use super::operations::operator;
use super::*;
use crate::artifacts::ImportError;

const MIB: usize = 1 << 20;

async fn import(lab: &Fixture, name: &str, byte: u8, size: usize) -> Result<(), SiteError> {
    let mut upload = lab.site.receive_import(name, None)?;
    upload.write(&vec![byte; size])?;
    let received = upload.finish(None)?;
    lab.site.import(name, received, operator(), None).await.map(drop)
}

fn names(lab: &Fixture) -> Vec<String> {
    lab.site.artifacts().into_iter().map(|artifact| artifact.name).collect()
}

async fn with(limits: &str) -> Fixture {
    Fixture::with(&format!("[artifacts]\n{limits}\n")).await
}

#[tokio::test]
async fn the_longest_unused_makes_room_and_a_machine_that_fetches_uses() {
    let lab = with("max_size = \"10MiB\"").await;
    for (name, byte) in [("one", 1), ("two", 2), ("three", 3)] {
        import(&lab, name, byte, 3 * MIB).await.expect("imported");
        advance(Duration::from_secs(60));
    }
    // `one` is the oldest, and is fetched.
    let one = lab.site.artifact("one").expect("there").sha256.expect("a digest");
    lab.site.fetched(&one);
    advance(Duration::from_secs(3600));
    lab.site.tend_imports().await;
    import(&lab, "four", 4, 3 * MIB).await.expect("imported");
    assert_eq!(names(&lab), ["four", "one", "three"]);
    let evicted = lab.kinds().await.into_iter().find_map(|kind| match kind {
        EventKind::ArtifactEvicted { name, reason, .. } => Some((name, reason)),
        _ => None,
    });
    let (name, reason) = evicted.expect("an event");
    assert!(name == "two" && reason.contains("10485760 are kept"), "{name}: {reason}");
    let lab = lab.restart().await;
    assert_eq!(names(&lab), ["four", "one", "three"]);
    assert!(lab.site.artifact("two").is_err());
}

#[tokio::test]
async fn what_is_pinned_or_named_by_a_profile_stays_and_what_does_not_fit_beside_it_is_refused() {
    let lab = with("max_size = \"10MiB\"\nkeep = \"1d\"").await;
    // A name that the shipped installer profile has by its defaults.
    let kernel = lab.site.named_by("debian-installer").into_iter().next().expect("a name");
    import(&lab, &kernel, 1, 4 * MIB).await.expect("imported");
    import(&lab, "gold", 2, 4 * MIB).await.expect("imported");
    let pin = ArtifactPatch { pinned: Some(true) };
    lab.site.edit_import("gold", pin, operator()).await.expect("pinned");
    import(&lab, "other", 3, MIB).await.expect("imported");
    assert_eq!(lab.site.artifact(&kernel).expect("there").needed_by, ["profile debian-installer"]);
    let mib = |mib: u64| mib << 20;
    let usage = lab.site.artifact_usage();
    assert_eq!((usage.imports, usage.bytes, usage.bytes_max), (3, mib(9), mib(10)));
    assert_eq!(
        (usage.pinned_bytes, usage.needed_bytes, usage.evictable_bytes, usage.unused_secs_max),
        (mib(4), mib(4), mib(1), 86_400)
    );
    let fate = |name: &str| {
        let artifact = lab.site.artifact(name).expect("there");
        (artifact.deletable, artifact.undeletable.unwrap_or_default())
    };
    assert_eq!((fate("other"), fate(&kernel).0), ((true, String::new()), true));
    let (deletable, why) = fate("gold");
    assert!(!deletable && why.contains("artifact unpin gold"), "{why}");
    let refusal = lab.site.delete_import("gold", operator()).await.expect_err("refused");
    assert_eq!(refusal.to_string(), why, "what is told is what is done");
    let error = import(&lab, "large", 4, 5 * MIB).await.expect_err("refused");
    let SiteError::Import(error) = error else { panic!("{error}") };
    assert!(matches!(*error, ImportError::OverLimit { over: 3_145_728, .. }), "{error}");
    assert!(error.to_string().contains("artifact unpin"), "{error}");
    // Nothing was removed for what was refused.
    assert_eq!(names(&lab).len(), 3);
    advance(Duration::from_secs(3 * 86_400));
    lab.site.tend_imports().await;
    let mut kept = vec![kernel, "gold".to_owned()];
    kept.sort();
    assert_eq!(names(&lab), kept);
}
