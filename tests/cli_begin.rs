//! Commands that have work done: what they made and cannot arm they take back, and Ctrl-C ends no more than the command.

mod double;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use double::{Double, problem};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a command may take on a loaded test host.
const PATIENCE: Duration = Duration::from_secs(60);

const OK: &str = "200 OK";
const CONFLICT: &str = "409 Conflict";
const MAKE: &str = "POST /api/v1/machines/n1/operations";
const STREAM: &str = "GET /api/v1/events/stream?machine=m1";
const STREAM_BEGINS: &str = "id: 5\nretry: 2000\n\n";

fn operation(id: &str, state: &str) -> String {
    format!(
        r#"{{"id":"{id}","machine":"m1","kind":"wipe","state":"{state}","state_since":1,"created_at":1,
        "created_by":"daemon","disks":[{{"name":"sda","size_bytes":1000}}],"history":[],"steps":[],"may_have_written":false}}"#
    )
}

/// What became of one machine of several.
fn made(id: &str) -> String {
    format!(r#"{{"machine":"m1","called":"n1","operation":{}}}"#, operation(id, "registered"))
}

/// Waits until the double was asked for this.
fn wait_for(double: &Double, line: &str) {
    let began = Instant::now();
    while !double.lines().iter().any(|seen| seen == line) {
        assert!(began.elapsed() < PATIENCE, "{line:?} is not among {:?}", double.lines());
        std::thread::yield_now();
    }
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("it runs");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_refused_to_be_armed_is_taken_back() {
    let refused = problem(409, "the machine was written to since");
    let one = Double::new(&[
        (MAKE, "201 Created", &[&operation("o1", "registered")]),
        ("POST /api/v1/operations/o1/arm", CONFLICT, &[&refused]),
        ("POST /api/v1/operations/o1/cancel", OK, &[&operation("o1", "cancelled")]),
    ]);
    let output = one.run(&["wipe", "n1", "--disk", "only", "--yes"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("written to since"));
    assert_eq!(one.lines().last().map(String::as_str), Some("POST /api/v1/operations/o1/cancel"));

    let answer = format!(r#"{{"done":2,"refused":0,"results":[{},{}]}}"#, made("o1"), made("o2"));
    let several = Double::new(&[
        ("POST /api/v1/bulk", OK, &[&answer]),
        ("POST /api/v1/batches", CONFLICT, &[&refused]),
        // The daemon has ended one of them already, which is no reason to leave the other.
        ("POST /api/v1/operations/o1/cancel", CONFLICT, &[&problem(409, "it is cancelled")]),
        ("POST /api/v1/operations/o2/cancel", OK, &[&operation("o2", "cancelled")]),
    ]);
    let output = several.run(&["wipe", "n1", "n2", "--disk", "only", "--yes"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("written to since"));
    let cancels = ["POST /api/v1/operations/o1/cancel", "POST /api/v1/operations/o2/cancel"];
    assert_eq!(several.lines()[2..], cancels);
}

#[test]
fn a_dry_run_makes_nothing_and_finds_what_is_wrong() {
    let fine = r#"{"machine":"m1","kind":"wipe","mistakes":[],"disks":[{"name":"sda","size_bytes":1000}]}"#;
    let wrong =
        r#"{"machine":"m2","kind":"wipe","mistakes":[{"field":"disks[0]","message":"no disk fits"}]}"#;
    let double = Double::new(&[
        ("POST /api/v1/machines/n1/operations/dry-run", OK, &[fine]),
        ("POST /api/v1/machines/n2/operations/dry-run", OK, &[wrong]),
    ]);
    let output = double.run(&["wipe", "n1", "--disk", "only", "--dry-run"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("wipe of n1 would be made\n  disk     sda"),
        "{}",
        text(&output.stdout)
    );
    let output = double.run(&["wipe", "n1", "n2", "--disk", "only", "--dry-run"]);
    assert_eq!(output.status.code(), Some(6));
    let shown = text(&output.stdout);
    assert!(shown.contains("wipe of n2 would be refused\n  wrong    disks[0]: no disk fits"), "{shown}");
    assert_eq!(double.lines().len(), 3, "nothing else was asked for");
}

#[test]
fn what_nobody_confirms_is_taken_back() {
    let double = Double::new(&[
        (MAKE, "201 Created", &[&operation("o1", "registered")]),
        ("POST /api/v1/operations/o1/cancel", OK, &[&operation("o1", "cancelled")]),
    ]);
    let mut command = double.command(&["wipe", "n1", "--disk", "only"]);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nothing was armed"), "{}", text(&output.stderr));
    assert_eq!(double.lines(), [MAKE, "POST /api/v1/operations/o1/cancel"]);
}

fn armed() -> Double {
    Double::new(&[
        (MAKE, "201 Created", &[&operation("o1", "registered")]),
        ("POST /api/v1/operations/o1/arm", OK, &[&operation("o1", "pxe_ready")]),
        ("POST /api/v1/operations/o1/cancel", OK, &[&operation("o1", "cancelled")]),
        ("GET /api/v1/operations/o1", OK, &[&operation("o1", "pxe_ready")]),
        (STREAM, OK, &[STREAM_BEGINS]),
    ])
}

#[test]
fn ctrl_c_ends_the_watching_alone() {
    let double = armed();
    let mut command = double.command(&["wipe", "n1", "--disk", "only", "--yes", "--wait"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_for(&double, STREAM);
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(text(&output.stderr).contains("`ironwake operation follow o1` shows it"), "{output:?}");
    assert!(!double.lines().iter().any(|line| line.ends_with("/cancel")), "{:?}", double.lines());
}

/// Runs a command on a terminal; what is typed there comes by its standard input. The shell between gives its place up: one
/// that stays, as dash does, ends by Ctrl-C itself, with a code of its own.
fn on_terminal(double: &Double, words: &str) -> Child {
    let line = format!("exec {} {words}", env!("CARGO_BIN_EXE_ironwake"));
    let mut script = std::process::Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).env("IRONWAKE_SOCKET", double.socket());
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    script.spawn().expect("script, of the package bsdutils")
}

fn type_in(child: &mut Child, keys: &[u8]) {
    let stdin = child.stdin.as_mut().expect("a pipe");
    std::io::Write::write_all(stdin, keys).and_then(|()| std::io::Write::flush(stdin)).expect("typed");
}

/// Whoever has waited for a signal once has to go on waiting for it.
#[test]
fn ctrl_c_ends_the_watching_after_a_confirmation_too() {
    let double = armed();
    let mut child = on_terminal(&double, "wipe n1 --disk only --wait");
    type_in(&mut child, b"n1\r");
    wait_for(&double, STREAM);
    type_in(&mut child, b"\x03");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("watching was stopped"), "{}", text(&output.stdout));
    assert!(!double.lines().iter().any(|line| line.ends_with("/cancel")), "{:?}", double.lines());
}

#[test]
fn ctrl_c_at_the_question_is_no() {
    let double = armed();
    let mut child = on_terminal(&double, "wipe n1 --disk only");
    let mut shown = Vec::new();
    let stdout = child.stdout.as_mut().expect("a pipe");
    while !text(&shown).contains("to confirm: ") {
        let mut byte = [0];
        assert_eq!(std::io::Read::read(stdout, &mut byte).expect("read"), 1, "{}", text(&shown));
        shown.push(byte[0]);
    }
    type_in(&mut child, b"\x03");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("nothing was armed"), "{}", text(&output.stdout));
    assert_eq!(double.lines(), [MAKE, "POST /api/v1/operations/o1/cancel"]);
}

fn changed(id: i64, operation: &str, to: &str) -> String {
    let json = format!(
        r#"{{"id":{id},"at":1,"actor":"daemon","kind":"operation_changed","operation":"{operation}","work":"wipe",
        "from":"installing","to":"{to}","cause":"told"}}"#
    );
    format!("id: {id}\ndata: {}\n\n", json.replace('\n', " "))
}

/// One has ended before anybody looked, one while the stream was broken off in between, and events of others do not count.
#[test]
fn a_batch_is_followed_until_all_have_ended() {
    let answer =
        format!(r#"{{"done":3,"refused":0,"results":[{},{},{}]}}"#, made("o1"), made("o2"), made("o3"));
    let batch = format!(
        "[{},{},{}]",
        operation("o1", "pxe_ready"),
        operation("o2", "registered"),
        operation("o3", "registered")
    );
    let check = |last: &str, code: i32, end: &str| {
        let others = changed(6, "o9", "failed") + &changed(7, "o2", "pxe_ready");
        let first = format!("{STREAM_BEGINS}{others}{}", changed(8, "o2", "ready"));
        let second = changed(9, "o3", last);
        let double = Double::new(&[
            ("POST /api/v1/bulk", OK, &[&answer]),
            ("POST /api/v1/batches", OK, &[&batch]),
            (
                "GET /api/v1/machines?limit=1000&offset=0",
                OK,
                &[r#"{"items":[],"total":0,"limit":1000,"offset":0}"#],
            ),
            ("GET /api/v1/events/stream", OK, &[&first]),
            ("GET /api/v1/events/stream?after=8", OK, &[&second]),
            ("GET /api/v1/operations/o1", OK, &[&operation("o1", "ready")]),
            ("GET /api/v1/operations/o2", OK, &[&operation("o2", "registered"), &operation("o2", "ready")]),
            ("GET /api/v1/operations/o3", OK, &[&operation("o3", "registered"), &operation("o3", last)]),
        ]);
        let output = double.run(&["wipe", "n1", "n2", "n3", "--disk", "only", "--yes", "--wait"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let shown = text(&output.stdout);
        for part in ["o1 on machine m1: ready", "o2 on machine m1: waits for its turn"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(shown.contains("[2 of 3 ended]") && shown.contains("[3 of 3 ended]"), "{shown}");
        assert!(!shown.contains("o9"), "{shown}");
        assert!(text(&output.stderr).contains(end), "{output:?}");
    };
    check("ready", 0, "");
    check("failed", 1, "2 of 3 operations became ready");
}
