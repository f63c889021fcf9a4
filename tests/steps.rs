//! The last steps of a rebuild against OpenSSH's server, and the key that they log in with: fresh, sealed, gone in the end.

mod site;
mod sshd;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use ironwake::operation::{Purpose, SiteKey, Trigger};
use ironwake::site::ScriptRequest;
use ironwake::store::Change;
use ironwake_api::*;
use site::{PATIENCE, TestSite};
use sshd::{OTHER_KEY, Sshd, free_port};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const HTTP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080);
const SECRET: &str = "correct horse; battery";
const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);

/// How the profile of a test installs.
const IMAGE: &str = "kind = \"image\"\n[image]\nartifact = \"gold\"\n[[file]]\ntemplate = \"authorized_keys.j2\"\n\
                     partition = 1\npath = \"/authorized_keys\"\n";
const INSTALLER: &str = "kind = \"installer\"\n[boot]\nkernel = \"gold\"\n[[file]]\ntemplate = \"authorized_keys.j2\"\n\
                         name = \"answers\"\n";

/// A profile of kind image with these steps, which logs in at `port`.
fn write_profile(folder: &Path, port: u16, steps: &str, scripts: &[(&str, &str)]) {
    write_profile_of(IMAGE, folder, port, steps, scripts);
}

fn write_profile_of(kind: &str, folder: &Path, port: u16, steps: &str, scripts: &[(&str, &str)]) {
    let profile = folder.join("stepped");
    fs::create_dir_all(&profile).expect("a folder");
    let text = format!(
        "name = \"stepped\"\nversion = \"1\"\n{kind}\
         [variables.join_key]\ntype = \"string\"\nsecret = true\n[login]\nport = {port}\n{steps}"
    );
    fs::write(profile.join("profile.toml"), text).expect("written");
    let keys = "{% if operation.ssh_key %}{{ operation.ssh_key | line }}{% endif %}\n";
    for (name, text) in scripts.iter().chain(&[("authorized_keys.j2", keys)]) {
        fs::write(profile.join(name), text).expect("written");
    }
}

fn operator() -> Actor {
    Actor::Operator("test".into())
}

/// A machine whose image is written, which is about to boot it.
struct Rebuild {
    test: TestSite,
    operation: String,
    /// Line of the public key that the agent was told to write.
    authorized: String,
    attending: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Rebuild {
    async fn new(state: tempfile::TempDir, profiles: &Path) -> Self {
        let (test, machine, operation) = served(state, profiles).await;
        let work = site_key().token(Purpose::Work, &operation, 1);
        let request = ClaimRequest { machine, boot_mac: MAC };
        let claim = test.site.claim(&operation, &work, &request, HOST, HTTP).await.expect("the work");
        let again =
            test.site.claim(&operation, &work, &request, HOST, HTTP).await.expect("its answer was lost");
        assert_eq!(claim, again, "the same key");
        let Work::Image(image) = claim.work else { panic!("{claim:?}") };
        let authorized = image.files[0].content.trim().to_owned();
        for report in [WorkReport::Began, WorkReport::Done] {
            test.site.work_report(&operation, &work, report, HOST).await.expect("noted");
        }
        Self { test, operation, authorized, attending: None }
    }

    /// One that is attended to, and whose host has phoned home.
    async fn at_home(sshd: &Sshd, profiles: &Path) -> Self {
        let mut rebuild = Self::new(tempfile::tempdir().expect("a folder"), profiles).await;
        sshd.authorize(&rebuild.authorized);
        rebuild.attend();
        rebuild.phone_home(Some(sshd.host_key())).await;
        rebuild
    }

    /// By an installer, which fetches its answers and says that it is done.
    async fn by_installer(state: tempfile::TempDir, profiles: &Path) -> Self {
        let (test, _, operation) = served(state, profiles).await;
        let (test, authorized) = answered(test, &operation).await;
        let installed = site_key().token(Purpose::Installed, &operation, 1);
        test.site.installed(&operation, &installed, PhoneHome::default(), HOST).await.expect("heard");
        Self { test, operation, authorized, attending: None }
    }

    fn attend(&mut self) {
        let shutdown = CancellationToken::new();
        let attending = tokio::spawn(self.test.site.clone().attend_hosts(shutdown.clone()));
        self.attending = Some((attending, shutdown));
    }

    /// Stops attending as kill -9 does: nothing is said to anybody.
    async fn cut_off(&mut self) {
        let (attending, _) = self.attending.take().expect("it attends");
        attending.abort();
        let _ = attending.await;
    }

    async fn phone_home(&self, host_key: Option<String>) {
        let token = site_key().token(Purpose::PhoneHome, &self.operation, 1);
        let call =
            PhoneHome { hostname: Some("node-1".into()), pub_key_ed25519: host_key, ..PhoneHome::default() };
        self.test.site.phone_home(&self.operation, &token, call, HOST).await.expect("heard");
    }

    /// The operation once it has reached this state.
    async fn reaches(&mut self, state: OperationState) -> Operation {
        let id = self.operation.clone();
        let change = |kind: &EventKind| match kind {
            EventKind::OperationChanged { to, .. } if *to == state || to.has_ended() => Some(()),
            _ => None,
        };
        if !self.test.site.operation(&id).await.expect("an operation").state.has_ended() {
            self.test.next("change", change).await;
        }
        loop {
            let operation = self.test.site.operation(&id).await.expect("an operation");
            if operation.state == state {
                return operation;
            }
            assert!(!operation.state.has_ended(), "{operation:#?}");
            // The event comes with the commit, and memory shows it a moment later.
            tokio::task::yield_now().await;
        }
    }

    /// What was said of the key once it is gone.
    async fn key_removed(&mut self) -> String {
        let gone = |kind: &EventKind| match kind {
            EventKind::LoginKeyRemoved { what, .. } => Some(what.clone()),
            _ => None,
        };
        if let Some(what) = self.test.events().await.iter().find_map(gone) {
            return what;
        }
        self.test.next("removed key", gone).await
    }

    /// The private half, while it is there.
    async fn seed(&self) -> (Vec<u8>, Vec<u8>) {
        let sealed =
            self.test.site.store().login_key(&self.operation).await.expect("a store").expect("a key");
        let seed = site_key().open(&format!("login key of {}", self.operation), &sealed).expect("our key");
        (seed.to_vec(), sealed)
    }
}

/// A machine whose kernel was served, and its operation.
async fn served(state: tempfile::TempDir, profiles: &Path) -> (TestSite, String, String) {
    let test = TestSite::load_with(state, &format!("profiles = {profiles:?}\n")).await;
    let mut upload = test.site.receive_import("gold", None).expect("a place");
    upload.write(&vec![1; 1 << 20]).expect("written");
    test.site.import("gold", upload.finish(None).expect("whole"), operator(), None).await.expect("imported");
    let disk = Disk { name: "sda".into(), serial: Some("A".into()), size_bytes: 1 << 30, ..Disk::default() };
    let inventory = Inventory {
        schema: 1,
        system: System { serial: Some("S1".into()), ..System::default() },
        nics: vec![Nic { mac: Some(MAC), ..Nic::default() }],
        disks: vec![disk],
        ..Inventory::default()
    };
    let report = EnrollRequest { agent: "test".into(), boot_mac: MAC, inventory };
    let machine = test.site.enroll(report, None, HOST).await.expect("an inventory").answer.machine;
    test.site.enroll_by_operator(&machine, operator()).await.expect("enrolled");
    let new = OperationNew {
        kind: OperationKind::Rebuild,
        profile: Some("stepped".into()),
        variables: BTreeMap::from([("join_key".to_owned(), SECRET.into())]),
        disks: vec!["only".into()],
        arm: true,
        armed_secs: None,
    };
    let operation = test.site.operate(&machine, new, operator()).await.expect("an operation").id;
    let script = test.site.ipxe_script(&ScriptRequest {
        mac: MAC,
        uuid: None,
        serial: None,
        asset_tag: None,
        client: ClientStage::Ipxe,
        http: HTTP,
        from: Ipv4Addr::UNSPECIFIED,
        only_looks: false,
    });
    let kernel = site_key().token(Purpose::Kernel, &operation, 1);
    assert!(script.text.contains(&kernel), "{}", script.text);
    test.site.serve_armed(&operation, &kernel, HOST, HTTP).await.expect("served");
    (test, machine, operation)
}

/// What an installer is answered with: the same line after a crash between its kernel and its answers.
async fn answered(test: TestSite, operation: &str) -> (TestSite, String) {
    let files = site_key().token(Purpose::AnswerFile, operation, 1);
    let test = test.restart().await;
    let mut lines = Vec::new();
    for _ in 0..2 {
        let file = test.site.answer_file(operation, &files, "answers", HOST, HTTP).await.expect("answers");
        lines.push(file.content.trim().to_owned());
    }
    assert!(lines[0].starts_with("ssh-ed25519 ") && lines[0] == lines[1], "{lines:?}");
    (test, lines.remove(0))
}

fn site_key() -> SiteKey {
    SiteKey::new([7; 32])
}

/// What a search for a key looks for: its bytes, and how texts write them.
fn spellings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = serde_json::to_string(bytes).expect("numbers");
    let base64 = |skip: usize| {
        // Three bytes are four letters wherever they stand, so three alignments are all there are.
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let letters = |three: &[u8]| {
            let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize])
        };
        bytes[skip..].chunks_exact(3).flat_map(letters).collect::<Vec<u8>>()
    };
    let mut all =
        vec![bytes.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes(), list.into_bytes()];
    all.extend([base64(0), base64(1), base64(2)]);
    all
}

/// Every file below `folder` that holds one of these.
fn holders(folder: &Path, wanted: &[Vec<u8>]) -> Vec<String> {
    let mut holders = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            holders.extend(self::holders(&path, wanted));
        } else if let Ok(bytes) = fs::read(&path)
            && wanted.iter().any(|part| bytes.windows(part.len()).any(|window| window == part))
        {
            holders.push(path.display().to_string());
        }
    }
    holders
}

const JOIN: &str = "#!/bin/sh
# The first try fails, as a cluster that is not up yet makes it fail.
[ -e tried ] || { touch tried; echo not yet >&2; exit 3; }
rm tried
cat
printf 'joined with %s\\n' {{ join_key | shell }}
ps -ef | grep -c 'hors[e]' || true
exit 7
";

/// Parity PV11 and CP15: the steps run with retries, what they end with is kept, and neither the script nor the key stays.
#[tokio::test(flavor = "multi_thread")]
async fn parity_pv11_cp15_steps_run_and_the_key_is_gone_at_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let steps = "[[step]]\nname = \"join\"\nscript = \"join.sh.j2\"\nretries = 2\nbackoff = \"1s\"\nexit_code = 7\n\
                 [[step]]\nname = \"nothing\"\ncommand = \"{% if false %}exit 9{% endif %}\"\n\
                 [[step]]\nname = \"who\"\ncommand = \"echo {{ hostname }} on $(id -u)\"\nshell = \"bash\"\n";
    write_profile(folder.path(), sshd.port, steps, &[("join.sh.j2", JOIN)]);
    let mut rebuild = Rebuild::new(tempfile::tempdir().expect("a folder"), folder.path()).await;
    sshd.authorize(&rebuild.authorized);
    let before = sshd.files();
    let (seed, sealed) = rebuild.seed().await;
    let wanted = spellings(&seed);
    assert_eq!(
        holders(rebuild.test.folder(), &wanted),
        [""; 0],
        "it is in the store sealed, and nowhere else"
    );
    assert_ne!(holders(rebuild.test.folder(), std::slice::from_ref(&sealed)), [""; 0]);
    rebuild.attend();
    rebuild.phone_home(Some(sshd.host_key())).await;
    let ready = rebuild.reaches(OperationState::Ready).await;

    let shown: Vec<(&str, StepState, u32, Option<u32>)> =
        ready.steps.iter().map(|step| (step.name.as_str(), step.state, step.tries, step.exit_code)).collect();
    assert_eq!(shown, [("join", StepState::Done, 2, Some(7)), ("who", StepState::Done, 1, Some(0))]);
    assert_eq!(
        ready.steps[0].output, "joined with ***\n0\n",
        "the secret is neither shown nor in the process list"
    );
    assert!(ready.steps[1].output.ends_with(" on 0\n"), "{}", ready.steps[1].output);
    assert_eq!(sshd.authorized().trim(), OTHER_KEY);
    assert_eq!(sshd.files(), before, "nothing is left on the host");
    assert_eq!(rebuild.key_removed().await, "the operation's key was removed from the host and destroyed");

    let all = spellings(&seed).into_iter().chain([sealed]).collect::<Vec<_>>();
    assert_eq!(holders(rebuild.test.folder(), &all), [""; 0], "neither sealed nor open");
    let said = format!("{:?} {}", rebuild.test.events().await, serde_json::to_string(&ready).expect("JSON"));
    assert!(
        !all.iter().any(|part| said.as_bytes().windows(part.len()).any(|window| window == part)),
        "{said}"
    );
    assert!(!said.contains(SECRET), "{said}");
}

/// Parity PV11: a step that does not end as it should fails the operation, and its key is gone all the same.
#[tokio::test(flavor = "multi_thread")]
async fn parity_pv11_the_key_is_gone_at_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let steps = "[[step]]\nname = \"join\"\ncommand = \"echo no such cluster >&2; exit 3\"\nretries = 1\nbackoff = \"1s\"\n";
    write_profile(folder.path(), sshd.port, steps, &[]);
    let mut rebuild = Rebuild::new(tempfile::tempdir().expect("a folder"), folder.path()).await;
    sshd.authorize(&rebuild.authorized);
    let (seed, sealed) = rebuild.seed().await;
    rebuild.attend();
    rebuild.phone_home(Some(sshd.host_key())).await;
    let failed = rebuild.reaches(OperationState::Failed).await;
    let failure = failed.failure.expect("a reason");
    assert_eq!(failure.reason, "step join ended with exit code 3, and 0 was expected, tried 2 times");
    assert_eq!(failed.steps[0].output, "no such cluster\n");
    assert_eq!(rebuild.key_removed().await, "the operation's key was removed from the host and destroyed");
    assert_eq!(sshd.authorized().trim(), OTHER_KEY);
    let all = spellings(&seed).into_iter().chain([sealed]).collect::<Vec<_>>();
    assert_eq!(holders(rebuild.test.folder(), &all), [""; 0]);
}

/// An installer's host is logged in to as an image's is, by a key that its answers hold and that is gone in the end.
#[tokio::test(flavor = "multi_thread")]
async fn steps_of_an_installer_run_and_the_key_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let steps = "[[step]]\nname = \"join\"\ncommand = \"echo joined {{ hostname }}\"\n";
    write_profile_of(INSTALLER, folder.path(), sshd.port, steps, &[]);
    let mut rebuild = Rebuild::by_installer(tempfile::tempdir().expect("a folder"), folder.path()).await;
    sshd.authorize(&rebuild.authorized);
    let (seed, sealed) = rebuild.seed().await;
    assert_eq!(holders(rebuild.test.folder(), &spellings(&seed)), [""; 0], "it is in the store sealed");
    rebuild.attend();
    rebuild.phone_home(Some(sshd.host_key())).await;
    let ready = rebuild.reaches(OperationState::Ready).await;
    assert!(ready.steps[0].output.starts_with("joined "), "{:?}", ready.steps);
    assert_eq!(sshd.authorized().trim(), OTHER_KEY);
    assert_eq!(rebuild.key_removed().await, "the operation's key was removed from the host and destroyed");
    let all = spellings(&seed).into_iter().chain([sealed]).collect::<Vec<_>>();
    assert_eq!(holders(rebuild.test.folder(), &all), [""; 0], "neither sealed nor open");
}

/// However an installer's operation ends before its host runs, nothing is left of the key.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_an_installer_that_is_not_done_is_destroyed() {
    let step = "[[step]]\nname = \"join\"\ncommand = \"true\"\n";
    let fail = || Trigger::Fail { reason: "the installer stopped".into() };
    let cases = [
        (false, Trigger::Cancel { why: None }, "the operation's key was destroyed before a host had it"),
        (false, Trigger::Expire, "the operation's key was destroyed before a host had it"),
        (true, fail(), "no host phoned home, so the operation's public key may be on the disk"),
    ];
    for (fetched, end, said) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        write_profile_of(INSTALLER, folder.path(), 22, step, &[]);
        let (mut test, _, operation) = served(tempfile::tempdir().expect("a folder"), folder.path()).await;
        if fetched {
            (test, _) = answered(test, &operation).await;
        }
        let mut rebuild = Rebuild { test, operation, authorized: String::new(), attending: None };
        let (seed, sealed) = rebuild.seed().await;
        rebuild.test.site.happen(&rebuild.operation, end, &operator()).await.expect("it ends");
        let removed = rebuild.key_removed().await;
        assert!(removed.starts_with(said), "{removed}");
        let all = spellings(&seed).into_iter().chain([sealed]).collect::<Vec<_>>();
        assert_eq!(holders(rebuild.test.folder(), &all), [""; 0]);
    }
}

/// The host key is the one that was reported, or nothing is said to the host.
#[tokio::test(flavor = "multi_thread")]
async fn another_host_key_fails_the_operation_with_both_fingerprints() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    write_profile(folder.path(), sshd.port, "[[step]]\nname = \"join\"\ncommand = \"touch joined\"\n", &[]);
    let mut rebuild = Rebuild::new(tempfile::tempdir().expect("a folder"), folder.path()).await;
    sshd.authorize(&rebuild.authorized);
    rebuild.attend();
    let other = ironwake::remote::ssh::LoginKey::generate().expect("a key").public_line("other");
    rebuild.phone_home(Some(other)).await;
    let reason = rebuild.reaches(OperationState::Failed).await.failure.expect("a reason").reason;
    assert!(reason.contains("shows the host key SHA256:"), "{reason}");
    assert!(reason.ends_with("was reported when the host phoned home"), "{reason}");
    assert_eq!(reason.matches("SHA256:").count(), 2, "{reason}");
    assert!(!sshd.home().join("joined").exists());
    let what = rebuild.key_removed().await;
    assert!(what.contains("public key is still on the host") && what.contains("destroyed"), "{what}");
    let history = rebuild.test.site.operation(&rebuild.operation).await.expect("an operation").history;
    assert_eq!(history.last().expect("history").cause, what, "history says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    write_profile(folder.path(), free_port(), "[[step]]\nname = \"join\"\ncommand = \"true\"\n", &[]);
    let mut rebuild = Rebuild::new(tempfile::tempdir().expect("a folder"), folder.path()).await;
    rebuild.attend();
    rebuild.phone_home(None).await;
    let reason = rebuild.reaches(OperationState::Failed).await.failure.expect("a reason").reason;
    assert!(reason.starts_with("the host reported no Ed25519 or ECDSA key"), "{reason}");
}

/// An operator stops what runs: the whole process group on the host ends, and so does the operation.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_stopped_or_late_ends_on_the_host_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let stuck = "trap '' HUP\nif [ -e late ]; then touch stuck; else touch late; fi\nsleep 1000 & echo $! > child\nwait\n";
    let steps = "[[step]]\nname = \"stuck\"\nscript = \"stuck.sh\"\ntimeout = \"2s\"\nretries = 1\nbackoff = \"1s\"\n";
    write_profile(folder.path(), sshd.port, steps, &[("stuck.sh", stuck)]);
    let mut rebuild = Rebuild::at_home(&sshd, folder.path()).await;
    let late = rebuild.test.next("late step", |kind| match kind {
        EventKind::OperationStep { problem: Some(problem), .. } => Some(problem.clone()),
        _ => None,
    });
    assert_eq!(late.await, "took longer than 2 s and was ended");
    let running = |kind: &EventKind| {
        matches!(kind, EventKind::OperationStep { state: StepState::Running, .. }).then_some(())
    };
    rebuild.test.next("second try", running).await;
    let id = rebuild.operation.clone();
    rebuild.test.site.happen(&id, Trigger::Cancel { why: None }, &operator()).await.expect("stopped");
    let failed = rebuild.reaches(OperationState::Failed).await;
    let reason = failed.failure.expect("a reason").reason;
    assert_eq!(reason, "an operator stopped its last steps; what was installed stays");
    rebuild.key_removed().await;
    // A script that is ended between its two acts has made the file and written nothing.
    let child = fs::read_to_string(sshd.home().join("child")).ok().filter(|child| !child.trim().is_empty());
    if let Some(child) = child {
        assert!(!Path::new("/proc").join(child.trim()).exists(), "process {child} still runs on the host");
    }
    assert_eq!(sshd.authorized().trim(), OTHER_KEY);
}

/// What was done stays done; what was cut off is run again.
#[tokio::test(flavor = "multi_thread")]
async fn steps_go_on_where_a_restart_cut_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let second = "echo begun >> second\nif [ -e go ]; then exit 0; fi\nsleep 1000\n";
    let steps = "[[step]]\nname = \"first\"\ncommand = \"echo done >> first\"\n\
                 [[step]]\nname = \"second\"\nscript = \"second.sh\"\n";
    write_profile(folder.path(), sshd.port, steps, &[("second.sh", second)]);
    let mut rebuild = Rebuild::at_home(&sshd, folder.path()).await;
    let running = |kind: &EventKind| match kind {
        EventKind::OperationStep { step, state: StepState::Running, .. } if step == "second" => Some(()),
        _ => None,
    };
    rebuild.test.next("second step", running).await;
    rebuild.cut_off().await;
    fs::write(sshd.home().join("go"), "").expect("written");
    let Rebuild { test, operation, authorized, .. } = rebuild;
    let mut rebuild = Rebuild { test: test.restart().await, operation, authorized, attending: None };
    rebuild.attend();
    let ready = rebuild.reaches(OperationState::Ready).await;
    assert_eq!(ready.steps.iter().map(|step| step.tries).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        fs::read_to_string(sshd.home().join("first")).expect("a file"),
        "done\n",
        "it is not run again"
    );
}

/// The key may be gone from the host before that is saved, and then nobody can log in to ask.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_taken_back_before_a_crash_is_not_asked_for_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let gone = "sed -i /ironwake-/d ~/.ssh/authorized_keys\nsleep 1000\n";
    let steps = "[[step]]\nname = \"join\"\nscript = \"join.sh\"\n";
    write_profile(folder.path(), sshd.port, steps, &[("join.sh", gone)]);
    let mut rebuild = Rebuild::at_home(&sshd, folder.path()).await;
    let taken_back = async {
        while sshd.authorized().trim() != OTHER_KEY {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken_back).await.expect("the key is taken out");
    rebuild.cut_off().await;
    let Rebuild { test, operation, authorized, .. } = rebuild;
    let steps = test.site.store().operation_steps(&operation).await.expect("a store");
    let (seq, mut step) = steps.into_iter().next().expect("a step");
    step.state = StepState::Done;
    let done = Change::OperationStep { operation: operation.clone(), seq, step: Box::new(step) };
    test.site.store().save(vec![done]).await.expect("saved");
    let mut rebuild = Rebuild { test: test.restart().await, operation, authorized, attending: None };
    rebuild.attend();
    rebuild.reaches(OperationState::Ready).await;
    assert_eq!(rebuild.key_removed().await, "the operation's key was removed from the host and destroyed");
}

/// What history says of a key is true where the host knows it no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_host_refuses_is_not_said_to_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let sshd = Sshd::start(folder.path(), free_port());
    let gone = "sed -i /ironwake-/d ~/.ssh/authorized_keys\nexit 3\n";
    let steps = "[[step]]\nname = \"join\"\nscript = \"join.sh\"\n";
    write_profile(folder.path(), sshd.port, steps, &[("join.sh", gone)]);
    let mut rebuild = Rebuild::at_home(&sshd, folder.path()).await;
    rebuild.reaches(OperationState::Failed).await;
    assert_eq!(rebuild.key_removed().await, "the host refuses the operation's key, which was destroyed");
}
