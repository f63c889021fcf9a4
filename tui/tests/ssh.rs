//! The console over SSH, with OpenSSH's client under a terminal (packages openssh-client, util-linux).

#[path = "ssh/daemon.rs"]
mod daemon;
#[path = "ssh/host.rs"]
mod host;
#[path = "ssh/keys.rs"]
mod keys;

use std::fs;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

use daemon::PASSWORD;
use host::{Host, Person, wait_until};
use ironwake_api::{Actor, Event, EventKind, LoginWith, MachineNew, Scope};

/// What the person of a test asks the client for.
const CONSOLE: &[&str] = &["-tt"];

#[test]
fn a_console_appears_and_keys_change_it() {
    let host = Host::start();
    let person = host.person(CONSOLE);
    person.sees("node-7");
    person.types("6");
    person.sees("Settings");
    person.types("?");
    person.sees("Everywhere");
    // Escape alone, and a key of several bytes.
    person.types("\u{1b}");
    person.sees("Settings");
    person.types("1");
    person.sees("node-7");
    person.types("/zz");
    person.sees("zz");
    person.types("\u{1b}");
    person.sees("node-7");
    person.types("q");
    // The shell's screen comes back, with its cursor.
    person.sees_bytes("\u{1b}[?1049l");
    person.sees_bytes("\u{1b}[?25h");
    assert_eq!(person.exit_code(), 0);
    host.logs("it was left");
}

#[test]
fn the_size_and_the_look_are_the_clients() {
    let host = Host::start();
    let person = host.person(CONSOLE);
    person.sees("node-7");
    let before = person.mark();
    person.resize(120, 45);
    // The line of keys stands on the last row.
    person.sees_bytes_after(before, "\u{1b}[45;");
    person.sees("node-7");
    // 256 colours unless it says more.
    person.sees_bytes("\u{1b}[38;5;");
    drop(person);

    let colourful = host.person(&["-tt", "-o", "SetEnv COLORTERM=truecolor"]);
    colourful.sees("node-7");
    colourful.sees_bytes("\u{1b}[38;2;");
    let plain = host.person(&["-tt", "-o", "SetEnv NO_COLOR=1 LC_ALL=C"]);
    plain.sees("node-7");
    assert!(!plain.bytes().contains("\u{1b}[38;"), "{:?}", plain.bytes());
    assert!(!plain.text().contains('─'), "{:?}", plain.text());
}

#[test]
fn another_key_is_refused_and_logged() {
    let host = Host::start();
    let key = host.another_key();
    let person = host.person_with(&key, &["-tt", "-o", "PasswordAuthentication=no"]);
    assert_eq!(person.exit_code(), 255);
    person.sees("Permission denied (publickey,password).");
    host.logs("is refused as \"admin\" with the key SHA256:");
}

#[test]
fn an_address_whose_logins_fail_waits() {
    let host = Host::start();
    let key = host.another_key();
    for _ in 0..6 {
        let person = host.person_with(&key, &["-tt", "-o", "PasswordAuthentication=no"]);
        assert_eq!(person.exit_code(), 255);
        person.sees("Permission denied");
    }
    host.logs("logins from 127.0.0.1 fail: it is not let in for 1 s");
}

#[test]
fn connections_beyond_the_limit_are_logged_with_their_address_and_the_limit() {
    let host = Host::start();
    let connect = |_| TcpStream::connect(host.address()).expect("it listens");
    let held: Vec<TcpStream> = (0..20).map(connect).collect();
    let line =
        host.logs("is not let in: that address has 16 connections, the most that one address may have");
    assert!(line.contains("127.0.0.1:") && line.contains("WARN"), "{line}");
    drop(held);
    assert_eq!(host.log().matches("is not let in").count(), 1, "said once");
}

#[test]
fn without_a_list_nobody_gets_in_until_there_is_one() {
    let host = Host::start();
    fs::remove_file(host.authorized_keys()).expect("removed");
    let person = host.person(&["-tt", "-o", "PasswordAuthentication=no"]);
    assert_eq!(person.exit_code(), 255);
    person.sees("Nobody may log in to this console");
    // It is read again without a restart.
    let line = fs::read_to_string(host.key().with_extension("pub")).expect("a key");
    fs::write(host.authorized_keys(), format!("no-port-forwarding {line}")).expect("written");
    let person = host.person(CONSOLE);
    person.sees("node-7");
}

#[test]
fn files_and_shells_without_a_terminal_are_refused() {
    let host = Host::start();
    let person = host.person(&["-T"]);
    assert_eq!(person.exit_code(), 2);
    person.sees("this is a console for a terminal");
    let person = host.person(&["-T", "-s", "host", "sftp"]);
    assert_eq!(person.exit_code(), 255);
    person.sees("subsystem request failed");
}

#[test]
fn a_key_makes_an_operator_whose_events_carry_its_comment() {
    let mut host = Host::start();
    let line = fs::read_to_string(host.key().with_extension("pub")).expect("a key");
    let key = line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    fs::write(host.authorized_keys(), format!("{key} anna@laptop\n")).expect("written");
    let person = host.person(CONSOLE);
    person.sees("anna@laptop (ssh)");
    person.sees("node-7");
    // Enrolling it is an operator's to do.
    person.types("e");
    person.sees("enroll");
    let actor = Actor::Operator("anna@laptop (ssh)".into());
    let enrolled = |event: &Event| matches!(event.kind, EventKind::Enrolment { .. }) && event.actor == actor;
    wait_until("it is enrolled", || host.daemon().events().iter().any(enrolled));
    let events = host.daemon().events();
    let login = events.iter().find(|event| matches!(event.kind, EventKind::LoggedIn { .. })).expect("told");
    let EventKind::LoggedIn { name, with, scope, from, .. } = &login.kind else { return };
    assert_eq!((name.as_str(), *with, *scope), ("anna@laptop (ssh)", LoginWith::Key, Scope::Operator));
    assert_eq!(from.as_deref(), Some("127.0.0.1"));
    // Its session ends with it.
    person.types("q");
    assert_eq!(person.exit_code(), 0);
}

#[test]
fn a_password_makes_an_admin_and_six_wrong_ones_are_slowed_down() {
    let mut host = Host::start();
    host.daemon().set_password();
    let person = host.person_with_password(CONSOLE);
    person.sees("password:");
    person.types(&format!("{PASSWORD}\n"));
    person.sees("admin (ssh, password)");
    person.sees("node-7");
    assert!(!person.text().contains(PASSWORD));
    drop(person);
    // Three tries in one connection, as OpenSSH's client has them; each counts.
    for connection in 1..=2 {
        let person = host.person_tries_passwords(CONSOLE);
        for number in 1..=3 {
            person.sees_times("password:", number);
            person.types("hunter2-hunter2\n");
        }
        assert_eq!(person.exit_code(), 255);
        person.sees_times("Permission denied", 3);
        host.logs_times("is refused as \"admin\" with a password: that is not the password", connection * 3);
    }
    // Whoever goes on is made to wait, in which the right one is not taken either.
    let person = host.person_tries_passwords(CONSOLE);
    for (number, typed) in [(1, "hunter2-hunter2"), (2, "hunter2-hunter2"), (3, PASSWORD)] {
        person.sees_times("password:", number);
        person.types(&format!("{typed}\n"));
    }
    assert_eq!(person.exit_code(), 255);
    person.sees_times("Permission denied", 3);
    let slowed =
        host.logs("is refused as \"admin\" with a password: too many passwords were wrong: try again in");
    assert!(slowed.contains(" s"), "{slowed}");
    let events = host.daemon().events();
    let refused = |event: &&Event| matches!(event.kind, EventKind::LoginRefused { failures: 6, .. });
    assert_eq!(events.iter().filter(refused).count(), 1);
    let told = format!("{}{events:?}", host.log());
    assert!(!told.contains(PASSWORD) && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_session_ends_with_the_daemon_and_the_console_says_that_it_is_locked() {
    let mut host = Host::start();
    host.daemon().set_password();
    let person = host.person(CONSOLE);
    person.sees("(ssh)");
    host.daemon().restart();
    person.sees("locked");
    // What changes something asks for the password, and is done with it.
    person.types("e");
    person.sees("Password or PIN");
    person.types(&format!("{PASSWORD}\r"));
    person.sees("(ssh, password)");
    let enrolled = |event: &Event| matches!(event.kind, EventKind::Enrolment { .. });
    wait_until("it is enrolled", || host.daemon().events().iter().any(enrolled));
    assert!(!person.text().contains(PASSWORD));
}

/// What a command writes and its exit code.
#[track_caller]
fn check_command(host: &Host, line: &str, code: i32, shown: &str) {
    let person = host.person(&["-T", "host", line]);
    assert_eq!(person.exit_code(), code, "{line}: {}", person.text());
    person.sees(shown);
}

#[test]
fn commands_are_those_of_the_command_line_and_nothing_else() {
    let host = Host::start();
    check_command(&host, "machine list --json", 0, "\"name\": \"node-7\"");
    check_command(&host, "ironwake machine show 'node-7'", 0, "node-7");
    check_command(&host, "machine show nobody", 3, "no machine \"nobody\"");
    check_command(&host, "whoami", 0, "(ssh), scope operator, by a session");
    // What only an admin may.
    check_command(&host, "token list", 4, "log in with the administrator's password");
    check_command(&host, "uname -a", 2, "unrecognized subcommand");
    check_command(&host, "machine list; uname -a", 2, "there is no shell here");
    check_command(&host, "serve", 2, "is for whoever is on the appliance itself");
    check_command(&host, "artifact import x /etc/passwd", 2, "`-` from standard input");
    check_command(&host, "health --socket /run/ironwake/api.sock", 2, "leave out --socket");
    check_command(&host, "machine --help", 0, "Show and change machines");
}

/// An address that no machine has yet.
fn next_mac() -> String {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let [high, low] = LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("52:54:00:01:{high:02x}:{low:02x}")
}

#[test]
fn a_command_ends_with_its_client() {
    let mut host = Host::start();
    let person = host.person(&["-T", "host", "events --follow --json"]);
    // Once it follows, what happens is shown.
    wait_until("it follows", || {
        let new = MachineNew { macs: vec![next_mac()], ..MachineNew::default() };
        host.daemon().register(new);
        person.text().contains("machine_registered")
    });
    let children = host.children();
    assert_eq!(children.len(), 1, "{children:?}");
    // Every user of the host can read its arguments: neither the line nor the session is among them.
    let arguments = fs::read(format!("/proc/{}/cmdline", children[0])).expect("it runs");
    assert!(arguments.ends_with(b"/ironwake\0over-ssh\0"), "{arguments:?}");
    drop(person);
    wait_until("the child has ended", || host.children().is_empty());
    host.logs("its command ended with 137");
    // In a terminal it ends with a key.
    let person = host.person(&["-tt", "host", "events --follow"]);
    wait_until("it runs", || !host.children().is_empty());
    person.types("\u{3}");
    assert_eq!(person.exit_code(), 137);
}

#[test]
fn nothing_is_forwarded() {
    let host = Host::start();
    // The client asks for what the server would open at its end, and gives up when it is refused.
    let person = host.person(&["-tt", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"]);
    assert_eq!(person.exit_code(), 255);
    person.sees("remote port forwarding failed");
    // The other way: its input and output are to be a connection from there.
    let person = host.person(&["-T", "-W", "127.0.0.1:1"]);
    assert_eq!(person.exit_code(), 255);
    person.sees("administratively prohibited");
}

#[test]
fn a_console_that_is_left_alone_is_closed() {
    let host = Host::start_with(&["--idle", "2"]);
    let person = host.person(CONSOLE);
    person.sees("node-7");
    assert_eq!(person.exit_code(), 0);
    person.sees("no key for 2 s");
    person.sees_bytes("\u{1b}[?1049l");
}

#[test]
fn a_daemon_that_is_away_is_a_banner_and_comes_back() {
    let mut host = Host::start();
    let person = host.person(CONSOLE);
    person.sees("node-7");
    host.daemon().stop();
    person.sees("does not answer");
    host.daemon().serve();
    person.sees("● live");
}

#[test]
fn the_server_ends_with_every_terminal_put_back() {
    let mut host = Host::start();
    let person = host.person(CONSOLE);
    person.sees("node-7");
    host.terminate();
    person.sees_bytes("\u{1b}[?1049l");
    person.sees("the server ends");
    assert!(person.exit_code() == 0 || person.text().contains("closed"));
}

#[test]
fn the_host_key_stays() {
    let host = Host::start();
    let folder = host.folder();
    let first = host.logs("the host key is SHA256:");
    drop(host);
    let host = Host::start_in(folder, &[]);
    assert_eq!(host.logs("the host key is SHA256:"), first);
}

/// Fifty at once, then all of them killed: what they held is given back.
#[test]
fn fifty_consoles_at_once_and_none_after_their_clients_are_killed() {
    let host = Host::start();
    let (memory, sockets) = (host.memory_bytes(), host.sockets());
    let mut people: Vec<Person> = Vec::new();
    // No more than may log in at once from one address.
    for _ in 0..5 {
        let row: Vec<Person> = (0..10).map(|_| host.person(CONSOLE)).collect();
        row.iter().for_each(|person| person.sees("node-7"));
        people.extend(row);
    }
    for person in &people {
        person.types("6");
    }
    people.iter().for_each(|person| person.sees("Settings"));
    let each = host.memory_bytes().saturating_sub(memory) / 50;
    println!("{each} bytes a session, {:?} of processor time", host.processor_time());
    assert!(each < 8 << 20, "{each} bytes a session");
    drop(people);
    host.logs_times("the client has gone", 50);
    host.has_sockets(sockets);
    let person = host.person(CONSOLE);
    person.sees("node-7");
}

/// A client that is stopped takes nothing; the server keeps a frame or two for it, and everybody else goes on.
#[test]
fn a_client_that_does_not_read_is_not_buffered_for() {
    let host = Host::start();
    let (slow, other) = (host.person(CONSOLE), host.person(CONSOLE));
    slow.sees("node-7");
    other.sees("node-7");
    let memory = host.memory_bytes();
    slow.stop();
    for size in 0..200_u16 {
        slow.resize(200 + size % 2, 60);
        other.types(if size % 2 == 0 { "6" } else { "1" });
    }
    other.types("6");
    other.sees("Settings");
    let grown = host.memory_bytes().saturating_sub(memory);
    assert!(grown < 16 << 20, "{grown} bytes more");
}
