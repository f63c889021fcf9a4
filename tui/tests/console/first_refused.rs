//! What the first set-up does not do at once: a password that is too short, and two DHCP servers on one network.

use ironwake_api::Secret;
use ironwake_tui::first::Ask;
use ironwake_tui::request::Request;

use super::first_bench::{Bench, choices, console_screen, server, state, system, until, whole};

#[test]
fn a_password_that_is_too_short_is_refused_before_it_is_typed_again() {
    let told = vec![system(&[], ""), choices(), state(true)];
    let mut bench = Bench::sized(100, 36, console_screen(false), told);
    bench.types("hunter2").keys("enter").shows("it has 7 characters").hides("*");
    bench.types("hunter22").keys("enter").hides("it has").types("hunter22").keys("enter");
    assert_eq!(bench.asked(), [Request::SetPassword(Secret("hunter22".into()))]);
}

/// Two servers on one network break it: nobody comes to that by pressing Enter at each step.
#[test]
fn server_mode_beside_another_server_is_done_only_if_somebody_says_that_it_is_meant() {
    let mut bench = server();
    until(&mut bench, "Summary");
    bench.runs(whole()).hides("Nothing is wrong with it");
    bench.shows("10.0.0.254 gives addresses on enp1s0 already").shows("unless space says it is meant");
    bench.console.asked();
    let sets_up = |bench: &mut Bench| {
        bench.console.asked().iter().any(|request| matches!(request, Request::First(Ask::SetUp(_))))
    };
    bench.keys("enter enter").shows("Nothing is done yet");
    assert!(!sets_up(&mut bench));
    // What was said counts for the summary that it was said at.
    bench.keys("space").shows("Enter does it all the same").keys("shift-tab").right();
    until(&mut bench, "Summary");
    bench.runs(whole()).shows("unless space says it is meant").keys("enter");
    assert!(!sets_up(&mut bench));
    bench.keys("space space enter");
    assert!(!sets_up(&mut bench), "it was taken back");
    bench.keys("space enter").shows("Setting up");
    assert!(sets_up(&mut bench));
}
