//! Which profiles fit a machine.

use super::operations::disk;
use super::rebuild::{import, with_machine};
use super::*;

async fn fit(lab: &Fixture, machine: &str, profile: &str) -> ProfileFit {
    let all = lab.site.fitting_profiles(machine).await.expect("a list");
    all.into_iter().find(|fit| fit.name == profile).expect(profile)
}

#[tokio::test]
async fn a_profile_that_fits_says_on_which_disks_and_what_is_still_to_be_given() {
    let (lab, machine) = with_machine().await;
    let found = fit(&lab, &machine, "cloud-image").await;
    assert!(found.fits && found.reasons.is_empty(), "{found:?}");
    assert_eq!(found.operation, Some(OperationKind::Rebuild));
    assert_eq!(found.disks, ["sda"]);
    let fields: Vec<&str> = found.variables.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["variables.image"]);

    let patch = MachineValuesPatch { values: BTreeMap::from([("image".to_owned(), "thirteen".into())]) };
    lab.site.set_machine_values(&machine, patch, operator()).await.expect("set");
    let found = fit(&lab, &machine, "cloud-image").await;
    assert_eq!(found.variables, []);
    let image = GivenValue { value: "thirteen".into(), from: "machine".into() };
    assert_eq!(found.given, BTreeMap::from([("image".to_owned(), image)]));
    let secret = BTreeMap::from([("password_hash".to_owned(), "$6$salt$secret".into())]);
    let patch = MachineValuesPatch { values: secret };
    lab.site.set_machine_values(&machine, patch, operator()).await.expect("set");
    let found = fit(&lab, &machine, "cloud-image").await;
    assert_eq!(found.given["password_hash"].value, "***");
    assert!(!format!("{found:?}").contains("$6$salt$secret"), "no secret is shown");
    let local = fit(&lab, &machine, "local").await;
    assert_eq!((local.operation, local.disks), (None, Vec::new()));
    assert_eq!(fit(&lab, &machine, "memtest").await.operation, Some(OperationKind::Rescue));
}

#[tokio::test]
async fn a_profile_that_does_not_fit_says_every_reason() {
    let lab = Fixture::new().await;
    import(&lab).await;
    let machine = lab.enrolled(vec![disk("sda", "A")]).await;
    let found = fit(&lab, &machine, "cloud-image").await;
    assert!(!found.fits && found.disks.is_empty());
    assert_eq!(found.reasons, ["it needs a disk of 3.7 GiB, and the machine has none"]);

    let image = fit(&lab, &machine, "debian-image").await;
    assert!(
        image.missing[0].contains("`ironwake artifact build debian-image/trixie-amd64` makes it"),
        "{image:?}"
    );
    let installer = fit(&lab, &machine, "debian-installer").await;
    assert!(
        !installer.missing.is_empty() && installer.missing.iter().all(|text| text.contains("is not here"))
    );
}

#[tokio::test]
async fn what_the_daemon_makes_itself_is_not_to_be_imported() {
    let (lab, machine) = with_machine().await;
    let queued = Artifact::new("discovery/vmlinuz", ArtifactKind::Kernel, ArtifactState::Queued);
    lab.site.set_artifact(queued);
    let missing = fit(&lab, &machine, "rescue").await.missing;
    assert!(missing.iter().any(|text| text.contains("\"discovery/vmlinuz\" is not made yet")), "{missing:?}");
}

#[tokio::test]
async fn a_machine_without_an_inventory_can_be_written_with_nothing() {
    let lab = Fixture::new().await;
    let new = MachineNew { serial: Some("A1234".into()), ..MachineNew::default() };
    let machine = lab.site.register(new, operator()).await.expect("registered").id;
    let found = fit(&lab, &machine, "cloud-image").await;
    assert!(!found.fits && found.reasons[0].contains("has no inventory yet"), "{found:?}");
    assert!(fit(&lab, &machine, "local").await.fits);
    assert!(matches!(lab.site.fitting_profiles("nobody").await, Err(SiteError::NoSuchMachine(_))));
}

#[tokio::test]
async fn variables_say_what_they_take() {
    let lab = Fixture::new().await;
    let variable = |profile: &str, name: &str| {
        let profile = lab.site.profile(profile).expect("a profile");
        profile.variables.into_iter().find(|variable| variable.name == name).expect(name)
    };
    let user = variable("cloud-image", "user");
    assert_eq!((user.default, user.max, user.pattern), (Some("admin".into()), Some(32), Some("*".into())));
    let hash = variable("cloud-image", "password_hash");
    assert_eq!((hash.secret, hash.default, hash.pattern.as_deref()), (true, None, Some("$*$*")));
    assert!(variable("cloud-image", "image").required);
    assert_eq!(variable("cloud-image", "packages").default, Some(serde_json::json!([])));
    let release = variable("debian-image", "release");
    assert_eq!(
        (release.choices, release.default),
        (vec!["trixie".into(), "bookworm".into()], Some("trixie".into()))
    );
}
