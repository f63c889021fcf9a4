use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::pair::{LIFE, RENEW_BEFORE};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn own(authority: &Arc<Authority>, names: &[&str]) -> Keeper {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Keeper::new(Source::Own { authority: authority.clone(), names })
}

#[test]
fn the_authority_is_made_once_and_kept_to_the_daemon() {
    let state = tempfile::tempdir().expect("a folder");
    let first = Authority::open(state.path(), now()).expect("made").shown();
    assert_eq!(Authority::open(state.path(), now() + DAY).expect("read").shown(), first);
    assert!(
        first.certificate.starts_with("-----BEGIN CERTIFICATE-----\n")
            && !first.certificate.contains("PRIVATE")
    );
    assert_eq!(first.fingerprint.split(':').count(), 32);
    assert!(first.expires_at > 1_800_000_000_000 + 20 * 365 * 86_400_000, "{}", first.expires_at);
    let path = state.path().join("authority.pem");
    assert_eq!(fs::metadata(&path).expect("it").mode() & 0o777, 0o600);

    // The key of another authority beside its certificate.
    let other = tempfile::tempdir().expect("a folder");
    Authority::open(other.path(), now()).expect("made");
    let text = fs::read_to_string(other.path().join("authority.pem")).expect("it");
    let key = &text[text.find("-----BEGIN PRIVATE KEY").expect("a key")..];
    fs::write(&path, format!("{}{key}", first.certificate)).expect("written");
    let error = Authority::open(state.path(), now()).expect_err("two authorities").to_string();
    assert!(error.contains("its key is not that of its certificate; restore it"), "{error}");
    fs::write(&path, "nothing").expect("written");
    assert!(Authority::open(state.path(), now()).is_err(), "it is not made again by itself");
}

#[test]
fn a_certificate_of_our_own_is_renewed_in_time_and_for_other_names() {
    let state = tempfile::tempdir().expect("a folder");
    let authority = Arc::new(Authority::open(state.path(), now()).expect("made"));
    let keeper = own(&authority, &["boot.example.org"]);
    assert!(keeper.config().is_none() && keeper.look(now()).expect("issued"));
    let first = keeper.shown().expect("one");
    assert_eq!(first.expires_at, now() + LIFE);
    let last = now() + LIFE - RENEW_BEFORE - DAY;
    assert!(!keeper.look(last).expect("nothing to do"));
    assert!(keeper.look(last + DAY).expect("renewed"));
    assert_ne!(keeper.shown(), Some(first));
    assert!(keeper.look(now()).expect("renewed"), "the clock was set back");
    let further = own(&authority, &["boot.example.org", "10.9.8.7"]);
    assert!(further.look(now()).expect("issued"));
}

#[test]
fn the_first_start_of_a_host_without_a_clock_makes_an_authority_that_lasts() {
    let state = tempfile::tempdir().expect("a folder");
    let authority = Authority::open(state.path(), SystemTime::UNIX_EPOCH).expect("made");
    assert!(authority.shown().expires_at > 1_800_000_000_000 + 20 * 365 * 86_400_000);
}

/// Certificate and key of somebody else's, in PEM.
fn foreign(begins: SystemTime, ends: SystemTime) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["boot.example.org".to_owned()]).expect("a name");
    params.not_before = begins.into();
    params.not_after = ends.into();
    (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

fn check(keeper: &Keeper, (certificate, key): (&Path, &Path), texts: (&str, &str), expected: &str) {
    fs::write(certificate, texts.0).expect("written");
    fs::write(key, texts.1).expect("written");
    let before = keeper.shown();
    let looked = keeper.look(now());
    match looked {
        Ok(changed) => assert_eq!((changed, expected), (true, "")),
        Err(error) => {
            assert!(!expected.is_empty() && error.to_string().contains(expected), "{error}");
            assert_eq!(keeper.shown(), before, "the one before stays");
        }
    }
}

#[test]
fn a_given_pair_is_taken_up_when_it_changes_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
    let keeper = Keeper::new(Source::Given { certificate: certificate.clone(), key: key.clone() });
    let error = keeper.look(now()).expect_err("nothing is there").to_string();
    assert!(error.starts_with("read /") && error.contains("a.crt: No such file"), "{error}");
    let paths = (certificate.as_path(), key.as_path());
    let good = foreign(now() - DAY, now() + DAY);
    let other = foreign(now() - DAY, now() + DAY);
    check(&keeper, paths, (&good.0, &good.1), "");
    assert!(!keeper.look(now()).expect("the same"));
    check(&keeper, paths, (&other.0, &good.1), "a.key: not of /");
    check(&keeper, paths, ("", &good.1), "a.crt: there is no certificate in it");
    check(&keeper, paths, (&good.0, "x"), "a.key: there is no private key in it");
    let old = foreign(now() - DAY, now());
    check(&keeper, paths, (&old.0, &old.1), "a.crt: it has ended");
    let early = foreign(now() + DAY, now() + DAY + DAY);
    check(&keeper, paths, (&early.0, &early.1), "is the clock of this host right?");
    assert!(keeper.config().is_some());
    check(&keeper, paths, (&other.0, &other.1), "");
}
