//! `buildroot/` says the same as the appliance: partitions, accounts, units. What Buildroot itself says of it, `./dev check-buildroot` asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files_of(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The value of `key`, which stands once in it or not at all.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='))
}

/// Names and sizes of partitions that systemd-repart makes.
fn of_the_appliance() -> BTreeMap<String, String> {
    let folders = ["appliance/disk", "appliance/files/usr/lib/repart.d"];
    let files = folders.iter().flat_map(|folder| files_of(folder));
    let definitions = files.filter(|path| path.extension().is_some_and(|extension| extension == "conf"));
    definitions
        .filter_map(|path| {
            let text = fs::read_to_string(&path).expect("a definition");
            // One without a label is that of a partition which the image comes with.
            Some((
                value(&text, "Label")?.to_owned(),
                value(&text, "SizeMinBytes").expect("a size").to_owned(),
            ))
        })
        .collect()
}

/// Names and sizes of partitions that genimage makes.
fn of_genimage() -> BTreeMap<String, String> {
    let template = text("buildroot/board/ironwake/genimage.cfg.in").replace("#bios", "");
    let partitions = template.split("\tpartition ").skip(1);
    partitions
        .map(|partition| {
            let name = partition.split_whitespace().next().expect("a name");
            (name.to_owned(), value(partition, "size").expect("a size").trim().to_owned())
        })
        .collect()
}

#[test]
fn the_disk_has_the_partitions_of_the_appliance() {
    assert_eq!(of_genimage(), of_the_appliance());
}

/// Numbers of accounts by name: users and groups have the same.
fn numbers<'a>(lines: impl Iterator<Item = &'a str>, name: usize, number: usize) -> BTreeMap<String, u32> {
    let fields = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let fields = fields.map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.map(|fields| (fields[name].to_owned(), fields[number].parse().expect("a number"))).collect()
}

#[test]
fn accounts_have_the_numbers_of_the_appliance() {
    let package = text("buildroot/package/ironwake/ironwake.mk");
    let users = package.split("define IRONWAKE_USERS").nth(1).expect("users").split("endef").next();
    let table = text("buildroot/board/ironwake/users.txt");
    // Its group and the group's number: a group without a user has `-` in place of both of the user's.
    let mut found = numbers(users.expect("users").lines().chain(table.lines()), 2, 3);
    let accounts = text("appliance/accounts");
    let mut expected = numbers(accounts.lines(), 0, 1);
    // Buildroot has it under another name, and nothing on /var is its own.
    expected.remove("messagebus").expect("the bus has an account");
    found.retain(|name, _| name != "dbus");
    assert_eq!(found, expected);
}

#[test]
fn the_preset_names_units_that_there_are() {
    let preset = text("buildroot/board/ironwake/overlay/usr/lib/systemd/system-preset/50-ironwake.preset");
    let units = files_of("systemd/usr/lib/systemd/system");
    let units: BTreeSet<_> = units.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let enabled = preset.lines().filter_map(|line| line.strip_prefix("enable "));
    let enabled: BTreeSet<_> = enabled.map(|line| line.split(' ').next().expect("a unit")).collect();
    let ours: Vec<_> = enabled.iter().filter(|unit| unit.starts_with("ironwake")).collect();
    assert!(ours.len() > 3, "{preset}");
    for unit in ours {
        assert!(units.contains(*unit), "{unit} is not in systemd/");
    }
    let service = text("systemd/usr/lib/systemd/system/ironwake.service");
    for socket in value(&service, "Sockets").expect("sockets").split_whitespace() {
        assert!(enabled.contains(socket), "{socket} is not enabled");
    }
}

#[test]
fn what_the_scripts_take_from_the_tree_is_there() {
    let scripts =
        ["board/ironwake/post-build.sh", "board/ironwake/post-image.sh", "package/ironwake/ironwake.mk"];
    let scripts: String = scripts.iter().map(|script| text(&format!("buildroot/{script}"))).collect();
    for path in ["appliance/files", "appliance/make/mbr.py", "appliance/make/boot_manifest.py", "Cargo.toml"]
    {
        assert!(scripts.contains(path) && root().join(path).exists(), "{path}");
    }
    for architecture in ["x86_64", "aarch64"] {
        let configuration = text(&format!("buildroot/configs/ironwake_{architecture}_defconfig"));
        let named = configuration.split("$(BR2_EXTERNAL_IRONWAKE_PATH)/").skip(1);
        let named: Vec<_> = named.map(|rest| rest.split(['"', ' ']).next().expect("a path")).collect();
        assert!(named.len() > 5, "{configuration}");
        for path in named {
            assert!(root().join("buildroot").join(path).exists(), "{path} of {architecture}");
        }
    }
}

#[test]
fn kernel_fragments_set_each_symbol_once() {
    for architecture in ["x86_64", "aarch64"] {
        let mut seen = BTreeSet::new();
        for fragment in ["linux", &format!("linux-{architecture}")] {
            let fragment = text(&format!("buildroot/board/ironwake/{fragment}.fragment"));
            for line in fragment.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (symbol, set) = line.split_once('=').expect("a setting");
                assert!(symbol.starts_with("CONFIG_") && ["y", "m"].contains(&set), "{line}");
                assert!(seen.insert(symbol.to_owned()), "{symbol} is set twice for {architecture}");
            }
        }
    }
}
