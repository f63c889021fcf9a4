//! The rules, each a function from one file to its findings, `path:line: what is wrong`.

use super::paths::{NamedPath, paths};

/// One file of the tree.
pub struct Source {
    /// Path below the root, with `/`.
    pub name: String,
    /// What it holds.
    pub text: String,
    paths: Vec<NamedPath>,
}

impl Source {
    /// A file; Rust is read into paths.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let paths = if name.ends_with(".rs") { paths(&text) } else { Vec::new() };
        Self { name, text, paths }
    }

    /// The module of `src/` that the file belongs to.
    fn module(&self) -> Option<&str> {
        let below = self.name.strip_prefix("src/")?;
        let module = below.split('/').next()?;
        Some(module.strip_suffix(".rs").unwrap_or(module))
            .filter(|module| *module != "lib" && *module != "main")
    }

    /// How many modules deep the file is: `src/boot/mod.rs` 1, `src/boot/plan.rs` 2.
    fn depth(&self) -> usize {
        let inner = self.name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        inner.split('/').count()
    }

    /// Whether the file holds the tests of the module beside it.
    fn is_tests(&self) -> bool {
        self.name.ends_with("tests.rs")
    }

    fn finding(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.name)
    }
}

/// The modules that `lib.rs` declares, in their order.
pub fn modules(lib: &str) -> Vec<String> {
    let name = |line: &str| Some(line.trim().strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    lib.lines().filter_map(name).collect()
}

/// A module may use only those above it, and is declared.
pub fn order(source: &Source, order: &[String]) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let place = |name: &str| order.iter().position(|other| other == name);
    let Some(own) = place(module) else {
        return vec![source.finding(1, format_args!("module {module} is not in src/lib.rs as `pub mod`"))];
    };
    let mut findings = Vec::new();
    for path in &source.paths {
        let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
        let rest = match path.segments.first().map(String::as_str) {
            Some("crate") => path.segments.get(1),
            // As many steps up as there are modules: this is the crate's root.
            Some("super") if supers >= source.depth() + path.inline_depth => path.segments.get(supers),
            _ => continue,
        };
        let Some(used) = rest else { continue };
        match place(used) {
            Some(other) if other > own => {
                findings.push(
                    source.finding(path.line, format_args!("{module} uses {used}, which stands below it")),
                );
            }
            None if used == "self" || used == "*" => {
                findings.push(source.finding(path.line, "the whole crate is used: name the module"));
            }
            _ => {}
        }
    }
    findings
}

/// A pure module names nothing impure; its tests may name `test_origin`.
pub fn purity(source: &Source, pure: &[&str], impure: &[&str], test_origin: &str) -> Vec<String> {
    if !source.module().is_some_and(|module| pure.contains(&module)) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for path in &source.paths {
        let in_tests = source.is_tests() || path.in_tests;
        let allowed = |thing: &str| in_tests && thing == test_origin;
        if let Some(thing) = impure.iter().find(|thing| path.names(thing) && !allowed(thing)) {
            findings.push(source.finding(path.line, format_args!("a pure module uses {thing}")));
        }
    }
    findings
}

/// In the daemon, a foreign thing is named only by its owners.
pub fn owners(source: &Source, owners: &[(&str, &[&str])]) -> Vec<String> {
    if !source.name.starts_with("src/") {
        return Vec::new();
    }
    let module = source.module().unwrap_or("main");
    let mut findings = Vec::new();
    for path in &source.paths {
        for (thing, modules) in owners.iter().filter(|row| path.names(row.0)) {
            if !modules.contains(&module) && !modules.contains(&source.name.as_str()) {
                let what = format!("{thing} belongs to {}", modules.join(" and "));
                findings.push(source.finding(path.line, what));
            }
        }
    }
    findings
}

/// In the whole tree, a foreign thing is named only in its places.
pub fn places(source: &Source, places: &[(&str, &[&str])]) -> Vec<String> {
    let mut findings = Vec::new();
    for path in &source.paths {
        for (thing, allowed) in places.iter().filter(|row| path.names(row.0)) {
            if !allowed.iter().any(|place| source.name.starts_with(place)) {
                findings.push(
                    source.finding(path.line, format_args!("{thing} belongs to {}", allowed.join(" and "))),
                );
            }
        }
    }
    findings
}

/// The console names nothing of `foreign`, and nothing impure outside of its edges.
pub fn console(source: &Source, foreign: &[&str], edges: &[&str], impure: &[&str]) -> Vec<String> {
    if !source.name.starts_with("tui/src/") {
        return Vec::new();
    }
    let is_edge = edges.iter().any(|edge| source.name.starts_with(edge));
    let mut findings = Vec::new();
    for path in &source.paths {
        if let Some(thing) = foreign.iter().find(|thing| path.segments.len() > 1 && path.names(thing)) {
            findings.push(source.finding(path.line, format_args!("the console uses {thing}")));
        }
        if let Some(thing) = impure.iter().find(|thing| !is_edge && path.names(thing)) {
            findings.push(source.finding(path.line, format_args!("the console's core uses {thing}")));
        }
    }
    findings
}

/// `unsafe` is only in listed files.
pub fn unsafe_code(source: &Source, listed: &[(&str, &str)]) -> Vec<String> {
    if listed.iter().any(|(prefix, _)| source.name.starts_with(prefix)) {
        return Vec::new();
    }
    let is_unsafe = |path: &&NamedPath| path.segments == ["unsafe"];
    let finding =
        |path: &NamedPath| source.finding(path.line, "unsafe code in a file that is not listed for it");
    source.paths.iter().filter(is_unsafe).map(finding).collect()
}

/// Names that say nothing.
const NOT_NOUNS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "stuff", "types"];

/// Files are short and have a noun for a name.
pub fn size_and_name(source: &Source, lines_max: usize) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines >= lines_max {
        findings.push(
            source.finding(lines, format_args!("{lines} lines: below {lines_max}, or find a second noun")),
        );
    }
    let named = |part: &str| NOT_NOUNS.contains(&part.trim_end_matches(".rs"));
    if let Some(part) = source.name.split('/').find(|part| named(part)) {
        findings.push(source.finding(1, format_args!("{part} is not a noun: what is in it?")));
    }
    findings
}

/// A file begins with what it is; tests in a file of their own are what the file beside them is.
pub fn module_doc(source: &Source) -> Vec<String> {
    if source.is_tests() && !source.name.starts_with("tests/") {
        return Vec::new();
    }
    let first = source.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
    match first {
        Some(line) if line.starts_with("//! ") && line.len() > 8 => Vec::new(),
        _ => vec![source.finding(1, "the file does not begin with a //! doc")],
    }
}

/// Paths and hosts of whoever wrote the tree. Put together here, so that this file does not hold them.
fn words() -> [String; 5] {
    [["/wo", "rk/"], ["/ro", "ot/"], ["/home", "/user"], ["/tmp/", "cargo"], [".inter", "nal/"]]
        .map(|parts| parts.concat())
}

/// No text names the machine it was written on. What a profile writes into root's home is on the installed host.
pub fn foreign_words(source: &Source) -> Vec<String> {
    let words = words();
    let of_host = source.name.starts_with("assets/profiles/");
    let found = |line: &str| {
        let line = if of_host { line.replace(&format!("{}.ssh", words[1]), "") } else { line.to_owned() };
        words.iter().find(|word| line.contains(word.as_str())).cloned()
    };
    let finding = |(number, line): (usize, &str)| {
        Some(
            source.finding(number + 1, format_args!("names {:?}, which is somebody's machine", found(line)?)),
        )
    };
    source.text.lines().enumerate().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(findings: Vec<String>, expected: &[&str]) {
        assert_eq!(findings, expected);
    }

    fn at(name: &str, text: &str) -> Source {
        Source::new(name, text)
    }

    #[test]
    fn the_order_is_held() {
        let names = modules("//! x\npub mod boot;\n// y\npub mod dhcp;\npub mod serve;\nmod hidden;");
        assert_eq!(names, ["boot", "dhcp", "serve"]);
        check(
            order(&at("src/dhcp/reply.rs", "use crate::boot::A; use crate::dhcp::B; use super::C;"), &names),
            &[],
        );
        let below = "src/boot.rs:2: boot uses serve, which stands below it";
        check(order(&at("src/boot.rs", "\nuse crate::{serve::X};"), &names), &[below]);
        check(order(&at("src/boot.rs", "\nfn f() { super::serve::x() }"), &names), &[below]);
        check(
            order(&at("src/boot.rs", "mod tests {\nuse super::super::serve; use super::serve; }"), &names),
            &[below],
        );
        // A child of `serve` with the name of a core is not that core.
        check(order(&at("src/boot/a.rs", "use super::serve::X;"), &names), &[]);
        check(order(&at("src/main.rs", "use ironwake::serve;"), &names), &[]);
        check(
            order(&at("src/hidden/mod.rs", ""), &names),
            &["src/hidden/mod.rs:1: module hidden is not in src/lib.rs as `pub mod`"],
        );
    }

    #[test]
    fn purity_is_held() {
        let purity = |text| {
            let impure = ["tokio", "std::fs", "Instant::now"];
            super::purity(&at("src/boot/plan.rs", text), &["boot"], &impure, "Instant::now")
        };
        check(purity("use std::net::Ipv4Addr; use std::time::Instant; // tokio"), &[]);
        check(purity("use std::{net, fs};"), &["src/boot/plan.rs:1: a pure module uses std::fs"]);
        check(purity("fn f() { Instant::now() }"), &["src/boot/plan.rs:1: a pure module uses Instant::now"]);
        check(
            purity("mod clock { fn f() { Instant::now() } }"),
            &["src/boot/plan.rs:1: a pure module uses Instant::now"],
        );
        check(purity("mod tests { fn f() { Instant::now() } }"), &[]);
        check(purity("mod tests { use std::fs; }"), &["src/boot/plan.rs:1: a pure module uses std::fs"]);
    }

    #[test]
    fn owners_are_held() {
        let rows: &[(&str, &[&str])] =
            &[("std::process::Command", &["builders", "src/store/crash_tests.rs"])];
        let owners = |name, text| owners(&at(name, text), rows);
        check(owners("src/store/crash_tests.rs", "use std::process::Command;"), &[]);
        check(owners("src/builders/discovery.rs", "use std::process::Command;"), &[]);
        check(owners("src/main.rs", "use std::process::ExitCode;"), &[]);
        check(owners("tests/lab.rs", "use std::process::Command;"), &[]);
        let found =
            "src/cli/mod.rs:1: std::process::Command belongs to builders and src/store/crash_tests.rs";
        check(owners("src/cli/mod.rs", "use std::process::{Command, ExitCode};"), &[found]);
    }

    #[test]
    fn places_are_held() {
        let rows: &[(&str, &[&str])] = &[("crossterm", &["tui/src/edge/tty.rs"])];
        check(places(&at("tui/src/edge/tty.rs", "use crossterm::event;"), rows), &[]);
        let found = "tui/src/key.rs:1: crossterm belongs to tui/src/edge/tty.rs";
        check(places(&at("tui/src/key.rs", "use crossterm::event;"), rows), &[found]);
    }

    #[test]
    fn the_console_is_held() {
        let console = |name, text| console(&at(name, text), &["ironwake"], &["tui/src/edge/"], &["tokio"]);
        check(console("tui/src/edge/tty.rs", "use tokio::time; use ironwake_api::Machine;"), &[]);
        check(
            console("tui/src/list.rs", "use tokio::time;"),
            &["tui/src/list.rs:1: the console's core uses tokio"],
        );
        check(
            console("tui/src/edge/a.rs", "use ironwake::store;"),
            &["tui/src/edge/a.rs:1: the console uses ironwake"],
        );
        check(console("src/main.rs", "use ironwake::store;"), &[]);
    }

    #[test]
    fn unsafe_is_found() {
        let unsafe_code = |name, text| unsafe_code(&at(name, text), &[("src/serve/", "sockets")]);
        check(unsafe_code("src/serve/raw.rs", "unsafe { f() }"), &[]);
        check(unsafe_code("src/boot.rs", "// unsafe\n\"unsafe\""), &[]);
        check(
            unsafe_code("src/boot.rs", "unsafe { f() }"),
            &["src/boot.rs:1: unsafe code in a file that is not listed for it"],
        );
    }

    #[test]
    fn files_are_checked() {
        check(size_and_name(&at("src/boot.rs", "a\nb"), 3), &[]);
        check(
            size_and_name(&at("src/boot.rs", "a\nb\nc"), 3),
            &["src/boot.rs:3: 3 lines: below 3, or find a second noun"],
        );
        check(
            size_and_name(&at("src/boot/util.rs", ""), 3),
            &["src/boot/util.rs:1: util.rs is not a noun: what is in it?"],
        );
        check(module_doc(&at("a.rs", "#![allow(x)]\n\n//! What it is.")), &[]);
        check(module_doc(&at("a.rs", "use x;")), &["a.rs:1: the file does not begin with a //! doc"]);
        let word = &words()[0];
        let found = format!("dev:2: names {word:?}, which is somebody's machine");
        check(foreign_words(&at("dev", &format!("ok\ncd {word}x"))), &[&found]);
        let keys = |name| foreign_words(&at(name, &format!("mkdir -p {}.ssh", words()[1])));
        assert_eq!((keys("assets/profiles/a/b.sh").len(), keys("dev").len()), (0, 1));
    }
}
