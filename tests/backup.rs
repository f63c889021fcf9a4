//! Backup and restore by the real daemon and the real command, with age(1) as the peer.

mod loopback;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use loopback::{Daemon, PATIENCE, expect};

const PASSPHRASE: &str = "correct horse battery";

/// A folder with a file that holds the passphrase.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("passphrase");
    fs::write(&file, format!("{PASSPHRASE}\n")).expect("written");
    (folder, file)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in ASCII")
}

/// Waits until the daemon, which starts again, answers with this.
#[track_caller]
fn eventually(daemon: &Daemon, words: &[&str], part: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let output = daemon.command(words).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.contains(part) {
            return;
        }
        assert!(Instant::now() < end, "no {part:?} in {said}");
        thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

/// What age(1) makes of a backup. It asks for its passphrase on a terminal, and nowhere else.
fn opened_by_age(file: &Path, folder: &Path) -> Vec<String> {
    let tar = folder.join("opened.tar");
    let line = format!("age -d -o {} {}", text(&tar), text(file));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("script(1) runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, format!("{PASSPHRASE}\n").as_bytes()).expect("typed");
    assert!(child.wait().expect("it ends").success(), "age refuses");
    drop(stdin);
    let mut list = Command::new("tar");
    list.args(["tf", text(&tar)]);
    expect(list, 0, "", "").lines().map(str::to_owned).collect()
}

#[test]
fn what_one_appliance_was_another_one_is() {
    let (folder, passphrase) = folder();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    fs::create_dir(&a).expect("made");
    fs::create_dir(&b).expect("made");
    let file = folder.path().join("a.backup");
    let (file, passphrase) = (text(&file), text(&passphrase));

    let first = Daemon::start(&a, "");
    first.check(&["machine", "add", "--mac", "52:54:00:00:00:01", "--name", "node-1"], 0, "", "");
    let token = first.check(&["token", "add", "ci", "--scope", "viewer", "--json"], 0, "secret", "");
    first.check(&["config", "set", "discovery.idle_reboot=20m"], 0, "", "");
    first.feed(&["artifact", "import", "tiny", "-"], &[7; 4096], 0, "imported tiny", "");
    first.feed(&["password", "set", "--stdin"], b"hunter2 hunter2\n", 0, "", "");
    let authority = first.check(&["ca", "show"], 0, "BEGIN CERTIFICATE", "");

    // While others write.
    let writer = {
        let mut commands: Vec<Command> = (0..40)
            .map(|number| {
                first.command(&["machine", "edit", "node-1", "--notes", &format!("write {number}")])
            })
            .collect();
        thread::spawn(move || {
            commands.iter_mut().all(|command| command.status().is_ok_and(|status| status.success()))
        })
    };
    first.check(&["backup", file, "--artifacts", "--passphrase-file", passphrase], 0, "wrote ", "");
    assert!(writer.join().expect("no panic"), "writers are not held up");
    first.check(&["backup", file, "--passphrase-file", passphrase], 1, "", "is there already");
    first.check(&["events", "--json"], 0, "backup_made", "");
    let names = opened_by_age(Path::new(file), folder.path());
    assert_eq!(names[..2], ["backup.json", "state/ironwake.db"]);
    for name in [
        "state/site.key",
        "state/authority.pem",
        "state/settings.toml",
        "state/password",
        "config/ironwake.toml",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is not among {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("imports/")), "{names:?}");
    assert!(!a.join("state/backup.partial").exists());

    // Passphrases and damage.
    let second = Daemon::start(&b, "");
    second.check(&["machine", "add", "--mac", "52:54:00:00:00:09", "--name", "other"], 0, "", "");
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "incorrect horse\n").expect("written");
    let restore = |more: &[&str]| -> Vec<String> {
        let words = [&["restore", file, "--passphrase-file", passphrase], more].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let run = |words: &[String], code, out: &str, err: &str| {
        second.check(&words.iter().map(String::as_str).collect::<Vec<_>>(), code, out, err)
    };
    run(&restore(&[]), 4, "", "knows 1 machines already");
    run(&restore(&["--replace"]), 1, "", "confirmed on a terminal, or with --yes");
    second.check(
        &["restore", file, "--passphrase-file", text(&wrong), "--replace", "--yes"],
        4,
        "",
        "the passphrase does not open this backup",
    );
    let bytes = fs::read(file).expect("the backup");
    let cut = folder.path().join("cut");
    fs::write(&cut, &bytes[..bytes.len() - 1000]).expect("written");
    let refused = ["restore", text(&cut), "--passphrase-file", passphrase, "--replace", "--yes"];
    second.check(&refused, 4, "", "damaged or cut off");
    let mut spoilt = bytes.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    fs::write(&cut, &spoilt).expect("written");
    second.check(&refused, 4, "", "damaged or cut off");
    second.check(&["machine", "show", "other"], 0, "52:54:00:00:00:09", "");
    assert!(!b.join("state/restore.partial").exists() && !b.join("state/restore").exists());

    // And the real one.
    first.terminate();
    run(&restore(&["--replace", "--yes"]), 0, "restored: 1 machines of ", "");
    eventually(&second, &["machine", "show", "node-1"], "52:54:00:00:00:01");
    second.check(&["machine", "show", "other"], 3, "", "no machine");
    assert_eq!(second.check(&["ca", "show"], 0, "", ""), authority);
    second.check(&["token", "list"], 0, "ci", "");
    second.check(&["artifact", "show", "tiny", "--json"], 0, "\"done\"", "");
    second.check(&["config", "show"], 0, "discovery.idle_reboot", "");
    second.check(&["events", "--json"], 0, "backup_restored", "");
    for key in ["site.key", "password", "authority.pem"] {
        assert_eq!(
            fs::read(a.join("state").join(key)).expect("a"),
            fs::read(b.join("state").join(key)).expect("b")
        );
    }
    assert!(!b.join("state/restored.json").exists() && !b.join("state/restore").exists());
    assert!(token.contains("ci"));

    // The one that goes on survives what every daemon does.
    drop(second);
    let third = Daemon::start(&b, "");
    third.check(&["machine", "show", "node-1"], 0, "52:54:00:00:00:01", "");
}

/// By a pipe: the passphrase is the first line, and not a byte of what follows is lost.
#[test]
fn a_backup_goes_through_pipes_and_into_a_daemon_that_is_off() {
    let (folder, passphrase) = folder();
    let passphrase = text(&passphrase).to_owned();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    fs::create_dir(&a).expect("made");
    fs::create_dir(&b).expect("made");
    let first = Daemon::start(&a, "");
    first.check(&["machine", "add", "--mac", "52:54:00:00:00:01", "--name", "node-1"], 0, "", "");
    let mut command = first.command(&["backup", "-", "--stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), format!("{PASSPHRASE}\n").as_bytes())
        .expect("typed");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stdout.starts_with(b"age-encryption.org/v1"));
    first.check(&["backup", "-", "--passphrase-file", "/nowhere"], 1, "", "read /nowhere");
    let short = folder.path().join("short");
    fs::write(&short, "short\n").expect("written");
    first.check(
        &["backup", text(&folder.path().join("x")), "--passphrase-file", text(&short)],
        4,
        "",
        "8 at least",
    );
    assert!(!folder.path().join("x").exists() && !folder.path().join("x.partial").exists());

    let second = Daemon::start(&b, "");
    let input = [format!("{PASSPHRASE}\n").into_bytes(), output.stdout.clone()].concat();
    second.feed(&["restore", "-", "--stdin"], &input, 0, "restored: 1 machines", "");
    eventually(&second, &["machine", "show", "node-1"], "52:54:00:00:00:01");
    let (state, config) = (b.join("state"), b.join("ironwake.toml"));
    let file = folder.path().join("backup");
    fs::write(&file, &output.stdout).expect("written");
    let offline = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwake"));
        command.args(["restore", text(&file), "--passphrase-file", &passphrase, "--state", text(&state)]);
        command.args(["--config", text(&config)]).args(more);
        command
    };
    expect(offline(&[]), 1, "", "is in use by another daemon");
    second.check(&["machine", "edit", "node-1", "--notes", "later"], 0, "", "");
    second.terminate();
    expect(offline(&[]), 1, "", "knows 1 machines already");
    expect(offline(&["--replace", "--yes"]), 0, "goes on from it when it is started", "");
    let third = Daemon::start(&b, "");
    let shown = third.check(&["machine", "show", "node-1", "--json"], 0, "node-1", "");
    assert!(!shown.contains("later"), "{shown}");
    third.check(&["events", "--json"], 0, "backup_restored", "");
}

/// Killed at any moment of a restore, a daemon goes on as one appliance or as the other, and leaves nothing of the way between.
#[test]
fn full_a_restore_that_is_killed_leaves_one_appliance_or_the_other() {
    let (folder, passphrase) = folder();
    let a = folder.path().join("a");
    fs::create_dir(&a).expect("made");
    let file = folder.path().join("a.backup");
    let first = Daemon::start(&a, "");
    first.check(&["machine", "add", "--mac", "52:54:00:00:00:01", "--name", "node-1"], 0, "", "");
    first.check(&["backup", text(&file), "--passphrase-file", text(&passphrase)], 0, "wrote ", "");
    first.terminate();
    let (mut before, mut behind) = (0, 0);
    // A restore takes some tenths of a second, most of them for the passphrase, and a start as many.
    for step in 0..24 {
        let b = folder.path().join(format!("b{step}"));
        fs::create_dir(&b).expect("made");
        let second = Daemon::start(&b, "");
        second.check(&["machine", "add", "--mac", "52:54:00:00:00:09", "--name", "other"], 0, "", "");
        let words = ["restore", text(&file), "--passphrase-file", text(&passphrase), "--replace", "--yes"];
        let mut command = second.command(&words);
        let mut restoring = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        thread::park_timeout(std::time::Duration::from_millis(40 * step));
        // Dropping it is kill -9.
        drop(second);
        let _ = restoring.wait();
        let third = Daemon::start(&b, "");
        let has = |name: &str| {
            third.command(&["machine", "show", name]).output().expect("it runs").status.success()
        };
        let key = fs::read(b.join("state/site.key")).expect("a key")
            == fs::read(a.join("state/site.key")).expect("a key");
        match (has("other"), has("node-1"), key) {
            (true, false, false) => before += 1,
            (false, true, true) => behind += 1,
            mix => panic!("{mix:?} after {} ms", 40 * step),
        }
        for left in ["backup.partial", "restore.partial", "restore", "restored.json"] {
            assert!(!b.join("state").join(left).exists(), "{left} after {} ms", 40 * step);
        }
    }
    assert!(before > 0 && behind > 0, "{before} {behind}");
}
