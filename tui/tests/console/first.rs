//! The first set-up: each step by keys, what the daemon says against it, and a whole run.

use ironwake_api::{DhcpChoice, Entrance, EventKind, Problem, Scope, Secret, Setup};
use ironwake_tui::edge::record::Recorder;
use ironwake_tui::first::{Ask, Told, What};
use ironwake_tui::look::{Colours, Look};
use ironwake_tui::message::{Answer, Asked, Message};
use ironwake_tui::request::Request;
use serde_json::json;

use super::first_bench::{
    ACTIONS, Bench, answer, applied, at_keys, choices, console_screen, key, listed, one_time, read, run,
    server, state, step, sticks, system, until, who, whole,
};
use super::fleet::empty;
use super::harness::{Console, NOW};
use super::screens::picture;

/// The small and the large terminal.
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

#[test]
fn it_opens_by_itself_and_only_where_it_is_needed() {
    let mut bench = Bench::new();
    bench.shows("First set-up").shows("step 1 of 9: Password").shows("New password or PIN");
    bench.keys("esc").hides("First set-up").shows("F2 opens the set-up again");
    // Whoever has left it is not brought back by a daemon that was gone.
    bench.told(state(false));
    bench.hides("step 1").keys("f2").shows("step 1 of 9: Password");
    bench.keys("esc : s e t space u p enter").shows("step 1 of 9: Password");
    // Somebody else has set it up.
    bench.told(Told::State { servers: false, state: read(json!({ "needed": false, "interfaces": [] })) });
    bench.hides("step 1").shows("It is set up").keys("f2").hides("step 1").hides("f2 set up");
}

#[test]
fn an_appliance_that_is_set_up_knows_nothing_of_it() {
    let mut console = Console::with(100, 36, empty());
    console.answer(Answer::First(Told::State {
        servers: false,
        state: read(json!({ "needed": false, "interfaces": [] })),
    }));
    console.hides("First set-up").hides("f2");
    console.keys(":").types("set up the appl").shows("nothing of that name");
}

#[test]
fn the_first_password_is_typed_twice() {
    let mut bench = Bench::new();
    bench.keys("enter").shows("type one").types("123456").keys("enter").types("123457").keys("enter");
    bench.shows("the two are not the same").hides("***");
    assert_eq!(bench.asked(), []);
    assert!(bench.console.model.is_typing_a_secret());
    bench.types("123456").keys("enter").types("123456").keys("enter").shows("Asking the daemon");
    let problem = Problem::new(422, "Unprocessable", "invalid", "password: it is taken");
    bench.console.take(Message::Refused { asked: Asked::Login, problem: Box::new(problem) });
    assert_eq!(bench.asked(), [Request::SetPassword(Secret("123456".into()))]);
    bench.shows("it is taken").password().shows("step 2 of 9: Keyboard");
    assert!(!bench.console.model.is_typing_a_secret());
    // It is not asked for again.
    bench.keys("shift-tab").shows("nothing more is needed").keys("enter").shows("Keyboard");
}

#[test]
fn a_password_that_is_set_is_asked_for() {
    let mut bench =
        Bench::sized(100, 36, console_screen(true), vec![system(&[], ""), choices(), state(true)]);
    bench.shows("Log in with it").types("wrong").keys("enter");
    assert_eq!(bench.asked(), [Request::LogIn(Secret("wrong".into()))]);
    bench.console.take(super::login::refused());
    bench.shows("that is not the password").types("right").keys("enter");
    bench.asked();
    bench.console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
    bench.shows("step 2 of 9: Keyboard");
    // Over SSH the first one cannot be set.
    let who = who(Some(Entrance::Ssh), Scope::Viewer, false);
    let mut bench = Bench::sized(100, 36, who, vec![system(&[], ""), choices(), state(true)]);
    bench.shows("cannot be set from here").keys("enter").shows("step 1 of 9");
}

#[test]
fn whoever_needs_no_password_may_go_on_without() {
    let mut bench =
        Bench::sized(100, 36, who(None, Scope::Admin, false), vec![system(&[], ""), choices(), state(true)]);
    bench.shows("You need none here").keys("enter").shows("Keyboard").keys("shift-tab").types("123456");
    bench.keys("enter").types("123456").keys("enter");
    assert_eq!(bench.asked(), [Request::SetPassword(Secret("123456".into()))]);
    bench.console.answer(Answer::Done { asked: Asked::Login, said: "The password is set".into() });
    bench.shows("step 2 of 9: Keyboard");
}

/// A password that was typed on another keyboard is not what its owner will type from there on.
#[test]
fn another_keyboard_is_set_at_once_and_the_password_typed_again() {
    let mut bench = Bench::new();
    bench.password().shows("10 to choose from").types("de").shows("2 of 10").keys("enter");
    assert_eq!(bench.asked(), [Request::First(Ask::Keyboard("de".into()))]);
    bench.shows("It is being set");
    bench.told(Told::Keyboard("de".into()));
    bench.shows("The keyboard is de from here on").shows("step 1 of 9");
    // A second whoami changes nothing of that.
    bench.console.answer(who(Some(Entrance::Console), Scope::Admin, true));
    bench.types("zzyy1234").keys("enter").types("zzyy1234").keys("enter");
    assert_eq!(bench.asked(), [Request::SetPassword(Secret("zzyy1234".into()))]);
    bench.console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
    bench.shows("step 3 of 9: Interface");
    // Where nothing is typed it stays as it is.
    let mut bench = Bench::new();
    bench.password().types("fr").keys("enter");
    bench.told(Told::Keyboard("fr".into()));
    bench.keys("enter").shows("step 3 of 9: Interface");
    assert!(!bench.asked().iter().any(|request| matches!(request, Request::SetPassword(_))));
}

#[test]
fn a_keyboard_that_is_refused_stays() {
    let mut bench = Bench::permitted(100, 36);
    bench.keys("enter").types("zz").shows("Nothing of that name").keys("enter").shows("Nothing of that name");
    bench.keys("ctrl-u").types("uk").keys("enter");
    assert_eq!(bench.asked(), [Request::First(Ask::Keyboard("uk".into()))]);
    let problem = Problem::new(503, "Unavailable", "system", "localed does not answer");
    bench.console.take(Message::Refused { asked: Asked::First(What::Keyboard), problem: Box::new(problem) });
    bench.shows("localed does not answer").shows("step 2 of 9");
    // The one that is set needs nothing.
    bench.types("us").keys("enter").shows("step 3 of 9");
    assert_eq!(bench.asked(), []);
}

#[test]
fn an_interface_is_chosen_by_what_is_heard_there() {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "Interface");
    bench.shows("a DHCP server answers: 10.0.0.254").shows("no DHCP server answers").shows("no cable");
    assert_eq!(bench.setup.interface, "enp1s0", "with a cable and an address");
    bench.keys("down").asked();
    assert_eq!(bench.setup.interface, "enp2s0");
    // It stays chosen, whatever is plugged in meanwhile.
    bench.told(state(true));
    bench.keys("enter").shows("one of its own").asked();
    let address = bench.setup.address.clone().expect("it has none");
    assert!(address.dhcp && bench.setup.dhcp == DhcpChoice::Proxy);
    // It is looked at again while one is chosen, and asked again when a cable is plugged in.
    bench.keys("shift-tab");
    bench.told(state(true));
    bench.console.asked();
    bench.console.take(Message::Tick { now: NOW + 3_000 });
    assert!(bench.console.asked().contains(&Request::First(Ask::State { servers: false })));
    bench.told(state(false));
    assert!(bench.console.asked().contains(&Request::First(Ask::State { servers: true })));
    bench.shows("asking for other DHCP servers");
}

#[test]
fn server_mode_has_an_address_of_its_own_first() {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "DHCP");
    bench.shows("proxy goes beside it").keys("down").shows("Two servers give");
    bench.keys("enter").shows("step 4 of 10: Own address").shows("Server mode needs an address").asked();
    let address = bench.setup.address.clone().expect("it is prefilled");
    assert_eq!((address.dhcp, address.address.as_deref()), (false, Some("10.0.0.5/24")));
    // As it is typed, the daemon says what is wrong with it, and nobody goes on with that.
    bench.types("4").asked();
    assert_eq!(bench.setup.address.clone().expect("one").address.as_deref(), Some("10.0.0.5/244"));
    bench.runs(run(&[], &[("address.address", "\"10.0.0.5/244\" is not an address with its prefix")]));
    bench.shows("is not an address with its prefix").keys("enter enter enter").shows("step 4 of 10");
    bench.keys("backspace");
    bench.runs(json!({ "mistakes": [], "steps": ["x"], "confirms": true, "restarts": true,
        "suggested_range": "10.0.0.128-10.0.0.254" }));
    bench.hides("is not an address").keys("tab").types("10.0.0.1").keys("enter enter").right();
    bench.shows("step 5 of 10: DHCP").keys("enter").shows("Addresses to give").shows("10.0.0.128-10.0.0.254");
    bench.asked();
    let setup = bench.setup.clone();
    assert_eq!((setup.range, setup.router), (vec!["10.0.0.128-10.0.0.254".into()], Some("10.0.0.1".into())));
}

/// Addresses that were only suggested go with the address that they lie beside, and what was said of them is asked anew.
#[test]
fn another_address_has_other_addresses_to_give() {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "DHCP");
    bench.keys("down enter ctrl-u").types("10.9.0.1/24").asked();
    assert_eq!(bench.setup.range, ["10.0.0.128-10.0.0.254"]);
    let mut told = run(&[], &[("address.address", "the range is not within 10.9.0.0/24")]);
    told["suggested_range"] = json!("10.9.0.128-10.9.0.254");
    bench.runs(told).asked();
    assert_eq!(bench.setup.range, ["10.9.0.128-10.9.0.254"]);
    bench.right().hides("is not within").keys("enter enter enter").shows(": DHCP");
}

#[test]
fn ranges_are_checked_as_they_are_typed_and_shown_at_their_field() {
    let mut bench = server();
    bench.types(", 10.9.0.1-10.9.0.9").asked();
    assert_eq!(bench.setup.range, ["10.0.0.128-10.0.0.254", "10.9.0.1-10.9.0.9"]);
    bench.runs(run(
        &[],
        &[
            ("range[1]", "10.9.0.1-10.9.0.9 is not within 10.0.0.0/24"),
            ("dns[0]", "\"x\" is not an IPv4 address"),
        ],
    ));
    bench.shows("10.9.0.1-10.9.0.9 is not within 10.0.0.0/24").shows("\"x\" is not an IPv4");
    bench.keys("enter enter enter").shows("step 6 of 10").shows("✖ Addresses to give");
    // What only the settings know is shown there too.
    bench.runs(run(
        &[],
        &[("network", "settings.toml:2:9: \"a\" overlaps the range before\n  |\n2 | range\n  | ^ x")],
    ));
    bench.shows("overlaps the range before").hides("2 | range");
}

#[test]
fn name_time_zone_and_clock_are_set() {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "Name");
    bench.keys("ctrl-u").types("a_b");
    bench.runs(run(&[], &[("system.hostname", "\"a_b\" is not a host name")]));
    bench.shows("\"a_b\" is not a host name").keys("enter").shows(": Name");
    bench.keys("ctrl-u").types("boot1").right().keys("enter").right().shows(": Time");
    bench.types("vie").shows("1 of 404").keys("enter").asked();
    assert_eq!(bench.setup.system.timezone.as_deref(), Some("Europe/Vienna"));
    assert_eq!((bench.setup.system.hostname.as_deref(), bench.setup.system.ntp), (Some("boot1"), None));
    bench.keys("tab").types("10.0.0.1 ntp.example").asked();
    assert_eq!(bench.setup.system.ntp_servers, Some(vec!["10.0.0.1".into(), "ntp.example".into()]));
    bench.keys("shift-tab space").hides("Time servers").asked();
    assert_eq!((bench.setup.system.ntp, bench.setup.system.ntp_servers.clone()), (Some(false), None));
    // Back and forth, everything is as it was.
    bench.keys("shift-tab shift-tab").shows("boot1").right().keys("enter").shows("Europe/Vienna");
}

#[test]
fn keys_are_pasted_taken_from_a_stick_or_sent() {
    let mut bench = at_keys(100, 36);
    bench.shows("No key is listed yet").shows("looking for one");
    bench.types("ssh-ed25519 AAAA x").keys("enter");
    assert_eq!(bench.asked(), [Request::First(Ask::AddKeys("ssh-ed25519 AAAA x".into()))]);
    let mut problem = Problem::new(422, "Unprocessable", "invalid", "not every line is a key");
    problem.errors = read(json!([{ "field": "keys", "message": "line 1: the base64 is cut short" }]));
    bench.console.take(Message::Refused { asked: Asked::First(What::AddKeys), problem: Box::new(problem) });
    bench.shows("line 1: the base64 is cut short").shows("ssh-ed25519 AAAA x");
    bench.keys("ctrl-u");
    bench.console.take(Message::Paste("ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n".into()));
    let both = "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n";
    assert_eq!(bench.asked(), [Request::First(Ask::AddKeys(both.into()))]);
    bench.told(Told::Added(read(json!({ "added": [key("a"), key("b")], "present": [] }))));
    bench.shows("Added: 2 keys").told(listed());
    bench.told(sticks());
    bench.shows("anna@laptop ssh-ed25519 SHA256:mVPw").shows("berta@desk").shows("enter adds it");
    bench.keys("down down enter");
    assert_eq!(bench.asked(), [Request::First(Ask::AddKeys("ssh-ed25519 AAAA berta@desk".into()))]);
    bench.told(Told::Added(read(json!({ "added": [], "present": [key("b")] }))));
    bench.shows("It is listed already").keys("down enter enter");
    assert_eq!(bench.asked(), [Request::First(Ask::OneTimePassword)], "once");
    bench.told(one_time());
    bench.shows("ssh-copy-id -p 2222 admin@10.0.0.5").shows("k7fm-2xqp-9dhw").shows("which ends in 10");
    // It has let a key in.
    bench.happens(EventKind::SshKeyAdded { fingerprint: "SHA256:x".into(), comment: "c".into() });
    bench.console.answer(who(Some(Entrance::Console), Scope::Admin, true));
    bench.hides("k7fm").keys("down enter").shows(": Summary");
    // A stick that is plugged in is found.
    bench.keys("shift-tab").console.asked();
    bench.console.take(Message::Tick { now: NOW + 5_000 });
    assert!(bench.console.asked().contains(&Request::First(Ask::Sticks)));
}

#[test]
fn what_this_host_cannot_do_is_left_out_and_said() {
    let why = "there is no D-Bus at /run/dbus/system_bus_socket";
    let who = who(None, Scope::Admin, true);
    let mut bench = Bench::sized(100, 36, who, vec![system(&ACTIONS, why), choices(), state(true)]);
    bench.shows("step 1 of 5: Password").keys("enter").right().shows("step 2 of 5: Interface");
    bench.keys("enter").right().shows("step 3 of 5: DHCP").keys("enter").right().shows(": SSH keys");
    bench.keys("enter");
    let steps = json!({ "mistakes": [], "steps": ["enp1s0 is served, DHCP proxy"], "confirms": false, "restarts": false });
    bench.runs(steps).shows("Left out").shows("Keyboard, Own address, Name, Time").shows("there is no D-Bus");
    bench.shows("started again by hand").keys("enter").asked();
    assert_eq!(bench.setup, Setup { interface: "enp1s0".into(), ..Setup::default() });
    bench.told(Told::SetUp(read(
        json!({ "steps": [{ "what": "enp1s0 is served, DHCP proxy" }], "restarts": false }),
    )));
    bench.shows("start the daemon again").keys("enter").hides("First set-up").shows("Machines");
    // Server mode takes the address that is there.
    let who = self::who(None, Scope::Admin, true);
    let mut bench = Bench::sized(100, 36, who, vec![system(&ACTIONS, why), choices(), state(true)]);
    bench.keys("enter").right().keys("enter").right().keys("down enter").right().shows("Addresses to give");
}

/// A step that turns out to be impossible while it is open.
#[test]
fn a_step_that_this_host_cannot_do_is_gone_on_from() {
    let who = who(None, Scope::Admin, true);
    let mut bench = Bench::sized(100, 36, who, vec![choices(), state(true)]);
    bench.keys("enter").shows(": Keyboard").told(system(&["keyboard"], "localed is missing"));
    bench.shows(": Interface");
}

#[test]
fn what_is_wrong_at_the_end_is_shown_where_it_is_put_right() {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "Summary");
    bench.runs(run(&[], &[("system.timezone", "there is no time zone \"x\" here")]));
    bench.shows("1 thing is wrong").shows("Time: there is no time zone").keys("enter").shows(": Time");
    until(&mut bench, "Summary");
    bench.right().keys("enter").shows("Setting up");
    assert!(matches!(bench.asked().as_slice(), [Request::First(Ask::SetUp(_))]));
    // Refused all the same: somebody has unplugged it.
    let mut problem = Problem::new(422, "Unprocessable", "invalid", "1 field is wrong");
    problem.errors = read(json!([{ "field": "interface", "message": "there is no interface \"enp1s0\"" }]));
    bench.console.take(Message::Refused { asked: Asked::First(What::SetUp), problem: Box::new(problem) });
    bench.shows(": Interface").shows("there is no interface \"enp1s0\"");
    // What failed in the middle can be asked for again.
    until(&mut bench, "Summary");
    bench.keys("enter").asked();
    let problem = Problem::new(503, "Unavailable", "system", "hostnamed does not answer");
    bench.console.take(Message::Refused { asked: Asked::First(What::SetUp), problem: Box::new(problem) });
    bench.shows(": Summary").shows("hostnamed does not answer").keys("enter");
    assert!(matches!(bench.asked().as_slice(), [Request::First(Ask::SetUp(_))]));
}

#[test]
fn an_address_is_confirmed_in_time_and_the_daemon_comes_back() {
    let mut bench = applied(100, 36);
    assert!(matches!(bench.asked().as_slice(), [Request::First(Ask::SetUp(_))]));
    bench.shows("Setting up").shows("host name boot1; time zone Europe/Vienna");
    bench.happens(step("host name boot1; time zone Europe/Vienna"));
    bench.shows("● host name boot1").told(answer());
    bench.shows("Going back in 42 s").shows("ironwake system confirm 00ff");
    bench.console.take(Message::Tick { now: NOW + 30_000 });
    bench.shows("Going back in 12 s").keys("enter enter");
    assert_eq!(bench.asked(), [Request::First(Ask::Confirm("00ff".into()))], "once");
    bench.told(Told::Confirmed);
    bench.shows("The daemon starts again");
    // The daemon before says that it is not set up.
    bench.told(state(false));
    bench.shows("The daemon starts again");
    bench.console.take(Message::Lost { why: "connection refused".into(), retry_at: NOW + 32_000 });
    bench.console.take(Message::Connected { last_event: Some(0) });
    assert!(bench.console.asked().contains(&Request::First(Ask::State { servers: false })));
    bench.told(Told::State { servers: false, state: read(json!({ "needed": false, "interfaces": [] })) });
    bench.console.answer(console_screen(true));
    bench.shows("Ironwake is set up").shows("ctrl-l logs in again").keys("enter").shows("1 Machines");
    bench.hides("First set-up").hides("f2");
}

/// A stream of events that goes on by itself tells nobody that the daemon was gone.
#[test]
fn a_restart_that_nobody_saw_is_seen_by_what_the_daemon_says() {
    let mut bench = applied(100, 36);
    bench.told(Told::SetUp(read(json!({ "steps": [], "restarts": true }))));
    bench.shows("The daemon starts again").console.asked();
    bench.console.take(Message::Tick { now: NOW + 2_000 });
    assert!(bench.console.asked().contains(&Request::First(Ask::State { servers: false })));
    bench.told(state(false));
    bench.shows("The daemon starts again");
    bench.told(Told::State { servers: false, state: read(json!({ "needed": false, "interfaces": [] })) });
    bench.shows("Ironwake is set up");
}

#[test]
fn an_address_that_nobody_confirms_goes_back_and_can_be_tried_again() {
    let mut bench = applied(100, 36);
    bench.told(answer());
    bench.console.take(Message::Tick { now: NOW + 43_000 });
    bench.shows("it is being taken back");
    let reason = "nobody confirmed it in time".to_owned();
    bench.happens(EventKind::NetworkTakenBack { interface: "enp1s0".into(), reason });
    bench.shows(": Own address").shows("went back to what it was: nobody confirmed it in time");
    until(&mut bench, "Summary");
    bench.keys("enter");
    assert!(matches!(bench.asked().as_slice(), [Request::First(Ask::SetUp(_))]));
    // A daemon that comes back and serves nothing is told.
    bench.told(Told::SetUp(read(json!({ "steps": [], "restarts": true }))));
    bench.console.take(Message::Lost { why: "gone".into(), retry_at: NOW });
    bench.console.take(Message::Connected { last_event: Some(0) });
    bench.told(state(false));
    bench.shows(": Summary").shows("serves nothing");
}

/// A session that ends in the middle is begun again where it is missed.
#[test]
fn a_session_that_has_ended_is_asked_for() {
    let mut bench = applied(100, 36);
    let problem = Problem::new(401, "Unauthorized", "locked", "it needs a login");
    bench.console.take(Message::Refused { asked: Asked::First(What::SetUp), problem: Box::new(problem) });
    bench.shows("Log in").types("secret").keys("enter").asked();
    bench.console.answer(Answer::LoggedIn { name: "administrator (console)".into() });
    assert!(matches!(bench.asked().as_slice(), [Request::First(Ask::SetUp(_))]), "it is asked again");
}

#[test]
fn no_password_is_in_a_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recording");
    let mut bench = Bench::new();
    let mut recorder = Recorder::create(&file, &bench.console.model.setup).expect("a file");
    let mut send = |bench: &mut Bench, message: Message| {
        recorder.record(&bench.console.model, &message).expect("written");
        bench.console.take(message);
    };
    let key = |key: &str| Message::Key(key.parse().expect("a key"));
    for _ in 0..2 {
        "hunter2".chars().for_each(|c| send(&mut bench, key(&c.to_string())));
        send(&mut bench, Message::Paste("swordfish".into()));
        send(&mut bench, key("enter"));
    }
    assert_eq!(bench.asked(), [Request::SetPassword(Secret("hunter2swordfish".into()))]);
    send(&mut bench, Message::Answer(Box::new(Answer::LoggedIn { name: "administrator (console)".into() })));
    send(&mut bench, Message::Answer(Box::new(Answer::First(one_time()))));
    bench.shows(": Keyboard");
    send(&mut bench, key("u"));
    let text = std::fs::read_to_string(&file).expect("it");
    assert!(!text.contains("swordfish") && !text.contains("k7fm"), "{text}");
    let typed: Vec<&str> = text.lines().filter(|line| line.contains("\"key\"")).collect();
    assert_eq!(typed.iter().filter(|line| line.contains("\"*\"")).count(), 14, "{typed:?}");
    assert!(typed.last().is_some_and(|line| line.contains("\"u\"")), "what is no secret is recorded");
    assert!(!format!("{:?}", bench.console.model).contains("hunter2"));
}

#[test]
fn a_lock_hides_the_one_time_password() {
    let mut bench = at_keys(100, 36);
    bench.told(one_time());
    bench.shows("k7fm-2xqp-9dhw");
    bench.console.take(Message::Locked { why: "Locked".into() });
    bench.hides("k7fm-2xqp-9dhw");
}

#[test]
fn help_has_the_keys_of_the_steps() {
    let mut bench = Bench::permitted(90, 300);
    bench.keys("f1");
    let screen = bench.console.screen().split_whitespace().collect::<Vec<_>>().join(" ");
    for binding in ironwake_tui::bindings::of(ironwake_tui::bindings::Context::First) {
        assert!(screen.contains(binding.help), "{binding:?} is not on\n{screen}");
    }
    bench.keys("esc").shows("step 1 of 9");
}

/// Typing more is no choice of another one.
#[test]
fn a_search_that_is_taken_back_chooses_nothing() {
    let mut bench = Bench::permitted(100, 36);
    bench.keys("enter").types("fr").keys("backspace backspace enter").shows("step 3 of 9");
    assert_eq!(bench.asked(), []);
}

#[test]
fn steps_that_were_open_are_clicked() {
    let mut bench = Bench::permitted(100, 36);
    until(&mut bench, "Name");
    bench.console.click("Interface");
    bench.shows(": Interface").console.click("Summary");
    bench.shows(": Interface");
    bench.console.click_at(40, 1);
    bench.shows(": Interface");
}

/// Each step, and each mistake, small and large.
#[test]
fn pictures() {
    for (columns, rows) in SIZES {
        let shot = |name: &str, bench: &Bench| picture(&format!("first_{name}_{columns}"), &bench.console);
        let told = vec![system(&[], ""), choices(), state(true)];
        let mut bench = Bench::sized(columns, rows, console_screen(false), told.clone());
        bench.types("correct horse").keys("enter").types("correct").right();
        shot("password", &bench);
        bench.types("x").keys("enter");
        shot("password_wrong", &bench);
        let mut bench = Bench::sized(columns, rows, console_screen(true), told);
        bench.types("correct").right();
        shot("login", &bench);
        let mut bench = Bench::permitted(columns, rows);
        bench.right().keys("enter").right();
        shot("keyboard", &bench);
        bench.types("de");
        shot("keyboard_typed", &bench);
        bench.keys("ctrl-u");
        until(&mut bench, "Interface");
        shot("interface", &bench);
        until(&mut bench, "Own address");
        shot("address", &bench);
        until(&mut bench, "DHCP");
        shot("dhcp", &bench);
        bench.keys("down");
        shot("dhcp_server", &bench);
        bench.keys("enter").right();
        shot("address_server", &bench);
        bench.types("4").runs(run(
            &[],
            &[(
                "address.address",
                "\"10.0.0.5/244\" is not an address with its prefix, such as \"10.0.0.2/24\"",
            )],
        ));
        shot("address_wrong", &bench);
        bench.keys("backspace").right();
        until(&mut bench, "Addresses to give");
        shot("range", &bench);
        bench.types(",x").runs(run(&[], &[("range[1]", "\"x\" is neither FIRST-LAST nor a network")]));
        shot("range_wrong", &bench);
        bench.keys("backspace backspace").right();
        until(&mut bench, "Name");
        shot("name", &bench);
        until(&mut bench, "Time");
        shot("time", &bench);
        bench.types("europe").right();
        shot("time_typed", &bench);
        until(&mut bench, "SSH keys");
        bench.told(listed());
        bench.told(sticks());
        bench.keys("down");
        shot("keys", &bench);
        bench.told(one_time());
        shot("keys_one_time", &bench);
        bench.keys("tab tab enter");
        bench.runs(whole());
        shot("summary", &bench);
        bench.runs(run(
            &[],
            &[("range[0]", "it is not within 10.0.0.0/24"), ("system.hostname", "it is taken")],
        ));
        shot("summary_wrong", &bench);
        let mut bench = applied(columns, rows);
        bench.happens(step("host name boot1; time zone Europe/Vienna"));
        shot("applying", &bench);
        bench.told(answer());
        shot("confirm", &bench);
        bench.keys("enter").told(Told::Confirmed);
        shot("restarting", &bench);
        bench.console.take(Message::Lost { why: "connection refused".into(), retry_at: NOW + 2_000 });
        bench.console.take(Message::Connected { last_event: Some(0) });
        bench.told(Told::State { servers: false, state: read(json!({ "needed": false, "interfaces": [] })) });
        bench.console.answer(console_screen(true));
        shot("done", &bench);
    }
    let look = Look { colours: Colours::None, ascii: true };
    let mut bench = Bench::permitted(80, 24);
    bench.console.model.setup.look = look;
    until(&mut bench, "DHCP");
    assert!(bench.console.screen().is_ascii(), "{}", bench.console.screen());
    picture("first_dhcp_ascii", &bench.console);
    until(&mut bench, "Summary");
    assert!(bench.console.screen().is_ascii(), "{}", bench.console.screen());
    picture("first_summary_ascii", &bench.console);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Whatever is pressed, and however small the terminal is: nothing is set up that the daemon has not found right.
    #[test]
    fn random_keys_neither_panic_nor_set_up_what_is_wrong(
        places in proptest::collection::vec(0..40_usize, 1..120),
        size in (20_u16..220, 5_u16..70),
    ) {
        let keys: Vec<&str> = ironwake_tui::bindings::of(ironwake_tui::bindings::Context::First)
            .filter(|binding| binding.action != ironwake_tui::bindings::Action::Quit)
            .flat_map(|binding| binding.keys.iter().copied())
            .chain(["x", "1", "f2", "backspace", "enter", "enter", "enter", "down"])
            .collect();
        let mut bench = Bench::permitted(size.0, size.1);
        for (count, place) in places.into_iter().enumerate() {
            bench.keys(keys[place % keys.len()]);
            bench.console.take(Message::Click { column: place as u16 * 7 % size.0, row: place as u16 % size.1 });
            let _ = bench.console.screen();
            let sets_up = |request: &Request| matches!(request, Request::First(Ask::SetUp(_)));
            proptest::prop_assert!(!bench.asked().iter().any(sets_up));
            if count % 3 == 0 {
                bench.runs(run(&[], &[("range[0]", "it is wrong"), ("network", "so is that")]));
            }
        }
    }
}
