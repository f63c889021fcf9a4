//! The configuration file: what is legal, and how each mistake is answered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ironwake::config::{Config, ConfigErrors, DhcpMode, EnrolmentPolicy, Network, REFERENCE};
use proptest::prelude::*;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config")
}

/// What a file leads to: its settings or its mistakes, as text. `UPDATE=1` rewrites the expectation.
fn check(name: &str) {
    let text = std::fs::read_to_string(data().join(format!("{name}.toml"))).expect("the file");
    let shown = match Config::parse(&text, &format!("{name}.toml")) {
        Ok(config) => format!("{config:#?}\n"),
        Err(mistakes) => format!("{mistakes}\n"),
    };
    let golden = data().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&golden, &shown).expect("write the expectation");
    }
    let expected = std::fs::read_to_string(&golden).expect("the expectation; UPDATE=1 writes it");
    assert_eq!(shown, expected, "{name}");
}

#[test]
fn every_mistake_is_answered_at_its_place() {
    check("many-mistakes");
    check("apart-good");
    check("rules");
    check("webhooks");
    check("syntax");
    check("wrong-shapes");
}

#[test]
fn every_key_is_read() {
    check("everything");
}

#[test]
fn the_smallest_file_works_as_written() {
    let config = Config::load(&data().join("smallest.toml")).expect("legal");
    let mut network = Network::on("br0");
    network.dhcp = DhcpMode::Server;
    network.ranges = vec!["10.0.0.100".parse().unwrap()..="10.0.250.250".parse().unwrap()];
    let mut expected = Config { networks: vec![network], ..Config::default() };
    expected.http.listen = "10.0.0.1:8080".parse().unwrap();
    assert_eq!(config, expected);
}

/// An appliance that is not set up: it has an API, and serves nothing.
#[test]
fn a_file_may_say_nothing_yet() {
    assert_eq!(Config::parse("", "f").expect("legal"), Config::default());
}

#[test]
fn the_interface_alone_is_enough() {
    let config = Config::parse("[[network]]\ninterface = \"eth0\"\n", "f").expect("legal");
    assert_eq!(config, Config { networks: vec![Network::on("eth0")], ..Config::default() });
    assert_eq!(config.networks[0].dhcp, DhcpMode::Proxy);
    assert_eq!(config.enrolment.policy, EnrolmentPolicy::Manual);
    assert_eq!(config.discovery.idle_reboot, Duration::from_secs(600));
}

/// The reference with the lines that begin with `prefix` made part of it.
fn reference_with(prefixes: &[&str]) -> String {
    let line = |line: &str| prefixes.iter().find_map(|p| line.strip_prefix(p)).unwrap_or(line).to_owned();
    REFERENCE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_says_the_defaults() {
    let defaults = Config { networks: vec![Network::on("eth0")], ..Config::default() };
    assert_eq!(Config::parse(REFERENCE, "reference").expect("legal"), defaults);
    // `#key = value` is a default; `# sentence` is not.
    let spelt_out: Vec<String> = REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    assert_eq!(Config::parse(&spelt_out.join("\n"), "reference").expect("legal"), defaults);
}

#[test]
fn the_examples_of_the_reference_are_legal_and_name_every_key() {
    let text = reference_with(&["# example: "])
        .replace("#dhcp = \"proxy\"", "dhcp = \"server\"")
        .replace("#policy = \"manual\"", "policy = \"rules\"");
    let config = Config::parse(&text, "reference").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.networks[0].ranges.len(), 2);
    assert_eq!(config.networks[0].reservations.len(), 1);
    assert_eq!(config.networks[0].relayed.len(), 1);
    assert_eq!(config.enrolment.rules.len(), 1);
    let keys = "state socket profiles listen interface dhcp range subnet router dns domain lease_time next_server \
                allow_rogue tftp secure_boot mac address hostname enabled idle_reboot rediscover_after \
                kernel_parameters certificate key names pattern pool [values] [tag policy name manufacturer product serial tags add_tags";
    for key in keys.split_whitespace() {
        let is_named =
            |line: &str| line.trim_start_matches(['#', ' ']).replace("example: ", "").starts_with(key);
        assert!(REFERENCE.lines().any(is_named), "{key} is missing");
    }
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let error = Config::load(Path::new("/nonexistent/ironwake.toml")).expect_err("no file");
    assert!(matches!(&error, ConfigErrors::Read { .. }), "{error}");
    assert!(matches!(Config::load(Path::new("/dev/zero")), Err(ConfigErrors::TooLarge { .. })));
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, b"state = \"/a\"\nsocket = \"/\xff\"\n").expect("written");
    let ConfigErrors::Wrong(mistakes) = Config::load(file.path()).expect_err("not UTF-8") else { panic!() };
    assert_eq!((mistakes.list[0].line, mistakes.list[0].column), (2, 12));
}

#[test]
fn a_hostile_file_is_answered_in_bounds() {
    let many: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
    let mistakes = Config::parse(&many, "f").expect_err("unknown keys");
    assert!(mistakes.list.len() <= 100 && mistakes.more >= 19_900);
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(Config::parse(&deep, "f").is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::parse(&text, "f").map_err(|mistakes| mistakes.to_string());
    }

    #[test]
    fn no_text_of_known_words_panics(words in proptest::collection::vec(words(), 0..60)) {
        let _ = Config::parse(&words.concat(), "f").map_err(|mistakes| mistakes.to_string());
    }

    #[test]
    fn no_damaged_file_panics(at in 0_usize..700, cut in 0_usize..30, put in ".{0,6}") {
        let mut text = include_str!("data/config/everything.toml").to_owned();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.replace_range(start..end, &put);
        let _ = Config::parse(&text, "f").map_err(|mistakes| mistakes.to_string());
    }
}

fn words() -> impl Strategy<Value = String> {
    const FIXED: &[&str] = &[
        "[[network]]\n",
        "[http]\n",
        "[discovery]\n",
        "[enrolment]\n",
        "[[enrolment.rule]]\n",
        "[[network.relayed]]\n",
        "[[network.reservation]]\n",
        "interface",
        "dhcp",
        "range",
        "subnet",
        "router",
        "mac",
        "address",
        "policy",
        "name",
        " = ",
        "\"server\"",
        "\"rules\"",
        "\"10.0.0.1\"",
        "\"10.0.0.0/24\"",
        "\"10.0.0.1-10.0.0.9\"",
        "\"br0\"",
        "\n",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'''",
        "é",
        "9999999999999999999999",
        "1e400",
        "1979-05-27",
        "true",
        "\t",
    ];
    prop_oneof![proptest::sample::select(FIXED).prop_map(str::to_owned), "[a-z]{1,9} = \"[ -~]{0,12}\"\n"]
}
