//! Events that are stored: newest first, older ones as far as somebody goes back, and those of one machine.

use std::collections::BTreeSet;

use ironwake_api::Event;
use ironwake_tui::message::Answer;
use ironwake_tui::model::past::{PAGE_EVENTS, Past, Scope};
use ironwake_tui::model::tail::About;
use ironwake_tui::request::Request;
use serde_json::json;

use super::fleet::{id, three};
use super::harness::{Console, NOW};

/// So many events up to one, of a machine.
fn page(last: i64, count: usize, machine: u64) -> Vec<Event> {
    let event = |id_: i64| {
        let event = json!({
            "id": id_, "at": NOW - 1_000_000 + id_ as u64, "actor": "machine", "machine": id(machine),
            "kind": "attempt_started", "attempt": id_, "mac": "52:54:00:00:00:01"
        });
        serde_json::from_value(event).expect("an event")
    };
    (last + 1 - count as i64..=last).map(event).collect()
}

/// The pages that were asked for.
fn asked(console: &mut Console) -> Vec<Past> {
    let past = |request| match request {
        Request::Past(past) => Some(past),
        _ => None,
    };
    console.asked().into_iter().filter_map(past).collect()
}

fn console() -> Console {
    let mut console = Console::new(120, 40);
    console.take(ironwake_tui::message::Message::Connected { last_event: Some(5000) });
    for answer in three().into_iter().filter(|answer| !matches!(answer, Answer::Past { .. })) {
        console.answer(answer);
    }
    assert_eq!(asked(&mut console), [Past::default()], "the newest");
    console.answer(Answer::Past { past: Past::default(), events: page(5000, PAGE_EVENTS, 1) });
    console
}

#[test]
fn older_ones_come_when_somebody_goes_back() {
    let mut console = console();
    console.keys("3").shows("500 of 500 events");
    console.keys("pageup");
    assert_eq!(asked(&mut console), [], "there is more above");
    console.keys("home");
    let past = Past { before: Some(4501), ..Past::default() };
    assert_eq!(asked(&mut console), std::slice::from_ref(&past));
    console.keys("up up");
    assert_eq!(asked(&mut console), [], "once");
    console.answer(Answer::Past { past, events: page(4500, 20, 2) });
    console.shows("520 of 520 events").shows("held").keys("home");
    assert_eq!(asked(&mut console), [], "that was the beginning");
}

#[test]
fn what_the_list_is_narrowed_to_is_asked_for_by_kind_and_machine() {
    let mut console = console();
    console.keys("3 end o").asked();
    console.keys("t").types("boots").keys("enter home");
    let scope = Scope { machine: Some(id(1)), about: BTreeSet::from([About::Boots]) };
    let past = Past { scope, before: Some(4501), ..Past::default() };
    assert_eq!(asked(&mut console), std::slice::from_ref(&past));
    console.answer(Answer::Past { past, events: page(3000, 10, 1) });
    console.shows("510 of 510 events").keys("esc esc");
    // Between 3000 and 4501 others are missing: what is not whole is not listed.
    console.shows("500 of 510 events");
}

#[test]
fn the_panel_asks_for_the_events_of_its_machine() {
    let mut console = Console::with(200, 60, three());
    console.keys("down");
    let wanted = |number| Past { scope: Scope::of_machine(&id(number)), before: None, limit: 50 };
    // All events are here, from the first one on.
    assert_eq!(asked(&mut console), []);
    let mut console = Console::new(200, 60);
    console.take(ironwake_tui::message::Message::Connected { last_event: Some(5000) });
    three().into_iter().take(1).for_each(|answer| console.answer(answer));
    console.answer(Answer::Past { past: Past::default(), events: page(5000, PAGE_EVENTS, 1) });
    console.asked();
    console.keys("down");
    let past = Past { before: Some(4501), ..wanted(2) };
    assert_eq!(asked(&mut console), std::slice::from_ref(&past));
    console.answer(Answer::Past { past, events: page(77, 1, 2) });
    console.shows("boots by 52:54:00:00:00:01").keys("up down");
    assert!(!asked(&mut console).iter().any(|past| past.scope == wanted(2).scope), "once");
}
