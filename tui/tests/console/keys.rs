//! Keys, and what they ask for.

use ironwake_api::{Operation, Problem};
use ironwake_tui::bindings::{Action, BINDINGS, Context};
use ironwake_tui::message::{Answer, Asked, Message};
use ironwake_tui::model::past::Past;
use ironwake_tui::request::{BootOnly, Harmless, Request};
use serde_json::json;

use super::fleet::{attempts, failures, id, long_boot, many, three};
use super::harness::{Console, NOW};

fn console() -> Console {
    Console::with(120, 40, three())
}

/// What changes something, of all that was asked for.
pub fn changes(console: &mut Console) -> Vec<Request> {
    let reads = |request: &Request| {
        matches!(
            request,
            Request::Machine(_)
                | Request::Attempts(_)
                | Request::Attempt(_)
                | Request::Operation(_)
                | Request::Operations
                | Request::OperationsOf(_)
                | Request::OlderOperations(_)
                | Request::Profiles
                | Request::Fits(_)
                | Request::Leases
                | Request::Machines
                | Request::Health
                | Request::Version
                | Request::Settings
                | Request::System
                | Request::SystemChoices
                | Request::Update
                | Request::ApplianceDisks
                | Request::InstallState
                | Request::Whoami
                | Request::Renew
                | Request::Artifacts
                | Request::Builds
                | Request::Usage
                | Request::Past(_)
                | Request::Check { .. }
        )
    };
    console.asked().into_iter().filter(|request| !reads(request)).collect()
}

/// An operation that is recorded, not armed.
pub fn recorded(number: u64) -> Operation {
    serde_json::from_value(json!({
        "id": id(number), "machine": id(1), "kind": "rebuild", "state": "registered", "state_since": NOW,
        "may_have_written": false, "created_at": NOW, "created_by": { "operator": "anna" },
        "profile": { "name": "debian-image", "version": "1", "variables": {} },
        "disks": [{ "name": "nvme0n1", "size_bytes": 960_197_124_096_u64, "partitions": [{ "number": 2, "size_bytes": 429_496_729_600_u64, "filesystem": "ext4", "label": "root" }] }],
    }))
    .expect("the contract")
}

/// The steps up to the typed name, with an operation that the daemon has recorded.
fn at_the_name() -> Console {
    let mut console = console();
    console.keys("b");
    let machine = three().into_iter().find_map(|answer| match answer {
        Answer::Machines(page) => Some(page.items[0].clone()),
        _ => None,
    });
    console.answer(Answer::Machine(machine.expect("a machine")));
    console.keys("down enter enter enter");
    assert!(matches!(changes(&mut console).as_slice(), [Request::Make { .. }]));
    console.answer(Answer::Made(recorded(200)));
    console
}

#[test]
fn digits_and_tab_go_to_screens() {
    let mut console = console();
    console.keys("3").shows("following");
    console.keys("tab").shows("4 artifacts");
    console.keys("shift-tab shift-tab").shows("1 running");
    console.keys("6").shows("store schema 14");
    console.keys("1").shows("node-2");
}

#[test]
fn a_search_narrows_as_it_is_typed_and_escape_drops_it() {
    let mut console = console();
    console.keys("/").types("qemu").shows("52:54:00:00:00:03").hides("node-2");
    console.keys("enter").shows("1 of 3");
    console.keys("esc").shows("node-2");
    console.keys("/").types("zzz").shows("No machine fits").keys("esc").shows("node-2");
}

#[test]
fn filters_and_sort_go_round() {
    let mut console = console();
    console.keys("f").shows("working").shows("1 of 3").keys("f").shows("unknown").keys("f f").hides(" of 3");
    console.keys("s").shows("STATE ▴").keys("S").shows("STATE ▾").keys("s").shows("SEEN ▴");
}

#[test]
fn marked_machines_are_acted_on_together() {
    let mut console = console();
    console.keys("a").shows("3 marked").keys("e").shows("Enroll 3 machines?").keys("y");
    let machines = vec![id(1), id(2), id(3)];
    assert_eq!(changes(&mut console), [Request::Bulk { machines, action: Harmless::Enroll }]);
    console.keys("esc").hides("marked").keys("home space").shows("1 marked").keys("D n").hides("Delete");
    assert_eq!(changes(&mut console), []);
    console.keys("D y");
    assert_eq!(changes(&mut console), [Request::Bulk { machines: vec![id(1)], action: Harmless::Delete }]);
}

#[test]
fn one_machine_is_enrolled_inspected_and_opened() {
    let mut console = console();
    console.keys("end e");
    assert_eq!(changes(&mut console), [Request::Bulk { machines: vec![id(3)], action: Harmless::Enroll }]);
    console.keys("i").shows("Nothing is written to").keys("y");
    assert_eq!(changes(&mut console), [Request::Begin { machine: id(3), work: BootOnly::Inspect }]);
    console.keys("enter").shows("Overview").keys("r y");
    assert_eq!(changes(&mut console), [Request::Begin { machine: id(3), work: BootOnly::Rescue }]);
    console.keys("x");
    assert!(
        matches!(changes(&mut console).as_slice(), [Request::Edit { patch, .. }] if patch.discover_next == Some(true))
    );
}

#[test]
fn name_tags_and_notes_are_edited() {
    let mut console = console();
    console.keys("enter n ctrl-u").types("web-1").keys("enter");
    assert!(
        matches!(changes(&mut console).as_slice(), [Request::Edit { patch, .. }] if patch.name == Some(Some("web-1".into())))
    );
    console.keys("T").types(" blue").keys("enter");
    let tags = vec!["lab".to_owned(), "rack=7".into(), "blue".into()];
    assert!(
        matches!(changes(&mut console).as_slice(), [Request::Edit { patch, .. }] if patch.tags == Some(tags))
    );
}

#[test]
fn notes_are_edited_in_lines_and_kept_until_the_daemon_has_them() {
    let mut console = console();
    let notes = |console: &mut Console| match changes(console).pop() {
        Some(Request::Edit { patch, what, .. }) => (patch.notes, Asked::Do(what)),
        other => panic!("{other:?}"),
    };
    console.keys("enter N").shows("Notes of node-1").keys("enter").types("q c ?");
    console.take(Message::Paste("\ntwo".into()));
    console.keys("ctrl-s").shows("saving").types("lost");
    let (text, asked) = notes(&mut console);
    assert_eq!(text, Some(Some("second fan is loud\nq c ?\ntwo".into())));
    let problem = Problem::new(422, "Unprocessable", "invalid", "4097 bytes are more than 4096");
    console.take(Message::Refused { asked: asked.clone(), problem: Box::new(problem) });
    console.shows("are more than 4096").keys("end").types("!").keys("ctrl-s");
    assert_eq!(notes(&mut console).0, Some(Some("second fan is loud\nq c ?\ntwo!".into())));
    console.answer(Answer::Done { asked: asked.clone(), said: "Notes saved".into() });
    console.hides("Notes of node-1");
    console.keys("N ctrl-u ctrl-s");
    assert_eq!(notes(&mut console).0, Some(None), "no text is no notes");
    console.answer(Answer::Done { asked, said: "Notes saved".into() });
    console.keys("N").types("x").keys("esc");
    assert_eq!(changes(&mut console), []);
}

#[test]
fn tags_are_chosen_from_a_list_of_them() {
    let mut console = console();
    console
        .keys("t")
        .shows("all machines")
        .shows("rack=7")
        .keys("down enter")
        .shows("tag lab")
        .shows("1 of 3");
    console.keys("t up enter").hides("tag lab").shows("node-2");
    console.keys("t").types("RACK").keys("enter").shows("tag rack=7").shows("2 of 3");
    console.keys("t").keys("up space enter").shows("tag lab + tag rack=7").shows("1 of 3");
    console.keys("esc").hides("tag rack=7").keys("t").types("zzz").shows("nothing of that name").keys("esc");
    console.hides(" of 3");
}

#[test]
fn what_is_armed_is_taken_back_where_it_is_shown() {
    let mut console = console();
    console.keys("c").shows("Nothing is armed or runs there");
    console.keys("down c").shows("Rebuild of node-2").shows("A disk may have been written").keys("n");
    assert_eq!(changes(&mut console), []);
    console.keys("enter c y");
    assert_eq!(changes(&mut console), [Request::Cancel(vec![id(91)])]);
    let mut console = Console::with(120, 40, many());
    console.keys("c").shows("Nothing was written to any disk").keys("n d");
    assert_eq!(changes(&mut console), [Request::Disarm(vec![id(100_001)])]);
    console.keys("a c").shows("Take 1,000 operations back?").keys("y");
    assert!(matches!(changes(&mut console).as_slice(), [Request::Cancel(ids)] if ids.len() == 1000));
    console.keys("d");
    assert!(matches!(changes(&mut console).as_slice(), [Request::Disarm(ids)] if ids.len() == 1000));
}

#[test]
fn what_is_recorded_is_armed_by_the_name_alone() {
    let mut console = console();
    console.answer(Answer::Operation(recorded(200)));
    console.keys("2 home d").shows("It is not armed").keys("a").shows("Rebuild node-1: this is overwritten");
    console.take(Message::Paste("node-1".into()));
    console.keys("enter").shows("Nothing is armed");
    assert_eq!(changes(&mut console), []);
    console.types("node-1").keys("enter");
    let asked = changes(&mut console);
    assert!(
        matches!(asked.as_slice(), [Request::Arm(confirmation)] if confirmation.operations() == [id(200)])
    );
    console.keys("down a").shows("Only what is recorded is armed");
}

#[test]
fn the_stages_of_a_long_boot_are_scrolled_and_its_end_is_followed() {
    let mut console = Console::with(80, 24, three());
    console.keys("enter tab tab");
    for answer in super::fleet::long_boot() {
        console.answer(answer);
    }
    console.shows("stage 99").hides("stage 10").shows("more ▴");
    console.keys("K").hides("stage 99").keys("pageup pageup").shows("more ▾");
    console
        .keys("pageup pageup pageup pageup pageup pageup pageup pageup pageup")
        .shows("stage 00")
        .hides("more ▴");
    let top = console.model.opened.as_ref().and_then(|opened| opened.stages_top);
    assert_eq!(top, Some(0));
    for _ in 0..20 {
        console.keys("pagedown");
    }
    console.shows("stage 99").keys("J");
    assert_eq!(
        console.model.opened.as_ref().and_then(|opened| opened.stages_top),
        None,
        "its end is followed"
    );
}

#[test]
fn boots_show_where_they_stopped() {
    let mut console = console();
    console.keys("enter tab tab");
    for answer in attempts() {
        console.answer(answer);
    }
    console
        .shows("stopped here: loader_not_started")
        .shows("Secure Boot is probably on")
        .shows("6.4 s without a word");
    console.keys("down");
    assert!(console.asked().contains(&Request::Attempt(6)));
}

#[test]
fn only_the_name_in_full_arms() {
    let mut console = at_the_name();
    console.shows("cannot be had back").shows("2: ext4 \"root\"").shows("type the machine's name, node-1");
    console.keys("enter").shows("Nothing is armed");
    console.types("node-").keys("enter");
    console.take(Message::Paste("1".into()));
    console.keys("enter");
    assert_eq!(changes(&mut console), [], "a part of the name, or one that was pasted, arms nothing");
    console.types("1").keys("enter");
    let armed = changes(&mut console);
    assert!(
        matches!(armed.as_slice(), [Request::Arm(confirmation)] if confirmation.operations() == [id(200)])
    );
    console.keys("enter esc");
    assert_eq!(changes(&mut console), [], "once");
    console.answer(Answer::Done { asked: Asked::Arm, said: "Armed".into() });
    console.shows("Armed").hides("Confirm");
}

#[test]
fn whoever_leaves_takes_back_what_was_recorded() {
    for (keys, goes) in [("esc", "Disk"), ("ctrl-c", ""), ("ctrl-p g o", "")] {
        let mut console = at_the_name();
        console.keys(keys);
        if keys == "ctrl-p g o" {
            console.keys("esc ctrl-c");
        }
        let taken_back = Request::Cancel(vec![id(200)]);
        assert!(changes(&mut console).contains(&taken_back), "{keys}");
        console.shows(goes);
    }
    // The daemon's answer comes when nobody waits for it any more.
    let mut console = console();
    console.answer(Answer::Made(recorded(201)));
    assert_eq!(changes(&mut console), [Request::Cancel(vec![id(201)])]);
}

#[test]
fn values_are_checked_as_they_are_typed() {
    let mut console = console();
    console.keys("b enter enter").shows("image has to be given");
    console.types("noble").keys("down").types("10.0.0.5").shows("expected an address with its prefix length");
    console
        .types("/24")
        .hides("expected an address")
        .keys("down")
        .types("hunter2")
        .shows("*******")
        .hides("hunter2");
    assert!(console.model.is_typing_a_secret());
    console.keys("down space").shows("true").keys("enter").shows("Disk");
}

#[test]
fn what_the_daemon_refuses_is_shown_at_its_field() {
    let mut console = console();
    console.keys("b");
    let node = three().into_iter().find_map(|answer| match answer {
        Answer::Machines(page) => Some(page.items[0].clone()),
        _ => None,
    });
    console.answer(Answer::Machine(node.expect("a machine")));
    console.keys("enter").types("nope").keys("enter enter");
    let mut problem = Problem::new(422, "Unprocessable", "invalid", "1 field is wrong");
    let message = "there is no artifact called \"nope\"".to_owned();
    problem.errors.push(ironwake_api::FieldProblem { field: "variables.image".into(), message });
    console.take(Message::Refused { asked: Asked::Make, problem: Box::new(problem) });
    console.shows("there is no artifact called");
    console.types("x");
    assert!(console.asked().iter().any(|request| matches!(request, Request::Check { .. })));
}

#[test]
fn operations_are_cancelled_and_tried_again() {
    let mut console = console();
    console.keys("2 c").shows("A disk may have been written").keys("y");
    assert_eq!(changes(&mut console), [Request::Cancel(vec![id(91)])]);
    console.keys("r").shows("Only what failed or was cancelled");
    let mut console = Console::with(120, 40, failures());
    console
        .keys("2 f f r")
        .shows("Type node-2 to confirm")
        .types("node")
        .keys("enter")
        .shows("Nothing is armed");
    console.types("-2").keys("enter");
    assert!(
        matches!(changes(&mut console).as_slice(), [Request::RetryWriting(confirmation)] if confirmation.operations() == [id(92)])
    );
}

#[test]
fn artifacts_are_pinned_and_deleted() {
    let mut console = console();
    console.keys("4 D").shows("cannot be deleted").shows("it is pinned: unpin it first").keys("p");
    let name = "debian-image/trixie-amd64".to_owned();
    assert_eq!(changes(&mut console), [Request::Pin { name: name.clone(), pinned: false }]);
    console.keys("b");
    assert_eq!(changes(&mut console), [Request::Build(name)]);
    console.keys("down D").shows("Cancel the download of noble?").keys("y");
    assert_eq!(changes(&mut console), [Request::DeleteArtifact("noble".into())]);
    console.keys("end p").shows("not an import");
}

#[test]
fn events_are_held_filtered_and_lead_to_their_machine() {
    let mut console = console();
    console.keys("3").shows("following").keys("up").shows("held").keys("end").shows("following");
    console.keys("f f").shows("1 of 7 events").keys("f").shows("7 of 7").keys("up o").shows("1 of 7");
    console.keys("enter").shows("Overview");
}

#[test]
fn events_are_narrowed_to_what_they_are_about() {
    let mut console = console();
    console.keys("3 t").shows("Events about").shows("everything").types("boot").keys("enter");
    console.shows("boots").shows("2 of 7 events");
    console.keys("t").types("net").keys("space enter").shows("boots, network").shows("3 of 7");
    console.keys("esc").shows("7 of 7");
}

#[test]
fn the_palette_reaches_actions_and_machines() {
    let mut console = console();
    console.keys(":").types("wipe").keys("enter").shows("Wipe node-1");
    console.keys("esc :").types("node-2").keys("enter").shows("Overview").shows("node-2");
    console.keys(":").types("pin").keys("enter");
    assert!(matches!(changes(&mut console).as_slice(), [Request::Pin { .. }]), "on the screen of artifacts");
}

#[test]
fn help_has_every_binding() {
    let mut console = Console::with(90, 300, three());
    console.keys("?");
    // In one column, so that what goes on in the next line stands behind what it belongs to.
    let screen = console.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    // The steps of the first set-up tell theirs themselves.
    for binding in BINDINGS.iter().filter(|binding| binding.context != Context::First) {
        assert!(screen.contains(binding.help), "{binding:?} is not on\n{screen}");
    }
    console.keys("esc").hides(Context::Question.title());
    let mut console = Console::with(200, 60, three());
    console.keys("3 ?").shows("Events ──").shows("Leave the console").hides("more ▾");
}

/// Where an action may be offered on a screen: keys that lead there.
fn places(context: Context) -> &'static [&'static str] {
    match context {
        Context::Everywhere => &["", "down", "end", "2", "2 enter"],
        // What stands behind `|` is pressed once the boots are there.
        Context::Machine => {
            &["enter", "enter tab", "down enter tab tab tab", "enter tab tab", "enter tab tab | K"]
        }
        Context::Rebuild => &["b", "b enter", "b enter down down down"],
        Context::Operations => &["2", "2 down"],
        Context::Operation => &["2 enter", "2 down enter"],
        Context::Events => &["3", "3 up"],
        Context::Artifacts => &["4", "4 down"],
        Context::Network => &["5"],
        Context::System => &["6", "6 down"],
        Context::Settings => &["6 s", "6 s down"],
        _ => &["", "down", "end"],
    }
}

/// Whether a key changes anything that is known or shown, or asks for something.
fn does(console: &mut Console, key: &str) -> bool {
    console.asked();
    let before = format!("{:?}", console.model);
    console.keys(key);
    !console.asked().is_empty() || format!("{:?}", console.model) != before
}

#[test]
fn every_action_does_something_somewhere() {
    let open = |place: &str| {
        let mut console = Console::with(120, 40, failures());
        let (there, then) = place.split_once('|').unwrap_or((place, ""));
        console.keys(there);
        // Boots of the machine that is open, the chosen one of more stages than there is room for.
        long_boot().into_iter().for_each(|answer| console.answer(answer));
        console.keys(then);
        console
    };
    for place in ["", "enter", "2", "6"] {
        assert!(!does(&mut open(place), "ctrl-y"), "a key that is not bound does nothing at {place:?}");
    }
    for binding in BINDINGS.iter().filter(|binding| !binding.context.is_modal()) {
        for key in binding.keys {
            let somewhere = places(binding.context).iter().any(|place| {
                let mut console = open(place);
                let does = does(&mut console, key);
                assert_eq!(console.model.ended, binding.action == Action::Quit, "{binding:?}");
                does
            });
            assert!(somewhere, "{key} does nothing: {binding:?}");
        }
    }
}

#[test]
fn the_footer_of_a_rebuild_says_what_enter_does() {
    let mut console = console();
    console.keys("b");
    let footer = |console: &Console| console.screen().lines().last().expect("a line").to_owned();
    assert!(footer(&console).contains("enter next") && !footer(&console).contains("choose"));
    console.keys("enter");
    assert!(footer(&console).contains("space choose"), "{}", footer(&console));
    console.types("noble").keys("enter enter");
    console.answer(Answer::Made(recorded(200)));
    console.shows("All of this is overwritten");
    assert!(footer(&console).contains("enter arm"), "{}", footer(&console));
    assert!(!footer(&console).contains("choose") && !footer(&console).contains("next"));
}

#[test]
fn states_are_found_by_whole_words() {
    let mut console = console();
    console.keys("/").types("unknown").shows("52:54:00:00:00:03").hides("node-1");
    console.keys("ctrl-u").types("known").hides("52:54:00:00:00:03");
}

#[test]
fn a_lost_daemon_is_told_and_everything_is_asked_again() {
    let mut console = console();
    console.take(Message::Lost { why: "connection refused".into(), retry_at: NOW + 2_000 });
    console.shows("The daemon does not answer, again in 2 s").shows("connection refused").shows("node-2");
    console.take(Message::Connected { last_event: Some(1200) });
    console.hides("does not answer").shows("answers again");
    let asked = console.asked();
    assert!(
        asked.contains(&Request::Machines) && asked.contains(&Request::Past(Past::default())),
        "{asked:?}"
    );
}

#[test]
fn operations_that_come_before_their_machines_count() {
    let mut console = Console::new(120, 40);
    console.take(Message::Connected { last_event: Some(7) });
    let (operations, others): (Vec<Answer>, Vec<Answer>) =
        failures().into_iter().partition(|answer| matches!(answer, Answer::Operations(_)));
    operations.into_iter().chain(others).for_each(|answer| console.answer(answer));
    console.shows("1 failed").shows("refuses writes");
}

#[test]
fn ten_thousand_machines_scroll_and_keep_their_place() {
    let mut console = Console::with(80, 24, many());
    console.shows("10,000").keys("end").shows("52:54:00:00:27:10");
    console.keys("home pagedown pagedown");
    let chosen = console.model.fleet.chosen().expect("one").machine.id.clone();
    console.keys("s s S s s s s");
    assert_eq!(
        console.model.fleet.chosen().expect("one").machine.id,
        chosen,
        "the cursor stays on its machine"
    );
}

#[test]
fn messages_are_recorded_and_played_again() {
    let mut played = Console::new(120, 40);
    let mut lines = Vec::new();
    let mut messages = vec![Message::Connected { last_event: Some(7) }];
    messages.extend(three().into_iter().map(|answer| Message::Answer(Box::new(answer))));
    for key in ["j", "/", "n", "enter", "b", "enter"] {
        messages.push(Message::Key(key.parse().expect("a key")));
    }
    for message in messages {
        lines.push(serde_json::to_string(&message).expect("JSON"));
        played.take(message);
    }
    let mut again = Console::new(120, 40);
    for line in lines {
        again.take(serde_json::from_str(&line).expect("a message"));
    }
    assert_eq!(played.screen(), again.screen());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Whatever is pressed, at whatever size: nothing panics, and nothing that writes is armed unless the name was typed,
    /// which no key of these can do.
    #[test]
    fn random_keys_neither_panic_nor_arm(
        places in proptest::collection::vec(0..BINDINGS.len() + 8, 1..120),
        size in (20_u16..220, 5_u16..70),
    ) {
        let mut console = Console::with(size.0, size.1, failures());
        for place in places {
            match BINDINGS.get(place) {
                Some(binding) if binding.action == Action::Quit => {}
                Some(binding) => {
                    console.keys(binding.keys[0]);
                    let (column, row) = (place as u16 * 7 % size.0, place as u16 * 3 % size.1);
                    console.take(Message::Click { column, row });
                    console.take(Message::Wheel(if place % 3 == 0 { -3 } else { 3 }));
                    console.model.ended = false;
                },
                None if place % 2 == 0 => console.answer(Answer::Made(recorded(200))),
                None => {
                    console.types("q");
                }
            }
            let _ = console.screen();
        }
        let writes = |request: &Request| matches!(request, Request::Arm(_) | Request::RetryWriting(_));
        proptest::prop_assert!(!console.requests.iter().any(writes));
    }
}
