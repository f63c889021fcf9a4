//! What shipped profiles render, judged by the programs that the formats' makers wrote: cloud-init, debconf,
//! pykickstart, bash and systemd. Each judge also has to refuse a broken file, or its silence would mean nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ironwake::profile::{
    Firmware, Judge, Kind, Layers, Profile, Rendered, SHIPPED, Written, render, resolve,
};
use serde_json::{Value, json};

#[path = "profile_facts/mod.rs"]
mod profile_facts;

/// A value that would break out of every format that is not quoted.
const HOSTILE: &str = "it's \"a\" #b: [c], {d} & $(e) `f` %g \\h";
const HASH: &str = "$6$rounds=4096$saltsalt$Ab/cdefgh.ijk";

/// Runs a judge that `./dev setup` installs.
fn run(program: &Path, arguments: &[&str], file: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).args(file).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap_or_else(|error| {
        panic!("the judge {} cannot be run: {error}; `./dev setup` installs it", program.display())
    });
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// ksvalidator comes from PyPI: `./dev` keeps it in an environment of its own.
fn ksvalidator() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    let cache = std::env::var_os("IRONWAKE_CACHE").filter(|cache| !cache.is_empty());
    let cache = cache.map_or_else(|| home().join(".cache/ironwake"), PathBuf::from);
    cache.join("judges/bin/ksvalidator")
}

/// Whether this cloud-init judges network configuration by schema, which it does from 24.1 on.
fn knows_network_schema() -> bool {
    run(Path::new("cloud-init"), &["schema", "--help"], None).expect("help").contains("--schema-type")
}

/// What the judge says against a file.
fn judge(judge: Judge, name: &str, content: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    fs::write(&file, content).expect("write the file");
    let said = match judge {
        Judge::CloudConfig => run(Path::new("cloud-init"), &["schema", "-c"], Some(&file)),
        Judge::NetworkConfig if knows_network_schema() => {
            run(Path::new("cloud-init"), &["schema", "--schema-type", "network-config", "-c"], Some(&file))
        }
        // Older ones judge it by rendering it.
        Judge::NetworkConfig => {
            let to = folder.path().display().to_string();
            let convert =
                ["devel", "net-convert", "-k", "yaml", "-D", "debian", "-O", "networkd", "-d", &to, "-p"];
            run(Path::new("cloud-init"), &convert, Some(&file))
        }
        Judge::Preseed => {
            let said = run(Path::new("debconf-set-selections"), &["-c"], Some(&file));
            // It warns of some mistakes and goes on.
            said.and_then(|said| if said.trim().is_empty() { Ok(said) } else { Err(said) })
        }
        Judge::Kickstart => run(&ksvalidator(), &["-v", "RHEL9"], Some(&file))
            .and_then(|_| run(&ksvalidator(), &["-v", "F41"], Some(&file))),
        Judge::Shell => run(Path::new("bash"), &["-n"], Some(&file)),
        Judge::Unit => unit(&file, content),
        Judge::Ignition => run(Path::new("ignition-validate"), &[], Some(&file)),
        Judge::None => Ok(String::new()),
    };
    said.map(drop).map_err(|said| format!("{judge} refuses {name}: {said}\n{content}"))
}

/// The program that a unit starts is not on this host: another one stands in for it.
fn unit(file: &Path, content: &str) -> Result<String, String> {
    let standing_in = content.replace("/usr/local/sbin/ironwake-first-boot", "/bin/true");
    fs::write(file, standing_in).expect("write the unit");
    if file.extension().is_some_and(|kind| kind == "timer") {
        // It names its service, which is judged by itself.
        let service = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
        fs::write(file.with_extension("service"), service).expect("write its service");
    }
    let said = run(Path::new("systemd-analyze"), &["verify"], Some(file))?;
    // It says what it ignores, and succeeds; what it says of other units is not about this one.
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
    match said.lines().any(|line| line.contains(name)) {
        true => Err(said),
        false => Ok(said),
    }
}

/// The variables of an example in which everything is set, and hostile where that is legal.
fn everything(profile: &Profile) -> Written {
    let value = |name: &str| match name {
        "root" | "release" | "console" | "serial_console" | "layout" | "filesystem" | "recipe" => None,
        "image" => Some(json!("debian-13-genericcloud-amd64")),
        "repository" => Some(json!("http://mirror/fedora/os/?a=b c")),
        "mirror_directory" => Some(json!("/debian #1")),
        "domain" | "mirror_host" => Some(json!("example.org")),
        "address" => Some(json!("10.0.0.5/24")),
        "gateway" => Some(json!("10.0.0.1")),
        "dns" => Some(json!(["10.0.0.1", "2001:db8::1"])),
        "packages" => Some(json!(["vim", "curl"])),
        "run" => Some(json!([HOSTILE, "true"])),
        "ssh_keys" => Some(json!([format!("ssh-ed25519 AAAAC3Nz{} {HOSTILE}", "A".repeat(60))])),
        "user" => Some(json!("admin")),
        "password_hash" | "root_password_hash" => Some(json!(HASH)),
        "timezone" => Some(json!("Europe/Vienna")),
        "locale" => Some(json!("de_AT.UTF-8")),
        "keymap" => Some(json!("de")),
        "proxy" => Some(json!("http://proxy:3128/")),
        other => panic!("the test has no value for {other}"),
    };
    profile.variables.keys().filter_map(|name| Some((name.clone(), value(name)?))).collect()
}

/// As few values as the profile takes.
fn least(profile: &Profile) -> Written {
    let required = profile.variables.iter().filter(|(_, variable)| variable.required);
    let all = everything(profile);
    required.map(|(name, _)| (name.clone(), all[name].clone())).collect()
}

/// What is rendered: its judge, its name and its text.
fn files(profile: &Profile, written: &Written, firmware: Firmware) -> Vec<(Judge, String, String)> {
    let none = Written::new();
    let layers = Layers { site: &none, tags: &[], machine: &none, operation: written };
    let values = resolve(profile, layers).unwrap_or_else(|problems| panic!("{}: {problems:?}", profile.name));
    let mut facts = profile_facts::facts();
    facts.machine.firmware = firmware;
    let rendered =
        render(profile, &values, &facts).unwrap_or_else(|error| panic!("{}: {error}", profile.name));
    let judges =
        |files: &[ironwake::profile::Answer]| files.iter().map(|file| file.judge).collect::<Vec<_>>();
    match (&profile.kind, rendered) {
        (Kind::Image { files: shapes, .. }, Rendered::Image { files, .. }) => {
            let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
            let zipped = shapes.iter().zip(files);
            zipped.map(|(shape, file)| (shape.judge, name(&file.path), file.content)).collect()
        }
        (
            Kind::Installer { files: shapes, .. } | Kind::Live { files: shapes, .. },
            Rendered::Installer { files, .. } | Rendered::Live { files, .. },
        ) => judges(shapes)
            .into_iter()
            .zip(files)
            .map(|(judge, file)| (judge, file.name, file.content))
            .collect(),
        (Kind::Local, Rendered::Local) => Vec::new(),
        (kind, rendered) => panic!("{kind:?} gives {rendered:?}"),
    }
}

#[test]
fn every_rendered_file_passes_its_judge() {
    let mut judged = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for shipped in SHIPPED {
        let profile = Profile::parse(shipped.profile, &shipped.templates(), shipped.name).expect("legal");
        for written in [least(&profile), everything(&profile)] {
            for firmware in profile.firmware.iter().copied() {
                for (judge_of_file, name, content) in files(&profile, &written, firmware) {
                    if !seen.insert((judge_of_file.name(), content.clone())) {
                        continue;
                    }
                    if let Err(said) = judge(judge_of_file, &name, &content) {
                        panic!("{}: {said}", profile.name);
                    }
                    *judged.entry(judge_of_file.name()).or_insert(0) += 1;
                }
            }
        }
    }
    for judge in ["cloud-config", "network-config", "preseed", "kickstart", "shell", "unit"] {
        assert!(
            judged.get(judge).is_some_and(|count| *count > 0),
            "nothing was judged as {judge}: {judged:?}"
        );
    }
}

/// A file of each format with one mistake.
#[test]
fn every_judge_refuses_a_broken_file() {
    for (judge_of_file, name, content) in [
        (Judge::CloudConfig, "user-data", "#cloud-config\nusers: 7\nhostname: [a]\n"),
        (Judge::NetworkConfig, "network-config", "version: 2\nethernets:\n  boot: nothing\n"),
        (Judge::Preseed, "preseed.cfg", "d-i netcfg/get_hostname\n"),
        (Judge::Kickstart, "ks.cfg", "text\nautopart --type=square\n%packages\n@core\n%end\n"),
        (Judge::Shell, "a.sh", "if true; then\n"),
        (Judge::Unit, "a.service", "[Service]\nType=onceshot\nExecStart=relative\n"),
        (Judge::Unit, "a.timer", "[Timer]\nOnBootSec=soon\n"),
    ] {
        assert!(judge(judge_of_file, name, content).is_err(), "{judge_of_file} takes {content:?}");
    }
}

/// Hostile values arrive as what they are, read by Python's YAML, which is cloud-init's.
#[test]
fn hostile_values_stay_values() {
    let shipped = SHIPPED.iter().find(|shipped| shipped.name == "cloud-image").expect("shipped");
    let profile = Profile::parse(shipped.profile, &shipped.templates(), shipped.name).expect("legal");
    let rendered = files(&profile, &everything(&profile), Firmware::Uefi);
    let (_, _, user_data) = rendered.iter().find(|(_, name, _)| name == "user-data").expect("user-data");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("user-data");
    fs::write(&file, user_data).expect("write the file");
    let program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    // The one of the host, which has cloud-init's modules.
    let said = run(Path::new("/usr/bin/python3"), &["-c", program], Some(&file)).expect("YAML");
    let read: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(read["runcmd"], json!([HOSTILE, "true"]));
    assert_eq!(read["users"][0]["hashed_passwd"], json!(HASH));
    let key = read["users"][0]["ssh_authorized_keys"][0].as_str().expect("a key");
    assert!(key.ends_with(HOSTILE), "{key}");
}
