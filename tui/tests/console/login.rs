//! Locked, logging in, and what is asked for again behind it.

use ironwake_api::{Entrance, KnownBy, Problem, Scope, Secret, Whoami};
use ironwake_tui::message::{Answer, Asked, Message};
use ironwake_tui::request::{Harmless, Request};

use super::fleet::{id, three};
use super::harness::{Console, NOW};
use super::keys::changes;

fn who(name: Option<&str>, scope: Scope, how: KnownBy, password_set: bool) -> Answer {
    Answer::Whoami(Whoami {
        name: name.map(str::to_owned),
        scope,
        how,
        entrance: Some(Entrance::Console),
        locks_at: None,
        expires_at: None,
        password_set,
        keys_listed: false,
        one_time_password_set: false,
    })
}

/// Somebody who has not logged in.
pub fn viewer(password_set: bool) -> Answer {
    who(None, Scope::Viewer, KnownBy::Socket, password_set)
}

/// Somebody who has.
pub fn session() -> Answer {
    who(Some("administrator (console)"), Scope::Admin, KnownBy::Session, true)
}

/// Something was refused for want of a login.
pub fn locked(what: &str) -> Message {
    let problem = Problem::new(401, "Unauthorized", "locked", "it needs a login");
    Message::Refused { asked: Asked::Do(what.into()), problem: Box::new(problem) }
}

/// The password was wrong.
pub fn refused() -> Message {
    let problem = Problem::new(401, "Unauthorized", "login_refused", "that is not the password");
    Message::Refused { asked: Asked::Login, problem: Box::new(problem) }
}

fn console(who: Answer) -> Console {
    let mut console = Console::with(120, 40, three());
    console.answer(who);
    console.asked();
    console
}

fn enroll() -> Request {
    Request::Bulk { machines: vec![id(1)], action: Harmless::Enroll }
}

fn secret(text: &str) -> Secret {
    Secret(text.into())
}

/// The first machine is to be enrolled, and that is refused.
fn asked_for_a_login() -> Console {
    let mut console = console(viewer(true));
    console.shows("⚿ locked").keys("home e");
    assert_eq!(changes(&mut console), [enroll()]);
    console.take(locked("enroll"));
    console.shows("Log in").shows("Enroll needs a login").shows("Password or PIN");
    console
}

#[test]
fn what_was_refused_is_asked_for_again_behind_the_login() {
    let mut console = asked_for_a_login();
    assert!(console.model.is_typing_a_secret());
    console.types("correct horse").hides("correct").shows("*************");
    console.keys("enter").shows("Asking the daemon");
    assert_eq!(changes(&mut console), [Request::LogIn(secret("correct horse"))]);
    console.keys("enter x");
    assert_eq!(changes(&mut console), [], "once");
    console.take(refused());
    console.shows("that is not the password").hides("***");
    console.types("the right one").keys("enter");
    assert_eq!(changes(&mut console), [Request::LogIn(secret("the right one"))]);
    console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
    assert_eq!(changes(&mut console), [enroll()]);
    console.answer(session());
    console.hides("locked").hides("Log in").shows("administrator (console)");
}

#[test]
fn whoever_leaves_the_login_is_told_what_was_refused() {
    let mut console = asked_for_a_login();
    console
        .types("x")
        .keys("esc")
        .hides("Password or PIN")
        .shows("Refused: enroll")
        .shows("it needs a login");
    assert_eq!(changes(&mut console), []);
    // Nothing waits any more.
    console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
    assert_eq!(changes(&mut console), []);
}

#[test]
fn what_is_only_shown_asks_for_no_login() {
    let mut console = console(viewer(true));
    let problem = Problem::new(401, "Unauthorized", "locked", "it needs a login");
    console.take(Message::Refused { asked: Asked::Show("settings".into()), problem: Box::new(problem) });
    console.hides("Password").hides("Refused").keys("6").shows("Shown to who has logged in");
    console.keys("ctrl-r");
    assert!(!console.asked().contains(&Request::Settings));
    console.answer(session());
    assert!(console.asked().contains(&Request::Settings) || console.model.settings.all.is_some());
}

#[test]
fn a_key_locks_and_asks_for_a_login() {
    let mut console = console(session());
    console.keys("ctrl-l");
    assert_eq!(changes(&mut console), [Request::LogOut]);
    console.take(Message::Locked { why: "Locked".into() });
    console.shows("⚿ locked").hides("(console)");
    assert!(console.asked().contains(&Request::Whoami));
    console.keys("ctrl-l").shows("Log in").keys("enter");
    assert_eq!(changes(&mut console), [], "nothing was typed");
    console.keys("esc").hides("Log in");
    // By its name, too.
    console.keys(":").types("lock").keys("enter").shows("Password or PIN");
}

#[test]
fn the_first_password_is_typed_twice_and_logs_in() {
    let mut console = console(viewer(false));
    console.keys("ctrl-l").shows("No password is set yet");
    console.types("12345").keys("enter").shows("it has 5 digits: at least 6").hides("The same again");
    console.types("123456").keys("enter").shows("The same again").types("123457").keys("enter");
    console.shows("the two are not the same").shows("New password or PIN");
    assert_eq!(changes(&mut console), []);
    console.types("123456").keys("enter").types("123456").keys("enter");
    assert_eq!(changes(&mut console), [Request::SetPassword(secret("123456"))]);
    let problem = Problem::new(422, "Unprocessable", "invalid", "password: it has 5 digits");
    console.take(Message::Refused { asked: Asked::Login, problem: Box::new(problem) });
    console.shows("it has 5 digits").shows("New password or PIN");
}

#[test]
fn another_password_is_set_by_whoever_may() {
    let mut console = console(session());
    console.keys("6 P").shows("Sessions of the one before end");
    console.types("another password").keys("enter").types("another password").keys("enter");
    assert_eq!(changes(&mut console), [Request::SetPassword(secret("another password"))]);
    console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
    console.hides("Set the administrator's password");
    // Where nobody logs in it is only said.
    let mut console = Console::with(120, 40, three());
    console.keys("6 P").types("123456").keys("enter").types("123456").keys("enter");
    assert_eq!(changes(&mut console), [Request::SetPassword(secret("123456"))]);
    console.answer(Answer::Done { asked: Asked::Login, said: "The administrator's password is set".into() });
    console.hides("The same again").hides("Choose one").shows("The administrator's password is set");
    // Who may only look logs in first.
    let mut console = super::login::console(viewer(true));
    console.keys("6 P").shows("Password or PIN").hides("Choose one");
}

#[test]
fn without_a_password_ssh_says_how_to_set_one() {
    let mut console = Console::with(120, 40, three());
    let Answer::Whoami(whoami) = viewer(false) else { return };
    console.answer(Answer::Whoami(Whoami { entrance: Some(Entrance::Ssh), ..whoami }));
    console.keys("home e");
    console.asked();
    console.take(locked("enroll"));
    console
        .shows("No password is set to log in with")
        .shows("ironwake password set")
        .shows("Refused: enroll");
}

#[test]
fn the_daemon_is_told_that_somebody_is_there_now_and_then() {
    let mut console = console(session());
    let renewals =
        |console: &mut Console| console.asked().iter().filter(|request| **request == Request::Renew).count();
    console.keys("j k j k");
    assert_eq!(renewals(&mut console), 1);
    console.take(Message::Tick { now: NOW + 19_000 });
    console.keys("j");
    assert_eq!(renewals(&mut console), 0);
    console.take(Message::Tick { now: NOW + 20_000 });
    assert_eq!(renewals(&mut console), 0, "time alone is nobody");
    console.keys("j");
    assert_eq!(renewals(&mut console), 1);
    // Who may do everything by the socket has nothing to renew.
    let mut console = Console::with(120, 40, three());
    console.keys("j").keys("ctrl-l").shows("There is nothing to lock");
    assert_eq!(renewals(&mut console), 0);
}

#[test]
fn a_password_is_not_recorded_nor_in_what_is_asked() {
    let mut console = asked_for_a_login();
    console.types("hunter2-hunter2").keys("enter");
    let shown = format!("{:?}{:?}", console.requests, console.model);
    assert!(!shown.contains("hunter2"), "{shown}");
}
