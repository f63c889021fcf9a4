use std::collections::BTreeMap;

use ironwake_api::{ApprovedDisk, Inventory};
use serde_json::json;

use super::*;

const TOP: &str = "name = \"p\"\nversion = \"1\"\nkind = \"live\"\n";
const BOOT: &str = "[boot]\nkernel = \"k\"\ncommand_line = \"";

/// A live profile with these variables, one file `f` and this command line.
fn profile(variables: &str, template: &str, command_line: &str) -> Profile {
    let text =
        format!("{TOP}\n{BOOT}{command_line}\"\n[[file]]\ntemplate = \"f.j2\"\nname = \"f\"\n{variables}");
    let templates = BTreeMap::from([("f.j2".to_owned(), template.to_owned())]);
    Profile::parse(&text, &templates, "p").unwrap_or_else(|refused| panic!("{refused}"))
}

fn facts() -> Facts {
    Facts {
        hostname: "node-1".into(),
        machine: MachineFacts {
            id: "m1".into(),
            name: "node-1".into(),
            architecture: Architecture::Amd64,
            firmware: Firmware::Uefi,
            macs: vec!["52:54:00:12:34:56".parse().unwrap()],
            boot_mac: "52:54:00:12:34:56".parse().unwrap(),
            address: None,
        },
        operation: OperationFacts { id: "o1".into(), ssh_key: None, heartbeat_secs: None },
        disk: None,
        server: ServerFacts { url: "http://10.0.0.1:8080".into() },
        urls: Urls {
            files: "http://10.0.0.1:8080/boot/v1/files/token/".into(),
            phone_home: "http://10.0.0.1:8080/boot/v1/phone-home/token".into(),
            installed: "http://10.0.0.1:8080/boot/v1/installed/token".into(),
            heartbeat: "http://10.0.0.1:8080/boot/v1/heartbeat/token".into(),
        },
        artifacts: BTreeMap::from([("iso".to_owned(), "http://10.0.0.1:8080/artifacts/aa/iso".to_owned())]),
    }
}

fn written(values: serde_json::Value) -> Written {
    values.as_object().expect("an object").clone().into_iter().collect()
}

fn settle(profile: &Profile, operation: serde_json::Value) -> Values {
    let (none, operation) = (Written::new(), written(operation));
    let layers = Layers { site: &none, tags: &[], machine: &none, operation: &operation };
    resolve(profile, layers).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The file, and the command line behind `|`.
fn shown(rendered: Result<Rendered, RenderError>) -> String {
    match rendered {
        Ok(Rendered::Live { boot, files }) => format!("{}|{}", files[0].content, boot.command_line.reveal()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn later_layers_win() {
    let profile = profile(
        "[variables.v]\ntype = \"string\"\ndefault = \"profile\"\n[variables.w]\ntype = \"string\"",
        "",
        "",
    );
    let of = |value: &str| written(json!({ "v": value, "w": value, "unknown": 1 }));
    let (site, machine, operation) = (of("site"), of("machine"), written(json!({ "v": "operation" })));
    let tags = [("rack=a".to_owned(), of("first")), ("gpu".to_owned(), of("second"))];
    let none = Written::new();
    let check = |layers: Layers<'_>, expected: [&str; 2]| {
        let values = resolve(&profile, layers).expect("legal");
        for (name, expected) in ["v", "w"].into_iter().zip(expected) {
            match values.get(name) {
                Some(Setting::Plain(Value::Text(text), origin)) => {
                    assert_eq!(format!("{text} by {origin}"), expected, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    };
    let mut layers = Layers { site: &site, tags: &[], machine: &none, operation: &none };
    check(layers, ["profile by profile", "site by site"]);
    layers.tags = &tags;
    check(layers, ["second by tag gpu", "second by tag gpu"]);
    layers.machine = &machine;
    check(layers, ["machine by machine", "machine by machine"]);
    layers.operation = &operation;
    check(layers, ["operation by operation", "machine by machine"]);
}

#[test]
fn what_is_wrong_with_values_is_said_of_each() {
    let profile = profile(
        "[variables.release]\ntype = \"choice\"\nvalues = [\"trixie\"]\n[variables.size]\ntype = \"integer\"\nmax = 9\n\
         [variables.key]\ntype = \"string\"\nrequired = true\nhelp = \"the key\"\n\
         [variables.password]\ntype = \"hostname\"\nsecret = true",
        "",
        "",
    );
    let (none, machine) = (Written::new(), written(json!({ "size": 10 })));
    let operation = written(json!({ "relaese": 1, "release": "sid", "password": "hunter 2" }));
    let layers = Layers { site: &none, tags: &[], machine: &machine, operation: &operation };
    let problems = resolve(&profile, layers).expect_err("problems");
    let problems: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
    assert_eq!(
        problems,
        [
            "variables.relaese: profile p has no variable `relaese`; did you mean `release`?",
            "variables.key: a value is needed: the key",
            "variables.password: the secret value does not fit: letters, digits and `-` between dots, such as \
             \"node-1.example.org\"",
            "variables.release: \"sid\" is not one of the choices; one of trixie",
            "variables.size: 10 is too much (from machine); at most 9",
        ]
    );
}

#[test]
fn a_secret_that_is_too_short_to_be_hidden_is_refused() {
    let profile = profile(
        "[variables.password]\ntype = \"string\"\nsecret = true\n[variables.pin]\ntype = \"integer\"\nsecret = true\n\
         [variables.keys]\ntype = \"list\"\nsecret = true\n[variables.open]\ntype = \"string\"",
        "",
        "",
    );
    let none = Written::new();
    let wrong = |site: serde_json::Value, operation: serde_json::Value| {
        let (site, operation) = (written(site), written(operation));
        let layers = Layers { site: &site, tags: &[], machine: &none, operation: &operation };
        let problems = resolve(&profile, layers).err().unwrap_or_default();
        problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect::<Vec<_>>().join("\n")
    };
    let said = |field: &str, from: &str| {
        format!(
            "variables.{field}: the secret value{from} is too short to be hidden in what programs write: at least 4 bytes"
        )
    };
    assert_eq!(wrong(json!({}), json!({ "password": "abc" })), said("password", ""));
    assert_eq!(wrong(json!({ "password": "abc" }), json!({})), said("password", " (from site)"));
    assert_eq!(wrong(json!({}), json!({ "pin": 123 })), said("pin", ""));
    assert_eq!(wrong(json!({}), json!({ "keys": ["abcd", "abc"] })), said("keys", ""));
    let fits = json!({ "password": "abcd", "pin": 1234, "keys": ["abcd", ""], "open": "abc" });
    assert_eq!(wrong(json!({}), fits), "");
    assert_eq!(wrong(json!({}), json!({ "password": "" })), "", "there is none to be hidden");
}

#[test]
fn secret_numbers_are_hidden_in_what_steps_write() {
    let profile = profile("[variables.pin]\ntype = \"integer\"\nsecret = true", "", "");
    let values = settle(&profile, json!({ "pin": 4711 }));
    let rendered = login(&profile, &values, &facts()).expect("renders");
    let (mut veil, mut shown) = (rendered.mask.veil(), Vec::new());
    veil.push(b"the pin is 4711\n", &mut shown);
    veil.finish(&mut shown);
    assert_eq!(String::from_utf8_lossy(&shown), "the pin is ***\n");
}

#[test]
fn secrets_are_shown_nowhere() {
    let profile =
        profile("[variables.password]\ntype = \"string\"\nsecret = true", "{{ password | shell }}", "");
    let values = settle(&profile, json!({ "password": "hunter 2" }));
    let rendered = render(&profile, &values, &facts()).expect("renders");
    for text in [
        format!("{values:?}"),
        serde_json::to_string(&values).unwrap(),
        format!("{rendered:?}"),
        format!("{:?}", facts()),
    ] {
        assert!(!text.contains("hunter") && !text.contains("token"), "{text}");
    }
    assert_eq!(shown(Ok(rendered)), "'hunter 2'|");
    assert_eq!(shown(render(&profile, &values.masked(), &facts())), "'***'|");
    let wrong = super::Profile {
        templates: BTreeMap::from([("f.j2".into(), "{{ artifact(password) }}".into())]),
        ..profile
    };
    let error = shown(render(&wrong, &values, &facts()));
    assert_eq!(
        error,
        "f.j2:1: no artifact is published as \"***\", or none was when the operation was made: import it, then make another operation"
    );
}

#[test]
fn lines_cannot_be_broken_out_of() {
    let variable = "[variables.v]\ntype = \"string\"\ndefault = \"\"";
    let check = |template: &str, line: &str, value: &str, expected: &str| {
        let profile = profile(variable, template, line);
        assert_eq!(
            shown(render(&profile, &settle(&profile, json!({ "v": value })), &facts())),
            expected,
            "{value}"
        );
    };
    check("{{ v }}", "a={{ v }}", "b", "b|a=b");
    check("", "a={{ v | parameter }}", "b c", "|a=\"b c\"");
    let refused = "boot.command_line in profile.toml: the value has characters that mean something: write a filter \
                   behind it, such as `| yaml`";
    check("", "a={{ v }}", "b c", refused);
    let expanded = "boot.command_line in profile.toml gives a command line with '$', which a loader would take for its own";
    check("", "a={{ v | parameter }}", "${net0/mac}", expanded);
    check(
        "",
        "a={{ v | line }}",
        "a\"",
        "boot.command_line in profile.toml gives a command line with a quote that does not end",
    );
    check(
        "",
        "a={{ v | parameter }}",
        "é",
        "boot.command_line in profile.toml gives a command line with 'é', which a loader would take for its own",
    );
    check(
        "a\n{{ v }}",
        "",
        "b c",
        "f.j2:2: the value has characters that mean something: write a filter behind it, such as `| yaml`",
    );
    check("{{ artifact('iso') }}", "", "", "http://10.0.0.1:8080/artifacts/aa/iso|");
    check("{{ machine.boot_mac | replace(':', '-') }}", "", "", "52-54-00-12-34-56|");
    check("{{ disk.path }}", "", "", "f.j2:1: there is no such value");
}

#[test]
fn facts_lists_and_loops_are_known_names() {
    let template = "{{ machine.macs[0] }} {{ machine.macs | first }}{% for mac in machine.macs %} {{ loop.index }}={{ mac }}\
                    {% endfor %}{% set n = namespace(a=1) %}{% set n.a = 2 %} {{ n.a }}{% if disk %}{{ disk.path }}{% endif %}\
                    {% macro m(v) %}{{ v }}{% endmacro %} {{ m(hostname) }} {{ range(3) | last }} {{ 'x' if not disk else 'y' }}";
    let profile = profile("", template, "");
    let mac = "52:54:00:12:34:56";
    let expected = format!("{mac} {mac} 1={mac} 2 node-1 2 x|");
    assert_eq!(shown(render(&profile, &settle(&profile, json!({})), &facts())), expected);
}

#[test]
fn facts_are_single_lines() {
    let profile = profile("", "", "");
    let mut facts = facts();
    facts.hostname = "a\nb".into();
    let error = render(&profile, &settle(&profile, json!({})), &facts).expect_err("refused");
    assert_eq!(error.to_string(), "the fact hostname holds '\\n', which no file could");
}

#[test]
fn what_grows_without_end_is_stopped() {
    let source = format!("{{% for a in range(9000) %}}{}{{% endfor %}}", "x".repeat(200));
    let profile = profile("", &source, "");
    let values = settle(&profile, json!({}));
    assert_eq!(shown(render(&profile, &values, &facts())), "f.j2 gives more than 1048576 bytes");
}

#[test]
fn a_partition_is_a_number_or_a_label() {
    let text = "name = \"p\"\nversion = \"1\"\nkind = \"image\"\n[variables.root]\ntype = \"string\"\ndefault = \"2\"\n\
                [image]\nartifact = \"a/b\"\n[[file]]\ntemplate = \"f\"\npath = \"/f\"\nmode = \"0600\"\n\
                partition = \"{{ root | line }}\"\n";
    let profile = Profile::parse(text, &BTreeMap::from([("f".into(), "x".into())]), "").expect("legal");
    let check = |root: &str, expected: &str| {
        let rendered = render(&profile, &settle(&profile, json!({ "root": root })), &facts());
        let shown = match rendered {
            Ok(Rendered::Image { files, .. }) => format!("{:?} {:o}", files[0].partition, files[0].mode),
            Ok(other) => panic!("{other:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    };
    check("2", "Number(2) 600");
    check("my root", "Label(\"my root\") 600");
    check("0", "file.partition in profile.toml gives 0: partitions count from 1");
    check("", "file.partition in profile.toml gives no partition");
}

#[test]
fn a_machine_fits_or_the_reasons_are_said() {
    let text = format!(
        "{}architectures = [\"amd64\"]\nfirmware = [\"uefi\"]\n[needs]\nram = \"4GiB\"\ndisk = \"8G\"\n[image]\nartifact = \"a\"\n",
        TOP.replace("live", "image")
    );
    let profile = Profile::parse(&text, &BTreeMap::new(), "").expect("legal");
    let mut inventory = Inventory::default();
    inventory.firmware.mode = Some("uefi".into());
    inventory.firmware.secure_boot = Some(false);
    // A machine sold with 4 GiB.
    inventory.memory.total_bytes = Some(3_980_000_000);
    let disk = ApprovedDisk { name: "sda".into(), size_bytes: 8_000_000_000, ..ApprovedDisk::default() };
    let good = Hardware {
        inventory: Some(&inventory),
        architecture: Some(Architecture::Amd64),
        disk: Some(&disk),
        ..Hardware::default()
    };
    let check = |hardware: Hardware<'_>, expected: &[&str]| assert_eq!(fits(&profile, hardware), expected);
    check(good, &[]);
    check(Hardware::default(), &[]);
    check(
        Hardware { architecture: Some(Architecture::Arm64), ..good },
        &["it runs on amd64, and the machine is arm64"],
    );
    check(
        Hardware { firmware: Some(Firmware::Bios), secure_boot: Some(true), ..good },
        &["it starts from uefi, and the machine has bios"],
    );
    check(
        Hardware { secure_boot: Some(true), ..good },
        &["the machine enforces Secure Boot, and not everything that it starts is signed"],
    );
    let small = ApprovedDisk { size_bytes: 4_000_000_000, ..disk.clone() };
    check(Hardware { disk: Some(&small), ..good }, &["it needs a disk of 7.5 GiB, and sda has 3.7 GiB"]);
    check(Hardware { disk: None, ..good }, &["it needs a disk of 7.5 GiB, and the machine has none"]);
    let mut little = inventory.clone();
    little.memory.total_bytes = Some(2 << 30);
    check(
        Hardware { inventory: Some(&little), ..good },
        &["it needs 4 GiB of memory, and the machine has 2 GiB"],
    );
}

#[test]
fn shipped_profiles_are_legal() {
    for shipped in SHIPPED {
        let parsed = Profile::parse(shipped.profile, &shipped.templates(), shipped.name);
        let profile = parsed.unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(profile.name, shipped.name);
        assert!(!profile.summary.is_empty(), "{} has no summary", shipped.name);
        for (name, variable) in &profile.variables {
            assert!(!variable.help.is_empty(), "{}: {name} has no help", shipped.name);
        }
    }
}

#[test]
fn only_what_is_installed_has_a_host_that_calls() {
    let parse = |text: &str| Profile::parse(text, &BTreeMap::new(), "p");
    let live = format!("{TOP}heartbeat = \"5m\"\n{BOOT}\"\n");
    let refused = parse(&live).expect_err("a mistake").to_string();
    assert!(
        refused.contains("p/profile.toml:4:13: a profile that installs nothing has no host that calls"),
        "{refused}"
    );
    let image =
        "name = \"p\"\nversion = \"1\"\nkind = \"image\"\nheartbeat = \"90m\"\n[image]\nartifact = \"a\"\n";
    assert_eq!(parse(image).expect("legal").heartbeat_secs, Some(5400));
}
