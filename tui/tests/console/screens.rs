//! Each screen, small and large, with nothing, three machines, ten thousand, and failures. The pictures are plain text:
//! read what changes in them.

use super::fleet::{attempts, empty, failures, id, many, three};
use super::harness::Console;
use ironwake_tui::message::{Answer, Message};

/// The small and the large terminal.
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

/// Each state of the daemon.
fn states() -> [(&'static str, Vec<Answer>); 4] {
    [("empty", empty()), ("three", three()), ("many", many()), ("failures", failures())]
}

#[track_caller]
pub fn picture(name: &str, console: &Console) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console/pictures"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, console.screen()));
}

/// A screen in every size and state, after `keys`.
#[track_caller]
fn check(screen: &str, keys: &str) {
    for (state, answers) in states() {
        for (columns, rows) in SIZES {
            let mut console = Console::with(columns, rows, answers.clone());
            console.keys(keys);
            picture(&format!("{screen}_{state}_{columns}"), &console);
        }
    }
}

/// A screen in every size with three machines, after `keys`; `answers` come before the last look.
#[track_caller]
fn check_three(screen: &str, keys: &str, answers: &[Answer]) {
    for (columns, rows) in SIZES {
        let mut console = Console::with(columns, rows, three());
        console.keys(keys);
        for answer in answers {
            console.answer(answer.clone());
        }
        picture(&format!("{screen}_{columns}"), &console);
    }
}

/// Somebody who may look, where people log in.
#[test]
fn logging_in() {
    let login = |state: &str, answers: &[Answer], keys: &str, refused: bool| {
        for (columns, rows) in SIZES {
            let mut console = Console::with(columns, rows, three());
            answers.iter().for_each(|answer| console.answer(answer.clone()));
            console.keys(keys);
            if refused {
                console.take(super::login::locked("enroll"));
                console.types("wrong").keys("enter");
                console.take(super::login::refused());
                console.types("123");
            }
            picture(&format!("login_{state}_{columns}"), &console);
        }
    };
    login("locked", &[super::login::viewer(true)], "6", false);
    login("asked", &[super::login::viewer(true)], "e", true);
    login("first", &[super::login::viewer(false)], "ctrl-l", false);
    login("in", &[super::login::session()], "", false);
}

fn node() -> Answer {
    let machines = three().into_iter().find_map(|answer| match answer {
        Answer::Machines(page) => Some(page.items),
        _ => None,
    });
    Answer::Machine(machines.expect("machines").remove(0))
}

#[test]
fn machines() {
    check("machines", "");
}

#[test]
fn operations() {
    check("operations", "2");
}

#[test]
fn events() {
    check("events", "3");
}

#[test]
fn artifacts() {
    check("artifacts", "4");
}

#[test]
fn network() {
    check("network", "5");
    let mut requests = 1_204;
    let burst: Vec<Answer> = (1..40)
        .map(|look: u64| {
            requests += [0, 3, 12, 40, 160, 90, 31][look as usize % 7];
            super::fleet::proxied(look * 3, requests)
        })
        .collect();
    check_three("network_proxy", "5", &burst);
}

#[test]
fn system() {
    check("system", "6");
    check_three("system_address", "6 a enter", &[]);
    check_three("system_timezone", "6 t", &[]);
    check_three("system_code", "6 u", &[]);
    check_three("machine_code", "enter u", &[node()]);
    check_three("system_stick", "6", &[super::medium::disks()]);
    check_three("system_installing", "6", &[super::medium::state(ironwake_api::InstallPhase::State, 3)]);
    check_three("system_waiting", "6", &[Answer::AddressChanged(super::own::change(60))]);
}

#[test]
fn the_disk_that_is_installed_on_is_named() {
    for (columns, rows) in SIZES {
        let mut console = Console::with(columns, rows, three());
        console.keys("6 i");
        console.answer(super::medium::disks());
        picture(&format!("system_install_disk_{columns}"), &console);
        console.keys("enter");
        picture(&format!("system_install_name_{columns}"), &console);
    }
}

#[test]
fn settings() {
    check("settings", "6 s");
    check_three("setting_change", "6 s enter", &[]);
    check_three("setting_take_back", "6 s down u", &[]);
}

#[test]
fn machine() {
    check_three("machine_overview", "enter", &[node()]);
    check_three("machine_hardware", "enter tab", &[node()]);
    let mut boots = vec![node()];
    boots.extend(attempts());
    check_three("machine_boots", "enter tab tab", &boots);
    let mut long = vec![node()];
    long.extend(super::fleet::long_boot());
    check_three("machine_long_boot", "enter tab tab", &long);
    check_three("machine_operations", "enter tab tab tab", &[node()]);
    check_three("machine_host", "enter tab tab tab tab", &[node()]);
    check_three("machine_notes", "enter shift-tab", &[node()]);
}

#[test]
fn operation() {
    let mut failed = failures().into_iter().filter_map(|answer| match answer {
        Answer::Operations(operations) => Some(operations),
        _ => None,
    });
    let failed = failed.next_back().expect("operations").remove(0);
    assert_eq!(failed.id, id(92));
    for (columns, rows) in SIZES {
        let mut console = Console::with(columns, rows, failures());
        console.keys("2 f f enter").answer(Answer::Operation(failed.clone()));
        picture(&format!("operation_failed_{columns}"), &console);
    }
}

#[test]
fn rebuild() {
    check_three("rebuild_profile", "b", &[node()]);
    check_three("rebuild_unfit", "b down", &[node(), super::fleet::fits()]);
    check_three("rebuild_values", "b enter", &[node()]);
    check_three("rebuild_disk", "b down enter enter", &[node()]);
    for (columns, rows) in SIZES {
        let mut console = Console::with(columns, rows, three());
        console.keys("b");
        console.answer(node());
        console.keys("down enter enter enter");
        console.answer(Answer::Made(super::keys::recorded(200)));
        console.types("node-");
        picture(&format!("rebuild_confirm_{columns}"), &console);
    }
}

#[test]
fn above_the_screen() {
    check_three("help", "?", &[]);
    check_three("palette", ": r e b", &[]);
    check_three("question", "D", &[]);
    check_three("tags", "t down", &[]);
    check_three("about", "3 t down space", &[]);
    check_three("notes", "enter N enter", &[node()]);
    check_three("disarm", "down c", &[]);
    for (columns, rows) in SIZES {
        let mut console = Console::with(columns, rows, three());
        let why = "connect to /run/ironwake/api.sock: Connection refused (os error 111)".into();
        console.take(Message::Lost { why, retry_at: super::harness::NOW + 4_000 });
        picture(&format!("lost_{columns}"), &console);
    }
}

#[test]
fn a_burst_of_messages_puts_lists_in_order_once() {
    /// Ten times what it takes without optimisation on a slow computer; in order once for each, it takes minutes.
    const SECS_MAX: u64 = 20;
    let mut console = Console::with(200, 60, many());
    let machines = many().into_iter().flat_map(|answer| match answer {
        Answer::Machines(page) => page.items,
        _ => Vec::new(),
    });
    let messages: Vec<Message> =
        machines.map(|machine| Message::Answer(Box::new(Answer::Machine(machine)))).collect();
    let began = std::time::Instant::now();
    ironwake_tui::update::update_all(&mut console.model, messages);
    assert!(began.elapsed().as_secs() < SECS_MAX, "{:?}", began.elapsed());
    console.shows("10,000");
}

#[test]
fn why_there_are_no_leases_is_said_of_the_mode() {
    let check = |modes: &[&str], expected: &str| {
        let mut console = Console::with(120, 40, super::fleet::empty());
        let network = |mode: &&str| {
            serde_json::json!({ "interface": "br0", "dhcp": mode, "state": "ok", "answering": true, "message": "x",
                "addresses": 0, "addresses_bound": 0, "addresses_free": 0 })
        };
        let networks: Vec<_> = modes.iter().map(network).collect();
        let health = serde_json::json!({ "state": "ok", "checks": [], "networks": networks });
        console.answer(Answer::Health(serde_json::from_value(health).expect("the contract")));
        console.keys("5").shows("No lease").shows(expected);
    };
    check(&["proxy"], "As a proxy none is given");
    check(&["proxy", "server"], "Machines that ask for an address get one");
    check(&["off"], "DHCP is off");
    check(&[], "No network is served");
}
