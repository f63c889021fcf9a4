//! The steps of a rebuild on what the daemon says beforehand: which profiles fit, and what the operation would be.

use ironwake_tui::message::Answer;
use ironwake_tui::request::Request;

use super::fleet::{dry_run, fits, id, three};
use super::harness::Console;
use super::keys::changes;

fn console() -> Console {
    let mut console = Console::with(120, 40, three());
    console.keys("b");
    let node = three().into_iter().find_map(|answer| match answer {
        Answer::Machines(page) => Some(page.items[0].clone()),
        _ => None,
    });
    console.answer(Answer::Machine(node.expect("a machine")));
    console
}

/// The last check that was asked for: its number, its profile, its disks.
fn check(console: &mut Console) -> Option<(u64, Option<String>, Vec<String>)> {
    let last = |request| match request {
        Request::Check { number, plan, .. } => Some((number, plan.profile, plan.disks)),
        _ => None,
    };
    console.asked().into_iter().rev().find_map(last)
}

#[test]
fn what_does_not_fit_says_why_and_is_not_taken() {
    let mut console = console();
    assert!(console.asked().contains(&Request::Fits(id(1))));
    console.answer(fits());
    console.shows("fits this machine on nvme0n1, sda").hides("needs UEFI").keys("down");
    console.shows("does not fit this machine").shows("✖ it needs UEFI").shows("✖ no disk has the 4 GB");
    console.shows("▲ debian-image/trixie-amd64 is not here");
    console.keys("enter").shows("debian-image does not fit this machine").hides("This profile needs nothing");
    assert_eq!(check(&mut console), None);
}

#[test]
fn what_a_site_or_a_machine_gives_need_not_be_typed() {
    let mut console = console();
    console.answer(fits());
    console.keys("enter").shows("10.0.0.101/24, by machine").shows("as the profile has it");
}

#[test]
fn one_of_some_choices_is_chosen_rather_than_typed() {
    let mut console = console();
    console.keys("enter").shows("plain, by the profile").keys("up").keys("down down down down");
    console.shows("plain | lvm  how the disk").keys("x space space").asked();
    console.keys("space space");
    let last = console.asked().into_iter().rev().find_map(|request| match request {
        Request::Check { plan, .. } => plan.variables.get("layout").cloned(),
        _ => None,
    });
    assert_eq!(last, Some(serde_json::json!("plain")), "plain, lvm, none, plain");
}

#[test]
fn values_are_checked_as_they_are_typed_by_what_would_be_recorded() {
    let mut console = console();
    console.answer(fits());
    console.keys("enter").asked();
    console.types("nobel");
    let (number, profile, _) = check(&mut console).expect("a check");
    assert_eq!(profile.as_deref(), Some("cloud-image"));
    let wrong =
        [("variables.image", "nothing is imported as \"nobel\""), ("machine", "an operation runs on it")];
    console.answer(Answer::Checked { number, run: Ok(dry_run(&wrong)) });
    console.shows("nothing is imported as").hides("an operation runs on it").keys("enter");
    console.shows("image nothing is imported as");
    console.keys("esc").keys("enter backspace backspace").types("le").hides("✖ nothing is imported");
    let (number, ..) = check(&mut console).expect("a check");
    console.answer(Answer::Checked { number: number - 1, run: Ok(dry_run(&wrong)) });
    console.hides("✖ nothing is imported");
    let rest = &wrong[1..];
    console.answer(Answer::Checked { number, run: Ok(dry_run(rest)) });
    console.keys("enter").shows("machine: an operation runs on it");
    let (_, _, first) = check(&mut console).expect("the first disk is looked at");
    console.keys("down");
    let (number, _, second) = check(&mut console).expect("the second one is");
    assert_ne!(first, second);
    console.answer(Answer::Checked { number, run: Ok(dry_run(&[])) });
    console.hides("an operation runs on it").keys("enter");
    assert!(matches!(changes(&mut console).as_slice(), [Request::Make { .. }]));
    console.answer(Answer::Made(super::keys::recorded(200)));
    console.shows("All of this is overwritten").shows("2: ext4 \"root\", 400 GiB");
    console.shows("host name    node-1").shows("noble (9f2c9f2c9f2c)").shows("packages, keys");
}
