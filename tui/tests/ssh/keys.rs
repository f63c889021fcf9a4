//! Keys that come over SSH: OpenSSH's own `ssh-copy-id`, and what a one-time password is good for.

use std::fs;
use std::path::Path;

use ironwake_api::{Actor, Event, EventKind};

use super::daemon::PASSWORD;
use super::host::{COMMENT, Host, Person};

/// What of a key is in events.
fn added(events: &[Event]) -> Vec<(&str, &Actor)> {
    let told = events.iter().filter_map(|event| match &event.kind {
        EventKind::SshKeyAdded { comment, .. } => Some((comment.as_str(), &event.actor)),
        _ => None,
    });
    told.collect()
}

/// Types a password where it is asked for, and gives the exit code.
#[track_caller]
fn answers(person: &Person, password: &str) -> i32 {
    person.sees("password:");
    person.types(&format!("{password}\n"));
    person.exit_code()
}

/// A key that is not listed, and nobody else's is.
fn without_keys(host: &Host) -> std::path::PathBuf {
    fs::remove_file(host.authorized_keys()).expect("removed");
    host.another_key()
}

#[track_caller]
fn gets_in(host: &Host, key: &Path) {
    let person = host.person_with(key, &["-T", "-o", "PasswordAuthentication=no", "host", "whoami"]);
    assert_eq!(person.exit_code(), 0, "{}", person.text());
    person.sees("anna@laptop (ssh), scope operator, by a session");
}

#[test]
fn a_key_is_copied_with_the_one_time_password_and_opens_from_then_on() {
    let mut host = Host::start();
    let key = without_keys(&host);
    let password = host.daemon().one_time_password();
    // One question, however often the script connects.
    let person = host.copies_key(&key);
    assert_eq!(answers(&person, &password), 0, "{}", person.text());
    person.sees("Number of key(s) added: 1");
    assert_eq!(person.text().matches("password:").count(), 1, "{}", person.text());
    gets_in(&host, &key);
    let events = host.daemon().events();
    let actor = Actor::Operator("admin (ssh, one-time password)".into());
    assert_eq!(added(&events), [(COMMENT, &actor)]);
    // The script finds it there, and asks for nothing.
    let person = host.copies_key(&key);
    assert_eq!(person.exit_code(), 0, "{}", person.text());
    person.sees("All keys were skipped because they already exist");
    // It was good for once.
    let other = host.key_named("other_key");
    let person = host.copies_key(&other);
    assert_ne!(answers(&person, &password), 0, "{}", person.text());
    person.sees("Permission denied");
    assert!(!format!("{}{events:?}", host.log()).contains(&password));
    // What was added outlives the daemon.
    host.daemon().restart();
    gets_in(&host, &key);
}

#[test]
fn with_the_one_time_password_there_is_neither_a_console_nor_another_command() {
    let mut host = Host::start();
    let key = without_keys(&host);
    let password = host.daemon().one_time_password();
    let person = host.person_with_password(&["-tt"]);
    assert_eq!(answers(&person, &password), 2);
    person.sees("lets keys be added, and nothing else");
    let refused = ["machine list", "events", "key list", "token list", "key one-time-password"];
    for line in refused {
        let person = host.person_with_password(&["-T", "host", line]);
        assert_eq!(answers(&person, &password), 4, "{line}: {}", person.text());
        person.sees("a one-time password lets keys be added, and nothing else");
    }
    let unknown = ["exec sh -c 'id'", "sh", "key add /etc/passwd"];
    for line in unknown {
        let person = host.person_with_password(&["-T", "host", line]);
        assert_eq!(answers(&person, &password), 2, "{line}: {}", person.text());
    }
    // Without the script, the command takes keys as well.
    let line = fs::read_to_string(key.with_extension("pub")).expect("a key");
    let person = host.person_with_password(&["-T", "host", "key add"]);
    person.sees("password:");
    person.types(&format!("{password}\n"));
    // What is typed before the client has put the terminal back is lost.
    host.logs_times("has a command run", refused.len() + unknown.len() + 1);
    person.types(&line);
    person.types("\u{4}");
    assert_eq!(person.exit_code(), 0, "{}", person.text());
    person.sees("(anna@laptop) added");
    gets_in(&host, &key);
}

#[test]
fn guesses_at_the_one_time_password_are_slowed_down() {
    let mut host = Host::start();
    host.daemon().one_time_password();
    for _ in 0..6 {
        let person = host.person_with_password(&["-T", "host", "key add"]);
        assert_eq!(answers(&person, "0000-0000-0000-0000"), 255);
    }
    host.logs_times("with a password: that is not the password", 6);
    host.logs("logins from 127.0.0.1 fail: it is not let in for 1 s");
    let events = host.daemon().events();
    let refused = |event: &&Event| matches!(event.kind, EventKind::LoginRefused { failures: 6, .. });
    assert_eq!(events.iter().filter(refused).count(), 1);
}

#[test]
fn the_administrators_password_copies_keys_too_and_a_key_alone_does_not() {
    let mut host = Host::start();
    host.daemon().set_password();
    let key = without_keys(&host);
    let person = host.copies_key(&key);
    assert_eq!(answers(&person, PASSWORD), 0, "{}", person.text());
    gets_in(&host, &key);
    assert_eq!(added(&host.daemon().events())[0].1, &Actor::Operator("admin (ssh, password)".into()));
    let other = fs::read_to_string(host.key_named("other_key").with_extension("pub")).expect("a key");
    let person = host.person_with(&key, &["-T", "host", "key add"]);
    person.types(&other);
    person.types("\u{4}");
    assert_eq!(person.exit_code(), 4, "{}", person.text());
    person.sees("log in with the administrator's password");
}

#[test]
fn a_key_that_is_taken_away_takes_its_consoles_with_it() {
    let mut host = Host::start();
    let key = without_keys(&host);
    let password = host.daemon().one_time_password();
    assert_eq!(answers(&host.copies_key(&key), &password), 0);
    let person = host.person_with(&key, &["-tt"]);
    person.sees("node-7");
    host.daemon().delete_keys();
    person.exit_code();
    person.sees("its key is not listed any more");
}
