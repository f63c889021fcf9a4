//! Settings: every value with its origin, changed as typed, refused where it can be put right, taken back.

use ironwake_api::Problem;
use ironwake_tui::message::{Answer, Asked, Message};
use ironwake_tui::request::Request;
use serde_json::{Value, json};

use super::fleet::three;
use super::harness::Console;

fn console() -> Console {
    let mut console = Console::with(120, 40, three());
    console.keys("6 s");
    console
}

/// The change that was asked for, with its key.
fn change(console: &mut Console) -> Option<(String, Value)> {
    console.asked().into_iter().find_map(|request| match request {
        Request::ChangeSettings { key, patch, .. } => Some((key, patch.0)),
        _ => None,
    })
}

#[test]
fn every_setting_has_its_value_and_its_origin() {
    let mut console = Console::with(120, 40, three());
    console.keys("6").shows("http.listen").hides("allow_rogue").shows("after the next start: http.listen");
    console.keys("s").shows("network[0].allow_rogue").shows("default").shows("API").shows("next start");
    console.shows("13 settings").shows("***").hides("hunter2");
    console.keys("f").hides("allow_rogue").keys("f").hides("webhook").keys("esc").shows("allow_rogue");
    console.keys("/").types("webhook").keys("enter").hides("allow_rogue").keys("esc esc").shows("Health");
}

#[test]
fn a_value_is_typed_and_checked_by_the_daemon_before_it_counts() {
    let mut console = console();
    console.keys("/").types("policy").keys("enter enter").shows("enrolment.policy").keys("ctrl-u");
    console.types("rulez").keys("enter").shows("the daemon checks it");
    let expected = json!({"enrolment": {"policy": "rulez"}});
    assert_eq!(change(&mut console), Some(("enrolment.policy".into(), expected)));
    console.types("lost").keys("enter");
    assert_eq!(change(&mut console), None, "it is asked once");
    let detail = "settings.toml:4:10: found \"rulez\"; did you mean \"rules\"?";
    let problem = Box::new(Problem::new(422, "Unprocessable", "invalid", detail));
    let asked = Asked::Setting("enrolment.policy".into());
    console.take(Message::Refused { asked: asked.clone(), problem });
    console.shows("did you mean \"rules\"?").shows("rulez").hides("lost").keys("backspace").types("s");
    console.hides("did you mean").keys("enter");
    assert_eq!(change(&mut console).map(|change| change.1), Some(json!({"enrolment": {"policy": "rules"}})));
    console.answer(Answer::Done { asked, said: "enrolment.policy is changed".into() });
    console.hides("the daemon checks it").shows("enrolment.policy is changed");
}

#[test]
fn a_value_that_cannot_be_one_is_not_asked_for() {
    let mut console = console();
    console
        .keys("/")
        .types("allow")
        .keys("enter enter")
        .shows("space changes it")
        .keys("space")
        .shows("true");
    console.types("x").keys("enter").shows("expected true or false");
    assert_eq!(change(&mut console), None);
    console.keys("backspace enter");
    let network = json!([{"interface": "br0", "dhcp": "server", "allow_rogue": true}]);
    assert_eq!(change(&mut console).map(|change| change.1), Some(json!({ "network": network })));
}

#[test]
fn secrets_are_not_shown_and_lists_that_have_some_are_not_written_over() {
    let mut console = console();
    console.keys("/").types("webhook secret").keys("enter enter").shows("kept secret").types("hunter2");
    console.shows("*******").hides("hunter2");
    assert!(console.model.is_typing_a_secret());
    console.keys("enter").shows("webhook is set as a whole");
    assert_eq!(change(&mut console), None);
}

#[test]
fn something_else_is_set_by_its_key() {
    let mut console = console();
    console.keys("n").types("values.timezone").keys("enter").types("Europe/Vienna");
    assert!(console.model.is_typing_a_secret(), "nobody knows yet whether it is one");
    console.keys("enter");
    let expected = json!({"values": {"timezone": "Europe/Vienna"}});
    assert_eq!(change(&mut console), Some(("values.timezone".into(), expected)));
    console.keys("esc n").types("a..b").keys("enter").types("x").keys("enter").shows("is no setting");
}

#[test]
fn a_key_is_one_of_a_setting_or_told_what_is_near() {
    let mut console = console();
    console
        .keys("n")
        .types("hello world")
        .keys("enter")
        .shows("There is no such setting")
        .shows("Which setting");
    assert_eq!(change(&mut console), None);
    console.keys("ctrl-u").types("api.lisen").keys("enter").shows("such are api.listen");
    console.keys("backspace backspace").types("ten").keys("enter").types("0.0.0.0:8443").keys("enter");
    let expected = json!({"api": {"listen": "0.0.0.0:8443"}});
    assert_eq!(change(&mut console), Some(("api.listen".into(), expected)));
}

#[test]
fn how_the_api_is_switched_on_is_listed_while_it_is_off() {
    let mut console = console();
    console.shows("api.listen").shows("not set").keys("/").types("api.listen").keys("enter enter");
    console.types("0.0.0.0:8443").keys("enter");
    let expected = json!({"api": {"listen": "0.0.0.0:8443"}});
    assert_eq!(change(&mut console), Some(("api.listen".into(), expected)));
}

#[test]
fn a_change_through_the_api_is_taken_back() {
    let mut console = console();
    console.keys("/").types("listen").keys("enter u").shows("was not changed through the API");
    console
        .keys("esc esc 6 s")
        .keys("/")
        .types("dhcp")
        .keys("enter u")
        .shows("taken back as a whole")
        .keys("y");
    assert_eq!(change(&mut console), Some(("network".into(), json!({"network": null}))));
}

#[test]
fn a_session_in_the_settings_is_played_again() {
    let mut played = Console::with(120, 40, three());
    let mut again = Console::with(120, 40, three());
    let mut messages: Vec<Message> = Vec::new();
    for key in ["6", "s", "down", "enter", "ctrl-u", "a", "enter"] {
        messages.push(Message::Key(key.parse().expect("a key")));
    }
    let problem = Box::new(Problem::new(422, "Unprocessable", "invalid", "it is none"));
    messages.push(Message::Refused { asked: Asked::Setting("http.listen".into()), problem });
    for message in messages {
        let line = serde_json::to_string(&message).expect("JSON");
        played.take(message);
        again.take(serde_json::from_str(&line).expect("a message"));
    }
    assert_eq!(played.screen(), again.screen());
    assert_eq!(played.asked(), again.asked());
}
