//! The mouse: a click is what a key would be.

use ironwake_tui::message::{Answer, Message};
use ironwake_tui::model::order::SortBy;
use ironwake_tui::request::Request;
use ironwake_tui::view::frame;

use super::fleet::{attempts, failures, id, long_boot, many, three};
use super::harness::Console;

fn console() -> Console {
    Console::with(120, 40, three())
}

#[test]
fn a_click_on_any_hint_is_its_key() {
    let places = [
        "",
        "space",
        "enter",
        "enter tab tab",
        "b",
        "2",
        "2 enter",
        "3",
        "4",
        "5",
        "6",
        "6 s",
        "6 t",
        "6 h",
        "6 u",
        ":",
        "/",
        "?",
        "D",
        "t",
        "3 t",
        "enter N",
        "enter n",
        "6 s enter",
        "2 f f r",
    ];
    for size in [(80, 24), (200, 60)] {
        for place in places {
            let open = || {
                let mut console = Console::with(size.0, size.1, failures());
                console.keys(place);
                console.asked();
                console
            };
            for hint in frame::hints(&open().model) {
                let (mut clicked, mut pressed) = (open(), open());
                clicked.click_at(hint.x, size.1 - 1);
                pressed.keys(hint.binding.keys[0]);
                assert_eq!(clicked.screen(), pressed.screen(), "{place:?} {hint:?}");
                assert_eq!(clicked.asked(), pressed.asked(), "{place:?} {hint:?}");
            }
        }
    }
}

#[test]
fn tabs_and_lines_are_clicked() {
    let mut console = console();
    console.click("Operations").shows("1 running").click("3 Events").shows("following");
    console.click("1 Machines").click("node-2").hides("Overview");
    assert_eq!(console.model.fleet.chosen().expect("one").machine.id, id(2));
    console.click("node-2").shows("Overview");
    console.click("Boots").shows("Asking the daemon").click("Hardware").shows("No inventory yet");
}

#[test]
fn a_click_before_a_name_marks_it_and_one_on_a_title_sorts() {
    let mut console = console();
    console.click_at(1, 6).shows("1 marked").click_at(1, 6).hides("marked");
    console.click("STATE").shows("STATE ▴").click("STATE").shows("STATE ▾").click("SEEN").shows("SEEN ▴");
    assert_eq!(console.model.fleet.sort, SortBy::Seen);
}

#[test]
fn entries_and_answers_are_clicked_and_beside_them_is_escape() {
    let mut console = console();
    console.keys(":").types("wipe").click("machine: wipe").shows("Wipe node-1").keys("esc");
    console.keys("t").click("rack=7").shows("✓ rack=7").click("enter take").shows("tag rack=7").keys("esc");
    console.keys("D").click_at(0, 10).hides("Delete node-1?");
    console.asked();
    console.keys("D").click("n no").hides("Delete node-1?");
    assert!(!console.asked().iter().any(|request| matches!(request, Request::Bulk { .. })));
    console.keys("D").click("y yes");
    assert!(console.asked().iter().any(|request| matches!(request, Request::Bulk { .. })));
    console.keys(":").click_at(0, 10).hides("Commands");
    console.keys("6 r").click("ironwake-ssh").shows("Start ironwake-ssh again?").click("n no");
}

#[test]
fn what_is_typed_is_not_lost_by_a_click_beside_it() {
    let mut console = console();
    console.keys("enter N").types("x").click_at(0, 10).shows("Notes of node-1").keys("esc");
    console.keys("n").types("x").click_at(0, 10).shows("a hostname, such as node-1");
}

#[test]
fn boots_profiles_and_disks_are_chosen_by_a_click() {
    let mut console = console();
    console.keys("enter tab tab");
    for answer in attempts() {
        console.answer(answer);
    }
    console.asked();
    console.click("inventoried");
    assert!(console.asked().contains(&Request::Attempt(6)), "the stages of that boot are asked for");
    console.keys("1 b");
    let node = three().into_iter().find_map(|answer| match answer {
        Answer::Machines(page) => Some(page.items[0].clone()),
        _ => None,
    });
    console.answer(Answer::Machine(node.expect("a machine")));
    console.click("debian-image").click("debian-image").keys("enter").click("TOSHIBA").keys("enter");
    let made = console.asked().into_iter().find_map(|request| match request {
        Request::Make { plan, .. } => Some(plan),
        _ => None,
    });
    let plan = made.expect("it is asked for");
    assert_eq!((plan.profile.as_deref(), plan.disks), (Some("debian-image"), vec!["serial=Y0G0A0B1".into()]));
}

#[test]
fn the_wheel_turns_everything_that_is_longer_than_the_screen() {
    let turned = |keys: &str, answers: Vec<Answer>, more: Vec<Answer>| {
        let mut console = Console::with(80, 14, answers);
        console.keys(keys);
        for answer in more {
            console.answer(answer);
        }
        let before = console.screen();
        for _ in 0..6 {
            console.take(Message::Wheel(-3));
            console.take(Message::Wheel(3));
            console.take(Message::Wheel(3));
        }
        // A boot is shown from its end.
        for _ in 0..20 {
            console.take(Message::Wheel(if keys == "enter tab tab" { -3 } else { 3 }));
        }
        assert_ne!(console.screen(), before, "{keys:?}");
    };
    turned("", many(), Vec::new());
    turned("?", three(), Vec::new());
    turned(":", three(), Vec::new());
    turned("3 t", three(), Vec::new());
    turned("enter", three(), Vec::new());
    turned("enter tab tab", three(), long_boot());
    turned("6", three(), Vec::new());
    turned("6 s", three(), Vec::new());
    turned("4", three(), Vec::new());
    turned("2", three(), Vec::new());
    turned("5", three(), Vec::new());
    turned("b", three(), Vec::new());
}
