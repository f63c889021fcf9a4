//! More operations than a console asks for at once: what failed long ago is known from the machine's record, a machine's own
//! operations are asked for with it, and older ones as somebody goes back.

use ironwake_api::{Machine, Operation};
use ironwake_tui::message::{Answer, Message};
use ironwake_tui::model::works::PAGE_OPERATIONS;
use ironwake_tui::request::Request;
use serde_json::{Value, json};

use super::fleet::{id, three};
use super::harness::{Console, NOW};

/// An operation of a machine, which has ended.
fn ended(number: u64, machine: u64, state: &str) -> Operation {
    let mut operation = json!({
        "id": id(number), "machine": id(machine), "kind": "rebuild", "state": state, "state_since": NOW - 1000,
        "may_have_written": true, "created_at": NOW - 2000, "created_by": { "operator": "anna" },
        "profile": { "name": "debian-image", "version": "1", "variables": {} },
    });
    if state == "failed" {
        operation["failure"] = json!({ "stage": "installing", "reason": "the disk refuses writes" });
    }
    serde_json::from_value(operation).expect("an operation")
}

/// A page of operations of node-1 that ended well, newest first.
fn page(last: u64, count: usize) -> Vec<Operation> {
    (0..count as u64).map(|back| ended(last - back, 1, "ready")).collect()
}

/// A console that has the newest operations, all of node-1; node-3 has failed before them, which its record says.
fn console(columns: u16, rows: u16) -> Console {
    let mut console = Console::new(columns, rows);
    console.take(Message::Connected { last_event: Some(5000) });
    for answer in three() {
        match answer {
            Answer::Operations(_) => console.answer(Answer::Operations(page(3000, PAGE_OPERATIONS))),
            Answer::Machines(mut page) => {
                page.items[2] = failed_long_ago(&page.items[2]);
                console.answer(Answer::Machines(page));
            }
            answer => console.answer(answer),
        }
    }
    console.asked();
    console
}

fn failed_long_ago(machine: &Machine) -> Machine {
    let mut machine = serde_json::to_value(machine).expect("JSON");
    machine["name"] = json!("node-3");
    machine["profile"] = json!({ "name": "debian-image", "version": "1", "standing": "failed", "operation": id(500),
        "since": NOW - 1000 });
    serde_json::from_value(machine).expect("a machine")
}

fn asks_for(console: &mut Console, wanted: &Request) -> bool {
    console.asked().contains(wanted)
}

#[test]
fn what_failed_long_ago_is_failed_all_the_same() {
    let mut console = console(120, 40);
    console.shows("1 failed").shows("debian-image failed while it was");
    console.keys("/").types("failed").keys("enter").shows("node-3").hides("node-1");
}

#[test]
fn a_machine_that_is_open_has_all_of_its_operations() {
    let mut console = console(120, 40);
    console.keys("/").types("node-3").keys("enter enter");
    assert!(asks_for(&mut console, &Request::OperationsOf(id(3))));
    console.keys("tab tab tab").shows("Asking the daemon").hides("Nothing was done with it");
    assert!(!asks_for(&mut console, &Request::OperationsOf(id(3))), "once");
    console.answer(Answer::OperationsOf { machine: id(3), operations: vec![ended(500, 3, "failed")] });
    console.hides("Asking the daemon").shows("debian-image").shows("the disk refuses writes");
    console.keys("enter").shows("the disk refuses writes");
    // It is older than what the list of all has without a gap.
    console.keys("2").hides("node-3");
}

#[test]
fn the_panel_beside_the_list_asks_for_them_too() {
    let mut console = console(200, 60);
    console.keys("down");
    assert!(asks_for(&mut console, &Request::OperationsOf(id(2))));
    // Whoever has everything asks for nothing.
    let mut whole = Console::with(200, 60, three());
    whole.keys("down");
    assert!(!asks_for(&mut whole, &Request::OperationsOf(id(2))));
}

#[test]
fn older_operations_come_at_the_end_of_the_list() {
    let mut console = console(120, 40);
    console.keys("2").shows("1,000 newest").shows("older ones come at the end of the list");
    let older = Request::OlderOperations(id(2001));
    assert!(!asks_for(&mut console, &older), "nobody wants them yet");
    console.keys("end");
    assert!(asks_for(&mut console, &older));
    console.keys("up down");
    assert!(!asks_for(&mut console, &older), "once");
    let mut page = page(2000, 99);
    page.push(ended(1500, 3, "failed"));
    console.answer(Answer::OlderOperations { before: id(2001), operations: page });
    console.shows("1,100 in all").shows("1 failed").keys("f f").shows("node-3").shows("✖ failed");
    console.keys("esc end");
    assert!(!console.asked().iter().any(|request| matches!(request, Request::OlderOperations(_))));
    // After a time without the daemon nobody knows what is missing.
    console.take(Message::Connected { last_event: Some(6000) });
    console.answer(Answer::Operations(self::page(4000, PAGE_OPERATIONS)));
    console.shows("1,000 newest");
}

/// A newer operation that ended well counts, whenever an older one that failed is heard of.
#[test]
fn an_older_failure_does_not_hide_what_came_after_it() {
    let mut console = console(120, 40);
    console.keys("2 end");
    console.answer(Answer::OlderOperations { before: id(2001), operations: vec![ended(1999, 1, "failed")] });
    let failed: Value = json!(console.model.fleet.get(&id(1)).expect("node-1").failure);
    assert_eq!(failed, Value::Null);
}
