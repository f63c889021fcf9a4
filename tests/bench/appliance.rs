//! The appliance, as it is flashed, in an emulated machine: how long it takes from the kernel's start until a machine that boots is
//! answered, and how much memory it takes at rest.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Bench;
use super::flashed::machine::{Attached, Machine};
use super::flashed::report::Report as Said;
use super::lab::Firmware;
use super::ours;
use super::report::{Goal, Report};

const PART: &str = "appliance";
/// As for a stick of 4 GB.
const DISK_MIB: u64 = 3800;
/// Of the whole system.
const MEMORY: Goal = Goal::AtMost(150.0);
/// What somebody who boots a machine waits between two attempts is longer; this is how exact the time is.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// A machine that boots from its network: the first frame of this capture is its DISCOVER.
const ASKS: &[u8] = include_bytes!("../data/captures/bios-server-discovery-incl-agent-dhcp.pcap");
/// Lengths of what comes before a frame: of the file, and of each frame (the frame's length is 8 bytes into it).
const PCAP_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
/// Where UDP's ports are in an Ethernet frame with a usual IPv4 header.
const PORTS_AT: usize = 34;
/// From a DHCP server to its client.
const ANSWER: [u8; 4] = [0, 67, 0, 68];
/// It serves a network of its own from its first start.
const CREDENTIALS: &[(&str, &str)] = &[
    ("network.network.10-bench", "[Match]\nType=ether\n[Network]\nAddress=10.77.0.1/24\n"),
    (
        "ironwake.toml",
        "[[network]]\ninterface = \"enp0s3\"\ndhcp = \"server\"\nsubnet = \"10.77.0.0/24\"\nrange = \"10.77.0.100-10.77.0.200\"\n",
    ),
];
/// Tells when the machine was first seen, and once nothing happens any more, what is used of the memory, in KiB: what no program
/// could get, and of it what is no copy of a file.
const SCRIPT: &str = r#"
say() { printf '%s: %s\n' "$1" "$2" >/dev/ttyS1; }
booted=$(awk -v now="$(date +%s%3N)" '{ printf "%d", now - $1 * 1000 }' /proc/uptime)
seen=$(ironwake machine list --json | tr -d ' \n' | grep -o '"created_at":[0-9]*' | cut -d : -f 2 | sort -n | head -n 1)
say answered-ms "$((seen - booted))"
sleep 60
sync
meminfo() { awk -v total=0 "$1" /proc/meminfo; }
say used-kib "$(meminfo '/^MemTotal/ { total = $2 } /^MemAvailable/ { print total - $2 }')"
say own-kib "$(meminfo '/^(MemTotal|Shmem):/ { total += $2 } /^(MemFree|Buffers|Cached|SReclaimable):/ { total -= $2 } END { print total }')"
for process in /proc/[0-9]*; do
    awk -v name="$(cat "$process/comm")" '/^Pss:/ { print $2, name }' "$process/smaps_rollup"
done 2>/dev/null | sort -rn | head -n 12 | while read -r kib name; do say share "$kib KiB $name"; done
"#;

/// Measures one that serves a network from its first start.
pub fn measure(bench: &Bench, report: &mut Report) {
    if bench.ironwake.is_none() {
        return;
    }
    let measured = bench.dirs.state(PART).and_then(|folder| machine(&folder, report));
    report.keep(PART, ours::NAME, measured);
}

fn machine(folder: &Path, report: &mut Report) -> Result<()> {
    let cable = folder.join("cable");
    let socket = UnixDatagram::bind(&cable).with_context(|| format!("bind {}", cable.display()))?;
    socket.set_read_timeout(Some(ASK_EVERY))?;
    let machine = Machine::flashed(Firmware::Bios, Attached::Virtio, DISK_MIB)
        .map_err(|error| anyhow!("{error}"))?
        .with_wire(&cable)
        .with_credentials(CREDENTIALS);
    let (asks, over) = (first_frame(ASKS)?, AtomicBool::new(false));
    let (said, answered) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&socket, &machine.wire(), asks, &over));
        let said = machine.boot_and(SCRIPT, |_| Ok(()));
        over.store(true, Ordering::Relaxed);
        (said, asking.join().expect("asking does not panic"))
    });
    let said = said.map_err(|error| anyhow!("{error}"))?;
    eprintln!("{said}");
    ensure!(answered, "nobody answered a machine that boots");
    ensure!(said.value("failed").is_empty(), "the appliance did not come up");
    let ready = number(&said, "daemon-ready-ms")? / 1e3;
    let answers = number(&said, "answered-ms")? / 1e3;
    let initrd = number(&said, "initrd-left-ms")? / 1e3;
    // Without goals: on an emulated processor they say how the parts stand to each other.
    for (what, secs) in [("initrd left", initrd), ("daemon ready", ready), ("first DHCP answer", answers)] {
        report.add(PART, what, "s", Goal::None, ours::NAME, secs);
    }
    report.add(
        PART,
        "memory that programs cannot get",
        "MB",
        MEMORY,
        ours::NAME,
        megabytes(&said, "used-kib")?,
    );
    report.add(PART, "of it no copy of a file", "MB", Goal::None, ours::NAME, megabytes(&said, "own-kib")?);
    Ok(())
}

/// Asks until somebody has answered; whether that was before it is `over`.
fn ask(socket: &UnixDatagram, machine: &Path, asks: &[u8], over: &AtomicBool) -> bool {
    let mut frame = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        // Its end of the cable is there once it is switched on; until then, too, an answer is waited for so long.
        let _ = socket.send_to(asks, machine);
        let length = socket.recv(&mut frame).unwrap_or(0);
        if frame[..length].get(PORTS_AT..PORTS_AT + 4) == Some(&ANSWER) {
            return true;
        }
    }
    false
}

/// The first frame of a capture (pcap, little-endian).
fn first_frame(capture: &[u8]) -> Result<&[u8]> {
    let header = capture.get(PCAP_HEADER..PCAP_HEADER + FRAME_HEADER).context("no frame in the capture")?;
    let length = u32::from_le_bytes(header[8..12].try_into()?) as usize;
    let begin = PCAP_HEADER + FRAME_HEADER;
    capture.get(begin..begin + length).context("half a frame in the capture")
}

fn megabytes(said: &Said, name: &str) -> Result<f64> {
    Ok(number(said, name)? * 1024.0 / 1e6)
}

fn number(said: &Said, name: &str) -> Result<f64> {
    let text = said.value(name);
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => bail!("the appliance said {text:?} for {name}"),
    }
}
