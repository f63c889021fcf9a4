//! The console over SSH, with OpenSSH's client under a terminal (packages openssh-client, util-linux).

#[path = "ssh/daemon.rs"]
mod daemon;
#[path = "ssh/host.rs"]
mod host;

use std::fs;

use host::{Host, Person};

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
    let person = host.person_with(&key, CONSOLE);
    assert_eq!(person.exit_code(), 255);
    // What else could be tried: nothing.
    person.sees("Permission denied (publickey).");
    host.logs("is refused as \"admin\" with the key SHA256:");
}

#[test]
fn an_address_whose_logins_fail_waits() {
    let host = Host::start();
    let key = host.another_key();
    for _ in 0..6 {
        let person = host.person_with(&key, CONSOLE);
        assert_eq!(person.exit_code(), 255);
        person.sees("Permission denied");
    }
    host.logs("logins from 127.0.0.1 fail: it is not let in for 1 s");
}

#[test]
fn without_a_list_nobody_gets_in_until_there_is_one() {
    let host = Host::start();
    fs::remove_file(host.authorized_keys()).expect("removed");
    let person = host.person(CONSOLE);
    assert_eq!(person.exit_code(), 255);
    person.sees("Nobody may log in to this console");
    host.logs("nobody may log in: there is no file");
    // It is read again without a restart.
    let line = fs::read_to_string(host.key().with_extension("pub")).expect("a key");
    fs::write(host.authorized_keys(), format!("no-port-forwarding {line}")).expect("written");
    let person = host.person(CONSOLE);
    person.sees("node-7");
    host.logs(":1: options are ignored: no-port-forwarding");
}

#[test]
fn commands_files_and_shells_without_a_terminal_are_refused() {
    let host = Host::start();
    let person = host.person(&["-T", "host", "uname", "-a"]);
    assert_eq!(person.exit_code(), 2);
    person.sees("no commands are run over SSH");
    let person = host.person(&["-T"]);
    assert_eq!(person.exit_code(), 2);
    person.sees("this is a console for a terminal");
    let person = host.person(&["-T", "-s", "host", "sftp"]);
    assert_eq!(person.exit_code(), 255);
    person.sees("subsystem request failed");
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
    host.stop_daemon();
    person.sees("does not answer");
    host.start_daemon();
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
