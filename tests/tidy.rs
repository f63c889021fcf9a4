//! The tree keeps its shape: order of modules, purity of the cores, owners of foreign things, small files.
//!
//! The rules stand in the tables below; what they say is in `ARCHITECTURE.md`. Rust is read as paths
//! (`tidy/paths.rs`), so comments and strings may name anything.

#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/rules.rs"]
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

use rules::Source;

/// Folders with Rust of ours.
const RUST: &[&str] = &["src", "api", "agent", "tui", "tests", "examples", "fuzz"];
/// What is not ours, or not text.
const SKIPPED: &[&str] = &["target", ".git", "Cargo.lock", "corpus"];

/// Modules free of I/O, clocks and randomness.
const PURE: &[&str] = &[
    "document",
    "machine",
    "access",
    "appliance",
    "artifact",
    "operation",
    "profile",
    "boot",
    "script",
    "recorder",
    "dhcp",
    "tftp",
];

/// Paths that a pure module may not use: a crate's name, or consecutive segments.
const IMPURE: &[&str] = &[
    "tokio",
    "nix",
    "libc",
    "rand",
    "rusqlite",
    "hyper",
    "axum",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "SystemTime",
    "Instant::now",
    "Uuid::new_v4",
    "Uuid::now_v7",
];

/// What the tests of a pure module may take: an origin for virtual time, which has no constant.
const TEST_ORIGIN: &str = "Instant::now";

/// Foreign things of the daemon and the modules, or single files, that own them.
const OWNERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    // The crash test runs the store in a process of its own, to kill it; `ironwake console` becomes another program.
    (
        "std::process::Command",
        &[
            "builders",
            "remote",
            "updates",
            "src/cli/console.rs",
            "src/disk_install/tests.rs",
            "src/store/crash_tests.rs",
        ],
    ),
    ("tokio::process", &["builders", "remote"]),
    ("russh", &["remote"]),
    ("AddressFamily::Packet", &["serve"]),
    ("AF_PACKET", &["serve"]),
    ("sd_notify", &["systemd"]),
    ("zbus", &["systemd"]),
    ("age", &["backup"]),
    ("tar", &["backup"]),
    ("rcgen", &["certificates"]),
    ("rustls", &["certificates", "remote"]),
    ("tokio_rustls", &["http", "remote"]),
];

/// Foreign things of the whole tree, and the folders or files that may name them.
const PLACES: &[(&str, &[&str])] = &[
    ("ratatui", &["tui/"]),
    ("crossterm", &["tui/src/edge/tty.rs"]),
    ("russh::server", &["tui/", "tests/"]),
];
/// The console is a client of the API: it uses no code of these.
const NOT_IN_TUI: &[&str] = &["ironwake", "ironwake_agent"];
/// The part of the console that meets the world; the rest of it is pure.
const TUI_EDGES: &[&str] = &["tui/src/edge/", "tui/src/main.rs"];

/// The files that may say `unsafe`, and what for.
const UNSAFE: &[(&str, &str)] = &[
    ("src/systemd/mod.rs", "descriptors that systemd passed"),
    ("src/http/tests.rs", "a thread that is another user"),
    ("src/artifacts/", "files as memory"),
    ("src/builders/", "files as memory"),
    ("src/serve/", "raw sockets"),
    ("agent/src/", "ioctls, raw sockets, the duties of process 1"),
    ("tests/lab/process.rs", "children end with their parent"),
];

/// Longer files want a second noun.
const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if SKIPPED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

/// Every text of the tree, by its path below the root.
fn texts() -> Vec<Source> {
    let mut found = Vec::new();
    files(root(), &mut found);
    let name = |path: &Path| path.strip_prefix(root()).map(|path| path.display().to_string());
    found
        .iter()
        .filter_map(|path| Some(Source::new(name(path).ok()?, fs::read_to_string(path).ok()?)))
        .collect()
}

fn rust() -> Vec<Source> {
    let ours = |source: &Source| RUST.iter().any(|folder| source.name.starts_with(&format!("{folder}/")));
    texts().into_iter().filter(|source| source.name.ends_with(".rs") && ours(source)).collect()
}

fn order() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let order = rules::modules(&lib);
    assert!(order.len() > 10, "src/lib.rs declares {order:?}");
    order
}

#[track_caller]
fn check(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn modules_use_only_those_above() {
    let order = order();
    check(rust().iter().flat_map(|source| rules::order(source, &order)).collect());
}

#[test]
fn pure_modules_do_no_io() {
    let order = order();
    for name in PURE {
        assert!(order.iter().any(|module| module == name), "{name} is not in src/lib.rs");
    }
    check(rust().iter().flat_map(|source| rules::purity(source, PURE, IMPURE, TEST_ORIGIN)).collect());
}

#[test]
fn foreign_things_have_one_owner() {
    check(rust().iter().flat_map(|source| rules::owners(source, OWNERS)).collect());
}

#[test]
fn crates_stay_in_their_places() {
    check(rust().iter().flat_map(|source| rules::places(source, PLACES)).collect());
}

#[test]
fn the_console_is_a_client_with_a_pure_core() {
    check(rust().iter().flat_map(|source| rules::console(source, NOT_IN_TUI, TUI_EDGES, IMPURE)).collect());
}

#[test]
fn unsafe_is_only_where_it_is_listed() {
    check(rust().iter().flat_map(|source| rules::unsafe_code(source, UNSAFE)).collect());
}

#[test]
fn files_are_small_and_named_after_a_noun() {
    check(rust().iter().flat_map(|source| rules::size_and_name(source, LINES_MAX)).collect());
}

#[test]
fn every_module_says_what_it_is() {
    check(rust().iter().flat_map(rules::module_doc).collect());
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    check(texts().iter().flat_map(rules::foreign_words).collect());
}

#[test]
fn the_tree_is_read() {
    let names: Vec<String> = rust().into_iter().map(|source| source.name).collect();
    for name in ["src/lib.rs", "src/boot/mod.rs", "api/src/lib.rs", "agent/src/main.rs", "tui/src/lib.rs"] {
        assert!(names.iter().any(|other| other == name), "{name} is not among {names:?}");
    }
}
