//! Writing a disk image: a machine that is rebuilt, beside `dd` past the page cache with the same bytes on the same
//! virtual disk, in the same machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use ironwake_api::{EventKind, Operation, OperationState};

use super::lab::{
    Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine, PoweredOn, WAIT_MAX, add_profile, enroll,
    reaches,
};
use super::report::{Goal, Report};
use super::{Bench, dirs, ours, wire};

/// The image's name, and its profile's.
const NAME: &str = "bench-disk";
/// Files in memory get one half of it: there the image is, and everything else of the machine.
const MEMORY_MIB: u32 = 2048;
/// Size of the disk.
const DISK_BYTES: u64 = 4 << 30;
const PROFILE: &str = r#"
name = "bench-disk"
version = "1"
summary = "bytes that no compressor makes smaller"
kind = "image"
architectures = ["amd64"]
firmware = ["bios", "uefi"]

[image]
artifact = "bench-disk"
grow = false
"#;
/// As `dd` is called in the report.
const DD: &str = "dd";
/// What `dd` does on the machine, four MiB at once as the agent does, until everything is on the medium; printed is the
/// machine's uptime in seconds before and after.
const WRITE: &str =
    "read before _ </proc/uptime; dd if=/tmp/image of=/dev/vda bs=4M oflag=direct conv=fsync &&
    read after _ </proc/uptime && echo $before $after";

/// Measures both, in rounds.
pub fn measure(bench: &Bench, report: &mut Report) {
    let outcome = rounds(bench, report);
    report.keep("disk", ours::NAME, outcome);
}

fn rounds(bench: &Bench, report: &mut Report) -> Result<()> {
    let Some(ironwake) = &bench.ironwake else { return Ok(()) };
    let image = bench.dirs.disk_image()?;
    let bytes = dirs::DISK_IMAGE.bytes as f64;
    let _labs = Labs::mount(&bench.dirs.state("labs")?)?;
    let lab = Lab::new(LabOptions::new(ironwake, Dhcp::Server)).map_err(told)?;
    add_profile(&lab, NAME, PROFILE, &[]);
    lab.cli().run(&["artifact", "import", NAME, &image.display().to_string()]).map_err(told)?;
    let disk = Disk::blank(Bus::Virtio, "BENCH", DISK_BYTES);
    let mut machine = Machine::new(1, Firmware::Bios).with_disk(disk);
    machine.memory_mib = MEMORY_MIB;
    let (mut on, id) = enroll(&lab, &machine).map_err(told)?;
    let goal = Goal::Ratio { peers: &[DD], at_least: 0.95 };
    let mut note = |name, secs: f64| {
        report.add("disk", "a disk image is written", "MB/s", goal, name, bytes / secs / 1e6);
    };
    for _ in 0..bench.effort.rounds {
        note(DD, by_dd(&lab, &on, &id, &image)?);
        on.power_off();
        let (next, secs) = by_ironwake(&lab, &machine, &id).map_err(told)?;
        note(ours::NAME, secs);
        next.power_off();
        lab.cli().run(&["inspect", &id]).map_err(told)?;
        on = lab.power_on(&machine).map_err(told)?;
        on.expect("an inspection", reaches(OperationState::Ready)).map_err(told)?;
    }
    Ok(())
}

/// Seconds that `dd` took in a rescue of the running machine.
fn by_dd(lab: &Lab, on: &PoweredOn<'_>, id: &str, image: &Path) -> Result<f64> {
    let made = lab.cli().json(&["rescue", id]).map_err(told)?;
    let operation: Operation = serde_json::from_value(made).context("an operation")?;
    on.expect("a machine in rescue", reaches(OperationState::Installing)).map_err(told)?;
    shell(lab, id, "cat >/tmp/image", Some(image))?;
    let said = shell(lab, id, WRITE, None)?;
    lab.cli().run(&["operation", "cancel", &operation.id]).map_err(told)?;
    let uptimes: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [before, after] = uptimes[..] else { bail!("the machine says {said:?}, two uptimes were expected") };
    Ok(after - before)
}

/// Runs a command on the machine with a file as its input; what it printed.
fn shell(lab: &Lab, id: &str, command: &str, input: Option<&Path>) -> Result<String> {
    let mut line: Command = lab.cli().command();
    line.args(["shell", id, "--", "sh", "-c", command]).stdout(Stdio::piped()).stderr(Stdio::piped());
    line.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut running = line.spawn().context("run ironwake shell")?;
    if let (Some(path), Some(mut keys)) = (input, running.stdin.take()) {
        // Where the command ends early, its words say more than the broken pipe.
        let _ = std::io::copy(&mut fs::File::open(path)?, &mut keys);
    }
    let output = running.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{command:?} on the machine: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Seconds from the machine's permission to write to its report that everything is written and flushed: what surrounds
/// the writing itself counts too.
fn by_ironwake<'a>(lab: &'a Lab, machine: &Machine, id: &str) -> Result<(PoweredOn<'a>, f64), LabError> {
    lab.cli().run(&["rebuild", id, "--profile", NAME, "--yes"])?;
    let on = lab.power_on(machine)?;
    let mut began = None;
    let ended = on.follow("an image that is written", WAIT_MAX, |event| match &event.kind {
        EventKind::OperationChanged { to: OperationState::Installing, .. } => {
            began = Some(event.at);
            false
        }
        kind => reaches(OperationState::Installed)(kind),
    })?;
    let millis = ended.at.saturating_sub(began.unwrap_or(ended.at)).max(1);
    Ok((on, millis as f64 / 1000.0))
}

/// The lab tells its story over many lines.
fn told(error: LabError) -> anyhow::Error {
    anyhow!("{error:?}")
}

/// Labs remove what labs of dead processes left in the folder for temporary files, and process numbers mean nothing
/// outside of the bench's namespace: it gets a folder of its own, which only the bench's mount namespace sees.
struct Labs;

impl Labs {
    fn mount(folder: &Path) -> Result<Self> {
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(folder).arg(std::env::temp_dir());
        wire::succeed(mount).map(|_| Self)
    }
}

impl Drop for Labs {
    fn drop(&mut self) {
        // The mount ends with the namespace if something still holds it.
        let _ = Command::new("umount").arg(std::env::temp_dir()).status();
    }
}
