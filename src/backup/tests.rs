//! Backups of a state directory, restored into another: whole, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ironwake_api::{Actor, Machine};
use proptest::prelude::*;

use super::take_up::{perform, steps};
use super::*;
use crate::artifact::Digest;
use crate::private;
use crate::store::{Change, Store};
use crate::systemd::NetworkFiles;

const PASSPHRASE: &str = "correct horse battery";
const IMAGE: &[u8] = b"the bytes of an image";

/// A state directory with a machine, and what an appliance has beside it.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// An appliance with a machine of this name.
    fn new(name: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(site.state()).expect("made");
        fs::create_dir(site.state().join("imports")).expect("made");
        fs::create_dir(site.folder.path().join("network")).expect("made");
        let store = Store::open(&site.state().join(DATABASE)).expect("a store");
        let machine = Machine { name: Some(name.into()), ..Machine::new(format!("id-of-{name}"), 1) };
        runtime().block_on(store.save(vec![Change::Machine(Box::new(machine))])).expect("saved");
        // Dropped, what it has saved may still be in its log.
        drop(store);
        for file in ["site.key", "authority.pem", "password"] {
            private::write(&site.state().join(file), format!("{file} of {name}").as_bytes())
                .expect("written");
        }
        site
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn network(&self) -> NetworkFiles {
        let folder = self.folder.path().join("network");
        NetworkFiles::at(&folder, &folder)
    }

    fn back_up(&self, images: &[Digest]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let host = [self.folder.path().join("profiles")];
        let prepared = prepare(Sources {
            state: &self.state(),
            configuration: &self.folder.path().join("ironwake.toml"),
            key: None,
            network: &self.network(),
            host: &host,
            images,
            ssh_host_key: Some("a key".into()),
            hostname: "boot-1".into(),
            now: 1_800_000_000_000,
        });
        prepared.expect("prepared").write_to(PASSPHRASE, &mut sealed).expect("written");
        assert!(!self.state().join(BACKING_UP).exists(), "nothing is left");
        sealed
    }

    fn unpack(&self, sealed: &[u8], passphrase: &str) -> Result<Staged, BackupError> {
        Staged::unpack(sealed, passphrase, &self.state(), None, &|_, upper| Ok(upper.to_owned()))
    }

    fn restore(&self, sealed: &[u8], address: bool) {
        let staged = self.unpack(sealed, PASSPHRASE).expect("unpacked");
        let note = Note::of(&staged.manifest, Actor::Daemon, address);
        staged.commit(note).expect("committed");
    }

    /// Whose machine it has, and whose keys.
    fn owner(&self) -> Vec<String> {
        let store = Store::open(&self.state().join(DATABASE)).expect("a store");
        let machines = runtime().block_on(store.machines()).expect("machines");
        let mut owner: Vec<String> = machines.into_iter().filter_map(|machine| machine.name).collect();
        for file in ["site.key", "authority.pem", "password"] {
            let text = fs::read_to_string(self.state().join(file)).unwrap_or_default();
            owner.push(text.rsplit(' ').next().unwrap_or_default().to_owned());
        }
        owner
    }

    #[track_caller]
    fn check(&self, name: &str) {
        assert_eq!(self.owner(), [name; 4]);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn an_appliance_goes_on_as_another_one() {
    let (first, second) = (Site::new("a"), Site::new("b"));
    let digest = Digest::of(IMAGE);
    fs::write(first.state().join("imports").join(digest.to_string()), IMAGE).expect("written");
    private::write(&first.state().join("settings.toml"), b"[discovery]\nenabled = false\n").expect("written");
    private::write(&second.state().join("ntp-servers.json"), b"[\"b.example\"]").expect("written");
    fs::create_dir_all(first.folder.path().join("profiles/own")).expect("made");
    fs::write(first.folder.path().join("profiles/own/profile.toml"), "kind = \"image\"\n").expect("written");
    let sealed = first.back_up(&[digest]);
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    assert!(!sealed.windows(9).any(|bytes| bytes == b"site.key "), "nothing is readable");

    let staged = second.unpack(&sealed, PASSPHRASE).expect("unpacked");
    let shown = staged.shown();
    assert_eq!((shown.machines, shown.images, shown.hostname.as_str()), (1, 1, "boot-1"));
    assert_eq!(shown.ssh_host_key.expect("a key").0, "a key");
    assert_eq!(shown.by_hand, Vec::<String>::new(), "the file is on this host as it is in the backup");
    drop(staged);
    assert!(!second.state().join(STAGING).exists());
    assert!(!take_up(&second.state(), &second.network()).expect("nothing to take up"));
    second.check("b");

    // Copies of what is replaced, to which an earlier version would go back.
    let copies = ["update/ironwake-0.1.0.db", "ironwake.db.v1"].map(|name| second.state().join(name));
    fs::create_dir_all(second.state().join("update")).expect("made");
    copies.iter().for_each(|copy| fs::write(copy, "of b").expect("written"));
    second.restore(&sealed, false);
    assert!(matches!(second.unpack(&sealed, PASSPHRASE), Err(BackupError::Busy)));
    assert!(take_up(&second.state(), &second.network()).expect("taken up"));
    second.check("a");
    assert!(copies.iter().all(|copy| !copy.exists()), "they are of the appliance before");
    let state = second.state();
    assert_eq!(fs::read(state.join("imports").join(digest.to_string())).expect("an image"), IMAGE);
    assert!(fs::read_to_string(state.join("settings.toml")).expect("settings").contains("enabled = false"));
    assert!(!state.join("ntp-servers.json").exists(), "it is the other appliance's");
    for file in [DATABASE, "site.key", "authority.pem", "password", "settings.toml", NOTE] {
        let mode = fs::metadata(state.join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(note(&state).expect("read").expect("a note").hostname, "boot-1");
    assert!(!take_up(&state, &second.network()).expect("once"));
}

#[test]
fn addresses_come_where_they_are_asked_for() {
    let (first, second) = (Site::new("a"), Site::new("b"));
    first.network().put("05-ironwake-eth0.network", Some("first\n")).expect("written");
    second.network().put("05-ironwake-eth1.network", Some("second\n")).expect("written");
    let sealed = first.back_up(&[]);
    second.restore(&sealed, false);
    take_up(&second.state(), &second.network()).expect("taken up");
    let names = |site: &Site| -> Vec<String> {
        site.network().all().expect("read").into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&second), ["05-ironwake-eth1.network"]);
    second.restore(&sealed, true);
    take_up(&second.state(), &second.network()).expect("taken up");
    assert_eq!(names(&second), ["05-ironwake-eth0.network"]);
}

/// Where addresses cannot be written, the rest is restored all the same.
#[test]
fn addresses_that_cannot_be_written_keep_no_daemon_from_starting() {
    let (first, second) = (Site::new("a"), Site::new("b"));
    first.network().put("05-ironwake-eth0.network", Some("first\n")).expect("written");
    second.restore(&first.back_up(&[]), true);
    let nowhere = second.folder.path().join("nowhere");
    assert!(take_up(&second.state(), &NetworkFiles::at(&nowhere, &nowhere)).expect("taken up"));
    second.check("a");
}

/// A crash behind any step: the next start ends with the whole of the backup, and before the first one with the whole of
/// what was there.
#[test]
fn a_crash_at_any_step_leaves_one_appliance_or_the_other() {
    let first = Site::new("a");
    first.network().put("05-ironwake-eth0.network", Some("first\n")).expect("written");
    let digest = Digest::of(IMAGE);
    fs::write(first.state().join("imports").join(digest.to_string()), IMAGE).expect("written");
    let sealed = first.back_up(&[digest]);
    let mut crashes = 0;
    for crash in 0.. {
        let second = Site::new("b");
        // As a daemon leaves it that is killed.
        fs::write(second.state().join("ironwake.db-wal"), "the log of another database").expect("written");
        second.restore(&sealed, true);
        let network = second.network();
        let planned = steps(&second.state(), &network).expect("steps");
        if crash > planned.len() {
            break;
        }
        for step in &planned[..crash] {
            perform(step, &network).expect("a step");
        }
        take_up(&second.state(), &network).expect("taken up");
        second.check("a");
        assert_eq!(network.read("05-ironwake-eth0.network").expect("read").as_deref(), Some("first\n"));
        assert_eq!(fs::read(second.state().join("imports").join(digest.to_string())).expect("it"), IMAGE);
        for left in [BACKING_UP, STAGING, COMMITTED] {
            assert!(!second.state().join(left).exists(), "{left} after {crash} steps");
        }
        crashes += 1;
    }
    assert!(crashes > 10, "{crashes}");
}

/// What is not committed is nothing: a daemon that starts finds its own state.
#[test]
fn what_was_unpacked_and_not_committed_goes() {
    let (first, second) = (Site::new("a"), Site::new("b"));
    let sealed = first.back_up(&[]);
    let staged = second.unpack(&sealed, PASSPHRASE).expect("unpacked");
    // Killed.
    std::mem::forget(staged);
    fs::create_dir(second.state().join(BACKING_UP)).expect("made");
    fs::write(second.state().join(BACKING_UP).join(DATABASE), "half").expect("written");
    assert!(second.state().join(STAGING).join("state").join(DATABASE).exists());
    assert!(!take_up(&second.state(), &second.network()).expect("swept"));
    assert!(!second.state().join(STAGING).exists() && !second.state().join(BACKING_UP).exists());
    second.check("b");
}

#[test]
fn what_is_no_backup_is_told_as_such() {
    let (first, second) = (Site::new("a"), Site::new("b"));
    let sealed = first.back_up(&[]);
    let refused = |sealed: &[u8], passphrase: &str| {
        let Err(error) = second.unpack(sealed, passphrase) else { panic!("it is taken") };
        assert!(!second.state().join(STAGING).exists());
        error
    };
    assert!(matches!(refused(&sealed, "correct horse staple"), BackupError::Passphrase));
    assert!(matches!(refused(b"", PASSPHRASE), BackupError::Damaged(_)));
    assert!(matches!(refused(b"PK\x03\x04 and no backup", PASSPHRASE), BackupError::Foreign(_)));
    let of = |files: &[(&str, &[u8])]| {
        let mut recipient = age::scrypt::Recipient::new(PASSPHRASE.to_owned().into());
        recipient.set_work_factor(1);
        let sealing = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient));
        let mut tar = tar::Builder::new(sealing.expect("sealed").wrap_output(Vec::new()).expect("a head"));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, *bytes).expect("added");
        }
        tar.into_inner().expect("a tar").finish().expect("an end")
    };
    let said = refused(&of(&[("a", b"b")]), PASSPHRASE).to_string();
    assert!(said.contains("does not begin with backup.json"), "{said}");
    let newer = br#"{"format":2,"version":"9.9.9","schema":1}"#;
    let said = refused(&of(&[("backup.json", newer)]), PASSPHRASE).to_string();
    assert!(said.contains("Ironwake 9.9.9") && said.contains("update this appliance first"), "{said}");
    let newer = br#"{"format":1,"version":"9.9.9","schema":999}"#;
    assert!(matches!(refused(&of(&[("backup.json", newer)]), PASSPHRASE), BackupError::Newer { .. }));
    // A name that leads out of the folder belongs nowhere.
    let entry = Entry { name: "state/../../x".into(), size: 1, sha256: Digest::of(b"x").to_string() };
    let manifest = Manifest {
        format: FORMAT,
        version: "0".into(),
        schema: 1,
        made_at: 1,
        hostname: "h".into(),
        artifacts: false,
        files: vec![entry],
    };
    let text = serde_json::to_vec(&manifest).expect("JSON");
    let said = refused(&of(&[("backup.json", &text), ("state/x", b"x")]), PASSPHRASE).to_string();
    assert!(said.contains("is where state/../../x should be"), "{said}");
    second.check("b");
}

#[test]
fn settings_that_do_not_fit_and_another_key_that_is_passed_are_refused() {
    let (first, second) = (Site::new("a"), Site::new("b"));
    let sealed = first.back_up(&[]);
    let state = second.state();
    let refuse = |_: &str, _: &str| Err("line 1: no".to_owned());
    let refused = Staged::unpack(&sealed[..], PASSPHRASE, &state, None, &refuse);
    assert!(matches!(refused, Err(BackupError::Settings(why)) if why == "line 1: no"));
    let settle = |_: &str, upper: &str| Ok(upper.to_owned());
    let credential = second.folder.path().join("credential");
    fs::write(&credential, "another key").expect("written");
    let refused = Staged::unpack(&sealed[..], PASSPHRASE, &state, Some(&credential), &settle);
    assert!(matches!(refused, Err(BackupError::Credential)));
    fs::write(&credential, "site.key of a").expect("written");
    let staged =
        Staged::unpack(&sealed[..], PASSPHRASE, &state, Some(&credential), &settle).expect("the same key");
    let note = Note::of(&staged.manifest, Actor::Daemon, false);
    staged.commit(note).expect("committed");
    take_up(&state, &second.network()).expect("taken up");
    assert!(!state.join("site.key").exists(), "who passes it wants it in no file");
}

fn sealed_once() -> &'static [u8] {
    static SEALED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SEALED.get_or_init(|| Site::new("a").back_up(&[]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Cut off anywhere, or with any bit changed, it is refused, and nothing stays of it.
    #[test]
    fn damage_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<bool>()) {
        let second = tempfile::tempdir().expect("a folder");
        let mut sealed = sealed_once().to_vec();
        let at = at.index(sealed.len());
        match cut {
            true => sealed.truncate(at),
            false => sealed[at] ^= 1 << bit,
        }
        let settle = |_: &str, upper: &str| Ok(upper.to_owned());
        let refused = Staged::unpack(&sealed[..], PASSPHRASE, second.path(), None, &settle);
        prop_assert!(refused.is_err(), "byte {at}, cut {cut}");
        prop_assert_eq!(fs::read_dir(second.path()).expect("a folder").count(), 0);
    }
}

#[test]
fn a_later_daemon_reads_an_image_that_was_spoilt_as_such() {
    let first = Site::new("a");
    let digest = Digest::of(IMAGE);
    fs::write(first.state().join("imports").join(digest.to_string()), "other bytes").expect("written");
    let prepared = prepare(Sources {
        state: &first.state(),
        configuration: Path::new("/nowhere/ironwake.toml"),
        key: None,
        network: &first.network(),
        host: &[],
        images: &[digest],
        ssh_host_key: None,
        hostname: "boot-1".into(),
        now: 1,
    });
    let refused = prepared.expect("prepared").write_to(PASSPHRASE, std::io::sink());
    assert!(matches!(refused, Err(BackupError::Image(name)) if name.contains(&digest.to_string())));
}
