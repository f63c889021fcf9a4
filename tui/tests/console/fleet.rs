//! What a daemon would answer: nothing, three machines, ten thousand, and everything that can fail.

use ironwake_api::{
    DryRun, Inventory, Machine, Operation, OwnSystem, Page, Profiles, ServiceState, SystemAction, SystemClock,
};
use ironwake_tui::message::Answer;
use ironwake_tui::model::past::Past;
use serde_json::{Value, json};

use super::harness::NOW;

const MINUTE: u64 = 60_000;
/// Bytes of a gibibyte.
const GIB: u64 = 1 << 30;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the contract")
}

/// The id of a machine or an operation by its number.
pub fn id(number: u64) -> String {
    format!("0195a000-0000-7000-8000-{number:012}")
}

/// A server's hardware.
pub fn inventory() -> Box<Inventory> {
    Box::new(read(json!({
        "schema": 1,
        "system": { "manufacturer": "Dell Inc.", "product": "PowerEdge R650", "serial": "8XK2V93" },
        "board": { "manufacturer": "Dell Inc.", "product": "0PYXKY", "version": "A01" },
        "chassis": { "kind": "Rack Mount Chassis" },
        "firmware": { "vendor": "Dell Inc.", "version": "1.9.2", "date": "11/17/2023", "mode": "uefi", "secure_boot": false, "tpm": { "version": "2.0" } },
        "cpus": [
            { "socket": "CPU1", "model": "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "cores": 32, "threads": 64, "mhz_max": 3200, "virtualization": "vmx", "flags": ["x86-64-v4"] },
            { "socket": "CPU2", "model": "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "cores": 32, "threads": 64, "mhz_max": 3200, "virtualization": "vmx", "flags": ["x86-64-v4"] },
        ],
        "memory": { "installed_bytes": 256 * GIB, "slots": 32, "dimms": [
            { "slot": "A1", "size_bytes": 128 * GIB, "kind": "DDR4", "speed_mts": 3200, "manufacturer": "Samsung", "part": "M393AAG40M32" },
            { "slot": "B1", "size_bytes": 128 * GIB, "kind": "DDR4", "speed_mts": 3200, "manufacturer": "Samsung", "part": "M393AAG40M32" },
        ] },
        "disks": [
            { "name": "nvme0n1", "model": "Samsung PM9A3", "serial": "S64GNE0R301234", "size_bytes": 960_197_124_096_u64, "transport": "nvme", "table": "gpt", "partitions": [
                { "number": 1, "start_bytes": 1 << 20, "size_bytes": 512 << 20, "filesystem": "vfat", "label": "EFI" },
                { "number": 2, "start_bytes": 513 << 20, "size_bytes": 400 * GIB, "filesystem": "ext4", "label": "root" },
                { "number": 3, "start_bytes": 401 * GIB, "size_bytes": 200 * GIB, "filesystem": "xfs", "label": "data" },
            ] },
            { "name": "sda", "model": "TOSHIBA MG08", "serial": "Y0G0A0B1", "size_bytes": 16_000_900_661_248_u64, "transport": "sata", "rotational": true, "partitions": [] },
        ],
        "nics": [
            { "name": "eno1", "mac": "52:54:00:00:00:01", "driver": "ixgbe", "pci": "0000:31:00.0", "link": true, "speed_mbps": 10000, "boot": true, "addresses": ["10.0.0.101/24"], "lldp": { "system": "sw-rack7", "port": "xe-0/0/12", "vlan": 20 } },
            { "name": "eno2", "mac": "52:54:00:00:00:02", "driver": "ixgbe", "pci": "0000:31:00.1", "link": false, "boot": false },
        ],
        "bmc": { "interface": "kcs", "ipmi_version": "2.0", "address": "10.0.9.101" },
        "notes": ["the serial number of sda could not be read with SMART"],
    })))
}

fn machine(number: u64, more: Value) -> Machine {
    let mut machine = json!({
        "id": id(number),
        "enrolment": "enrolled",
        "macs": [format!("52:54:00:00:{:02x}:{:02x}", number >> 8 & 255, number & 255)],
        "tags": [], "secure_boot": "auto", "discover_next": false,
        "created_at": NOW - 90 * MINUTE, "seen_at": NOW - 2 * MINUTE,
        "address": format!("10.0.{}.{}", number >> 8 & 255, number & 255),
    });
    machine.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    read(machine)
}

/// The same hardware, as lists sum it up.
fn hardware() -> Value {
    json!({ "model": "Dell PowerEdge R650", "cpu": "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "cpus": 2, "cores": 64, "threads": 128, "ram_bytes": 256 * GIB, "disks": 2, "disk_bytes": 16_961_097_785_344_u64, "nics": 2 })
}

/// What an operation has written to a machine.
fn profile(operation: u64, standing: &str) -> Value {
    json!({ "name": "debian-image", "version": "1", "standing": standing, "operation": id(operation), "since": NOW - 60 * MINUTE })
}

fn page(items: Vec<Machine>) -> Answer {
    let total = items.len() as u64;
    Answer::Machines(Page { items, total, limit: 1000, offset: 0 })
}

/// Three machines: one that runs, one that is being rebuilt, one that is unknown.
pub fn three() -> Vec<Answer> {
    let host = json!({ "operation": id(90), "at": NOW - MINUTE, "from": "10.0.0.101", "hostname": "node-1", "os": "Debian GNU/Linux 13 (trixie)", "kernel": "6.12.41", "addresses": ["10.0.0.101"], "uptime_secs": 86_400, "heartbeat_secs": 300, "reachability": "calling" });
    let mut node = machine(
        1,
        json!({ "name": "node-1", "serial": "8XK2V93", "manufacturer": "Dell Inc.", "product": "PowerEdge R650", "tags": ["lab", "rack=7"], "host": host, "inventory_at": NOW - 30 * MINUTE, "hardware": hardware(), "profile": profile(90, "installed"), "notes": "second fan is loud" }),
    );
    node.inventory = Some(inventory());
    let second = machine(
        2,
        json!({ "name": "node-2", "manufacturer": "Dell Inc.", "product": "PowerEdge R650", "tags": ["rack=7"], "profile": profile(91, "installing"), "operation": { "id": id(91), "kind": "rebuild", "state": "installing" } }),
    );
    let third = machine(
        3,
        json!({ "enrolment": "unenrolled", "manufacturer": "QEMU", "product": "Standard PC (Q35 + ICH9, 2009)", "seen_at": NOW - 4_000, "inventory_at": NOW - 4_000 }),
    );
    vec![
        page(vec![node, second, third]),
        Answer::Operations(operations()),
        Answer::Profiles(profiles()),
        Answer::Past { past: Past::default(), events: events() },
        Answer::Artifacts(read(json!([
            { "name": "debian-image/trixie-amd64", "kind": "image", "state": "done", "size": 412 << 20, "sha256": "9f2c".repeat(16), "pinned": true, "imported_by": { "operator": "anna" }, "created_at": NOW - 300 * MINUTE, "used_at": NOW - 5 * MINUTE, "needed_by": ["profile debian-image"], "deletable": false, "undeletable": "it is pinned: unpin it first" },
            { "name": "noble", "kind": "image", "state": "queued", "imported_by": { "operator": "anna" }, "deletable": true, "download": { "url": "https://example.org/noble.img", "step": "fetching", "progress": { "done_bytes": 200 << 20, "total_bytes": 600 << 20, "bytes_per_sec": 40 << 20 }, "percent": 33, "secs_left": 10 } },
            { "name": "discovery/initramfs", "kind": "initramfs", "state": "done", "size": 21 << 20, "sha256": "ab12".repeat(16), "created_at": NOW - 300 * MINUTE, "build_ms": 5400, "undeletable": "it is no import" },
            { "name": "snponly.efi", "kind": "loader", "state": "done", "source": "ipxe", "version": "1.21.1", "size": 280_000, "sha256": "cd34".repeat(16) },
        ]))),
        Answer::Usage(read(
            json!({ "imports": 2, "bytes": 612 << 20, "bytes_max": 50 * GIB, "unused_secs_max": 30 * 86_400, "pinned_bytes": 412 << 20, "needed_bytes": 0, "evictable_bytes": 200 << 20, "boot_bytes": 22 << 20 }),
        )),
        Answer::Builds(read(json!([
            { "name": "debian-image/trixie-amd64", "state": "done", "ordered_by": { "operator": "anna" }, "ordered_at": NOW - 310 * MINUTE, "ended_at": NOW - 300 * MINUTE, "log": ["I: running mmdebstrap", "I: packing 412 MiB"] },
        ]))),
        Answer::Leases(read(json!([
            { "address": "10.0.0.101", "network": "br0", "mac": "52:54:00:00:00:01", "hostname": "node-1", "state": "bound", "renewed_at": NOW - 5 * MINUTE, "expires_at": NOW + 55 * MINUTE },
            { "address": "10.0.0.102", "network": "br0", "mac": "52:54:00:00:00:02", "state": "bound", "renewed_at": NOW - 5 * MINUTE, "expires_at": NOW + 50 * MINUTE },
        ]))),
        Answer::Health(read(json!({ "state": "ok", "checks": [
            { "name": "store", "state": "ok", "message": "writes take 2 ms" },
            { "name": "discovery", "state": "ok", "message": "the image is built, 21 MiB" },
            { "name": "loaders", "state": "ok", "message": "all eight are there" },
        ], "networks": [ { "interface": "br0", "dhcp": "server", "state": "ok", "answering": true, "message": "2 of 250 addresses are leased", "addresses": 250, "addresses_bound": 2, "addresses_free": 246,
            "link": { "at": NOW, "present": true, "enabled": true, "up": true, "speed_mbps": 10_000, "mac": "02:00:00:00:00:01", "mtu": 1500, "addresses": ["10.0.0.1/24"] },
            "traffic": traffic(0, 1_204) } ] }))),
        Answer::Version(read(json!({ "version": "0.1.0", "schema": 14 }))),
        Answer::System(Box::new(own_system())),
        Answer::SystemChoices(read(
            json!({ "timezones": ["Etc/UTC", "Europe/Paris", "Europe/Vienna"], "keyboards": ["de", "us"] }),
        )),
        Answer::Settings(read(json!({ "settings": [
            { "key": "enrolment.policy", "value": "\"manual\"", "origin": "default" },
            { "key": "http.listen", "value": "\"10.0.0.1:8080\"", "origin": "file", "place": "/etc/ironwake/ironwake.toml:4" },
            { "key": "network[0].allow_rogue", "value": "false", "origin": "default" },
            { "key": "network[0].dhcp", "value": "\"server\"", "origin": "settings", "place": "/var/lib/ironwake/settings.toml:3" },
            { "key": "network[0].interface", "value": "\"br0\"", "origin": "settings", "place": "/var/lib/ironwake/settings.toml:4" },
            { "key": "state", "value": "\"/var/lib/ironwake\"", "origin": "default" },
            { "key": "webhook[0].name", "value": "\"chat\"", "origin": "file", "place": "/etc/ironwake/ironwake.toml:9" },
            { "key": "webhook[0].secret", "value": "***", "origin": "file", "place": "/etc/ironwake/ironwake.toml:10" },
            { "key": "webhook[0].url", "value": "***", "origin": "file", "place": "/etc/ironwake/ironwake.toml:11" },
        ], "restart": ["http.listen"] }))),
    ]
}

/// What a network was asked until so many seconds after the first look.
pub fn traffic(secs: u64, requests: u64) -> Value {
    json!({ "since": NOW - 90 * MINUTE, "at": NOW + secs * 1000, "requests": requests, "answers": requests - 4, "offers": requests / 2, "acks": requests / 2 - 4, "naks": 0, "dropped": 0 })
}

/// How a proxy's network is beside its DHCP server, after so many seconds.
pub fn proxied(secs: u64, requests: u64) -> Answer {
    Answer::Health(read(
        json!({ "state": "ok", "checks": [], "networks": [ { "interface": "br0", "dhcp": "proxy", "state": "ok", "answering": true, "message": "answers beside 10.0.0.254", "addresses": 0, "addresses_bound": 0,
        "other_servers": [{ "address": "10.0.0.254", "mac": "02:00:00:00:00:fe", "heard_at": NOW - 40_000 }],
        "link": { "at": NOW, "present": true, "enabled": true, "up": true, "speed_mbps": 1000, "addresses": ["10.0.0.1/24"] },
        "traffic": traffic(secs, requests) } ] }),
    ))
}

/// The appliance's own system, where everything can be changed.
pub fn own_system() -> OwnSystem {
    let actions = SystemAction::ALL.iter().map(|what| json!({ "what": what }));
    read(json!({
        "version": "0.1.0", "url": "https://10.0.0.1:8443", "hostname": "boot-1",
        "started_at": NOW - 90 * MINUTE, "now": NOW, "uptime_secs": 3 * 86_400 + 4 * 3600,
        "clock": { "timezone": "Europe/Vienna", "ntp": true, "synchronized": true, "ntp_servers": [] }, "keyboard": "us",
        "interfaces": [
            { "name": "br0", "mac": "02:00:00:00:00:01", "up": true, "link": true, "addresses": ["10.0.0.1/24", "fe80::1/64"] },
            { "name": "eno2", "mac": "02:00:00:00:00:02", "up": true, "link": false, "addresses": [] },
        ],
        "cpu": { "count": 4, "used_percent": 23 },
        "memory": { "total_bytes": 8 * GIB, "available_bytes": 5 * GIB },
        "disk": { "total_bytes": 60 * GIB, "free_bytes": 42 * GIB },
        "services": [
            { "name": "ironwake", "what": "the daemon", "state": "active", "restartable": true },
            { "name": "ironwake-builder", "what": "the builder of images", "state": "active", "restartable": true },
            { "name": "ironwake-console@tty1", "what": "the console on the screen", "state": "active", "restartable": true },
            { "name": "ironwake-ssh", "what": "the console over SSH", "state": "inactive", "restartable": true },
            { "name": "ironwake-update", "what": "the look for new versions of the appliance", "state": "absent", "restartable": false },
        ],
        "changes": actions.collect::<Vec<_>>(),
    }))
}

/// The same in a container: without systemd, not on the network, and nearly full.
pub fn own_system_closed() -> OwnSystem {
    let why = "reach the system bus at /run/dbus/system_bus_socket: No such file or directory (os error 2)";
    let mut system = own_system();
    system.url = None;
    system.keyboard = None;
    system.clock = SystemClock { timezone: Some("Etc/UTC".into()), ..SystemClock::default() };
    system.cpu.used_percent = 97;
    system.disk.free_bytes = 2 * GIB;
    system.changes.iter_mut().for_each(|change| change.unavailable = Some(why.into()));
    for service in &mut system.services {
        (service.state, service.restartable) = (ServiceState::Unknown, false);
    }
    system
}

/// What was done with the three machines.
pub fn operations() -> Vec<Operation> {
    read(json!([
        { "id": id(91), "machine": id(2), "kind": "rebuild", "state": "installing", "state_since": NOW - 20_000, "may_have_written": true, "created_at": NOW - 4 * MINUTE, "created_by": { "operator": "anna" }, "profile": { "name": "debian-image", "version": "1", "variables": {} }, "progress": { "done_bytes": 640 << 20, "total_bytes": 1024 << 20, "bytes_per_sec": 96 << 20 } },
        { "id": id(90), "machine": id(1), "kind": "rebuild", "state": "ready", "state_since": NOW - 60 * MINUTE, "may_have_written": true, "created_at": NOW - 64 * MINUTE, "created_by": { "operator": "anna" }, "profile": { "name": "debian-image", "version": "1", "variables": {} } },
    ]))
}

/// Two profiles.
pub fn profiles() -> Profiles {
    read(json!({ "profiles": [
        { "name": "cloud-image", "version": "1", "kind": "image", "summary": "Any cloud image, with a NoCloud seed", "origin": "shipped", "variables": [
            { "name": "image", "kind": "string", "required": true, "secret": false, "help": "name of the imported image" },
            { "name": "address", "kind": "cidr", "required": false, "secret": false, "help": "fixed address with its prefix length" },
            { "name": "password_hash", "kind": "string", "required": false, "secret": true, "help": "password as crypt(5) writes it" },
            { "name": "grow", "kind": "boolean", "required": false, "secret": false, "help": "whether the root takes the rest of the disk" },
            { "name": "layout", "kind": "choice", "required": false, "secret": false, "help": "how the disk is divided", "default": "plain", "choices": ["plain", "lvm"] },
        ] },
        { "name": "debian-image", "version": "1", "kind": "image", "summary": "Debian from the builder", "origin": "shipped", "variables": [] },
        { "name": "memtest", "version": "1", "kind": "live", "summary": "Tests memory", "origin": "shipped", "variables": [] },
    ], "refused": [ { "folder": "broken", "mistakes": "profile.toml:3:1: unknown key \"knid\"; such as kind" } ] }))
}

/// Which of them fit the first machine, and what is here of what they need.
pub fn fits() -> Answer {
    let fit = |name: &str, more: Value| {
        let mut fit = json!({ "name": name, "version": "1", "kind": "image", "summary": "", "operation": "rebuild", "fits": true, "disks": ["nvme0n1", "sda"] });
        fit.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        fit
    };
    Answer::Fits {
        machine: id(1),
        fits: read(json!([
            fit(
                "cloud-image",
                json!({ "given": { "address": { "value": "10.0.0.101/24", "from": "machine" } } })
            ),
            fit(
                "debian-image",
                json!({ "fits": false, "disks": [], "reasons": ["it needs UEFI, and the machine boots by BIOS", "no disk has the 4 GB that it needs"], "missing": ["debian-image/trixie-amd64 is not here: `ironwake builder order` brings it"] })
            ),
        ])),
    }
}

/// What a rebuild of the first machine would come to.
pub fn dry_run(mistakes: &[(&str, &str)]) -> Box<DryRun> {
    let mistakes: Vec<Value> =
        mistakes.iter().map(|(field, message)| json!({ "field": field, "message": message })).collect();
    Box::new(read(
        json!({ "machine": id(1), "kind": "rebuild", "mistakes": mistakes, "hostname": "node-1", "artifacts": [{ "name": "noble", "sha256": "9f2c".repeat(16) }], "steps": ["packages", "keys"] }),
    ))
}

/// What happened lately.
pub fn events() -> Vec<ironwake_api::Event> {
    let at = |secs: u64| NOW - secs * 1000;
    read(json!([
        { "id": 990, "at": at(300), "actor": "daemon", "kind": "daemon_started", "version": "0.1.0" },
        { "id": 991, "at": at(240), "actor": { "operator": "anna" }, "machine": id(2), "kind": "operation_made", "operation": id(91), "work": "rebuild" },
        { "id": 992, "at": at(200), "actor": "machine", "machine": id(2), "kind": "attempt_started", "attempt": 7, "mac": "52:54:00:00:00:02" },
        { "id": 993, "at": at(198), "actor": "machine", "machine": id(2), "kind": "attempt_stage", "attempt": 7, "mac": "52:54:00:00:00:02", "detail": { "at": at(198), "client": "firmware", "stage": "tftp", "file": "snponly.efi", "bytes": 280_000, "size": 280_000, "duration_ms": 40, "retries": 0 } },
        { "id": 994, "at": at(20), "actor": "machine", "machine": id(2), "kind": "operation_changed", "operation": id(91), "work": "rebuild", "from": "pxe_booted", "to": "installing", "cause": "the agent has claimed the work" },
        { "id": 995, "at": at(4), "actor": "machine", "machine": id(3), "kind": "machine_seen", "mac": "52:54:00:00:00:03" },
        { "id": 996, "at": at(3), "actor": "daemon", "kind": "other_dhcp_server", "interface": "br0", "server": "10.0.0.254", "mac": "02:00:00:00:00:fe", "silenced": true },
    ]))
}

/// A boot that stopped.
pub fn attempts() -> Vec<Answer> {
    let at = |millis: u64| NOW - 600_000 + millis;
    let head = json!({ "id": 7, "machine": id(1), "mac": "52:54:00:00:00:01", "arch": "uefi-x64", "started_at": at(0), "last_at": at(9_400), "outcome": "failed", "diagnosis": { "code": "loader_not_started", "message": "snponly.efi was fetched, and nothing asked for a script within 60 s", "remedy": "Secure Boot is probably on: `ironwake machine edit node-1 --secure-boot on` offers shim" } });
    let mut whole = head.clone();
    whole["stages"] = json!([
        { "at": at(0), "client": "firmware", "stage": "dhcp", "message": "DISCOVER", "answer": "OFFER", "address": "10.0.0.101", "file": "snponly.efi", "why": "UEFI x64" },
        { "at": at(2_900), "client": "firmware", "stage": "dhcp", "message": "REQUEST", "answer": "ACK", "address": "10.0.0.101", "why": "" },
        { "at": at(3_000), "client": "firmware", "stage": "tftp", "file": "snponly.efi", "bytes": 1_468, "size": 280_000, "duration_ms": 4, "retries": 0, "aborted": "the client only asked for the size" },
        { "at": at(9_400), "client": "firmware", "stage": "tftp", "file": "snponly.efi", "bytes": 280_000, "size": 280_000, "duration_ms": 41, "retries": 0 },
    ]);
    let good = json!({ "id": 6, "machine": id(1), "mac": "52:54:00:00:00:01", "arch": "uefi-x64", "started_at": at(0) - 86_400_000, "last_at": at(0) - 86_370_000, "outcome": "inventoried" });
    vec![
        Answer::Attempts { machine: id(1), attempts: read(json!([head, good])) },
        Answer::Attempt(read(whole)),
    ]
}

/// A boot of a hundred stages.
pub fn long_boot() -> Vec<Answer> {
    let at = |second: u64| NOW - 600_000 + second * 1000;
    let head = json!({ "id": 8, "machine": id(1), "mac": "52:54:00:00:00:01", "arch": "uefi-x64", "started_at": at(0), "last_at": at(99), "outcome": "running" });
    let mut whole = head.clone();
    let stage = |number: u64| json!({ "at": at(number), "client": "agent", "stage": "agent", "message": format!("stage {number:02}"), "failed": false });
    whole["stages"] = (0..100).map(stage).collect();
    vec![Answer::Attempts { machine: id(1), attempts: read(json!([head])) }, Answer::Attempt(read(whole))]
}

/// Ten thousand machines in all states.
pub fn many() -> Vec<Answer> {
    let mut machines = Vec::new();
    for number in 1..=10_000 {
        let more = match number % 10 {
            0 => json!({ "enrolment": "unenrolled" }),
            1 => {
                json!({ "name": format!("node-{number}"), "operation": { "id": id(100_000 + number), "kind": "rebuild", "state": "pxe_ready", "armed_until": NOW + 50 * MINUTE } })
            }
            2 => {
                json!({ "name": format!("node-{number}"), "tags": ["rack=7"], "hardware": hardware(), "last_attempt": { "id": number, "started_at": NOW - MINUTE, "last_at": NOW - MINUTE, "outcome": "failed", "diagnosis": "loader_not_started" } })
            }
            _ => {
                json!({ "name": format!("node-{number}"), "manufacturer": "Supermicro", "product": "SYS-1029", "host": { "operation": id(1), "at": NOW, "from": "10.0.0.1", "os": "Debian 13", "reachability": if number % 10 == 3 { "silent" } else { "calling" } } })
            }
        };
        machines.push(machine(number, more));
    }
    let total = machines.len() as u64;
    let pages = machines.chunks(1000).enumerate();
    let mut answers: Vec<Answer> = pages
        .map(|(place, items)| {
            Answer::Machines(Page { items: items.to_vec(), total, limit: 1000, offset: place as u32 * 1000 })
        })
        .collect();
    answers.push(Answer::Operations(Vec::new()));
    answers
}

/// Everything that can fail has failed.
pub fn failures() -> Vec<Answer> {
    let mut answers = three();
    answers.push(Answer::Operations(read(json!([
        { "id": id(92), "machine": id(2), "kind": "rebuild", "state": "failed", "state_since": NOW - 10_000, "may_have_written": true, "created_at": NOW - 4 * MINUTE, "created_by": { "token": "ci" }, "profile": { "name": "debian-image", "version": "1", "variables": {} }, "failure": { "stage": "installing", "reason": "the disk nvme0n1 refuses writes: Input/output error at byte 671088640" }, "disks": [ { "name": "nvme0n1", "model": "Samsung PM9A3", "serial": "S64", "size_bytes": 960_197_124_096_u64, "partitions": [{ "number": 1, "size_bytes": 512 << 20, "filesystem": "vfat", "label": "EFI" }] } ] },
    ]))));
    answers.push(page(vec![
        machine(1, json!({ "name": "node-1", "host": { "operation": id(90), "at": NOW - 60 * MINUTE, "from": "10.0.0.101", "os": "Debian 13", "heartbeat_secs": 300, "reachability": "silent" } })),
        machine(2, json!({ "name": "node-2", "profile": profile(92, "failed") })),
        machine(3, json!({ "name": "node-3" })),
    ]));
    answers.push(Answer::Attempts { machine: id(3), attempts: read(json!([{ "id": 9, "machine": id(3), "mac": "52:54:00:00:00:03", "arch": "uefi-ia32", "started_at": NOW - 60_000, "last_at": NOW - 50_000, "outcome": "failed", "diagnosis": { "code": "no_loader_for_arch", "message": "there is no loader for 32-bit UEFI", "remedy": "import one as ipxe-ia32.efi" } }])) });
    answers.push(Answer::System(Box::new(own_system_closed())));
    answers.push(Answer::Health(read(json!({ "state": "failed", "checks": [
        { "name": "store", "state": "failed", "message": "the disk of the state directory is full", "remedy": "free some of /var/lib/ironwake: `ironwake artifact delete` removes imports" },
        { "name": "discovery", "state": "degraded", "message": "no kernel modules for ixgbe", "remedy": "install linux-image-amd64" },
    ], "networks": [ { "interface": "br0", "dhcp": "server", "state": "degraded", "answering": false, "message": "silent beside another DHCP server", "silence": "other_server", "addresses": 250, "addresses_bound": 249,
            "other_servers": [{ "address": "10.0.0.254", "mac": "02:00:00:00:00:fe", "heard_at": NOW - 40_000 }],
            "link": { "at": NOW, "present": true, "enabled": true, "up": false, "mac": "02:00:00:00:00:01" }, "traffic": traffic(0, 1_204) } ] }))));
    answers
}

/// Nothing at all.
pub fn empty() -> Vec<Answer> {
    vec![
        page(Vec::new()),
        Answer::Operations(Vec::new()),
        Answer::Past { past: Past::default(), events: Vec::new() },
        Answer::Artifacts(Vec::new()),
        Answer::Leases(Vec::new()),
        Answer::Profiles(Profiles { profiles: Vec::new(), refused: Vec::new() }),
        Answer::Health(read(json!({ "state": "ok", "checks": [], "networks": [] }))),
        Answer::Settings(read(json!({ "settings": [], "restart": [] }))),
    ]
}
