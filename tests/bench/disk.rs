//! Writing a disk image: a machine that is rebuilt, beside `dd` past the page cache with the same bytes on the same
//! virtual disk, in the same machine.
//!
//! `dd` has all bytes in memory. Ironwake gets them over the network, digests and unpacks them, which is what takes the time
//! on an emulated processor: its rows without a limit of the disk show the processor, so that the goal is for the others, a
//! slower virtual disk and this host's own processor ([`native`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use ironwake_api::OperationState;

use super::lab::rebuild::{IMAGE, image};
use super::lab::{
    Bus, Dhcp, Disk, Firmware, Lab, LabError, LabOptions, Machine, Quirk, add_profile, enroll, operation,
    reaches,
};
use super::report::{Goal, Report};
use super::{Bench, native, ours, wire};

/// The profile's name, and its image's.
const NAME: &str = "bench-disk";
/// Files in memory get one half of it: there the image is, and everything else of the machine.
const MEMORY_MIB: u32 = 4096;
/// Size of the disk.
const DISK_BYTES: u64 = 4 << 30;
/// Slow enough that an emulated processor keeps up with it, unpacking.
const SLOW_BYTES_PER_SEC: u64 = 32_000_000;
/// The same for bytes that no compressor makes smaller.
const SLOWEST_BYTES_PER_SEC: u64 = 16_000_000;
const PROFILE: &str = r#"
name = "bench-disk"
version = "1"
summary = "an image and nothing else"
kind = "image"
architectures = ["amd64"]
firmware = ["bios", "uefi"]

[image]
artifact = "{{ image | line }}"
grow = false

[variables.image]
type = "string"
required = true
help = "what is written"
"#;
/// As `dd` is called in the report.
const DD: &str = "dd";
/// What `dd` does on the machine, four MiB at once as the agent does, until everything is on the medium; printed is the
/// machine's uptime in seconds before and after. The partition table goes: the wipe guard knows a disk without one.
const WRITE: &str =
    "read before _ </proc/uptime; dd if=/tmp/image of=/dev/vda bs=4M oflag=direct conv=fsync &&
    read after _ </proc/uptime && echo $before $after && dd if=/dev/zero of=/dev/vda bs=4M count=1 conv=fsync";

/// Measures both, in rounds.
pub fn measure(bench: &Bench, report: &mut Report) {
    let outcome = rounds(bench, report);
    report.keep("disk", ours::NAME, outcome);
}

const GOAL: Goal = Goal::Ratio { peers: &[DD], at_least: 0.95 };

/// Something to write, and where to.
struct Row {
    what: &'static str,
    quirk: Quirk,
    goal: Goal,
    /// The artifact's name.
    name: &'static str,
    /// The image as it is on the disk.
    raw: PathBuf,
}

fn rows(bench: &Bench, lab: &Lab) -> Result<Vec<Row>> {
    let import = |name: &str, path: &Path| {
        lab.cli().run(&["artifact", "import", name, &path.display().to_string()]).map_err(told)
    };
    let debian = image().map_err(told)?;
    import(IMAGE, &debian)?;
    let noise = bench.dirs.disk_image()?;
    import(NAME, &noise)?;
    let debian = bench.dirs.unpacked(&debian)?;
    let row = |what, quirk, goal, name, raw: &PathBuf| Row { what, quirk, goal, name, raw: raw.clone() };
    Ok(vec![
        row("Debian, disk of 32 MB/s", Quirk::Slow(SLOW_BYTES_PER_SEC), GOAL, IMAGE, &debian),
        row("Debian", Quirk::None, Goal::None, IMAGE, &debian),
        row("noise, disk of 16 MB/s", Quirk::Slow(SLOWEST_BYTES_PER_SEC), GOAL, NAME, &noise),
        // Without a goal: SHA-256 in an emulated processor takes 20 ns a byte, dd's writing 5.
        row("noise", Quirk::None, Goal::None, NAME, &noise),
    ])
}

fn rounds(bench: &Bench, report: &mut Report) -> Result<()> {
    let Some(ironwake) = &bench.ironwake else { return Ok(()) };
    let _labs = Labs::mount(&bench.dirs.state("labs")?)?;
    let lab = Lab::new(LabOptions::new(ironwake, Dhcp::Server)).map_err(told)?;
    add_profile(&lab, NAME, PROFILE, &[]);
    let rows = rows(bench, &lab)?;
    let runs = rows.iter().flat_map(|row| std::iter::repeat_n(row, bench.effort.rounds));
    // A machine for each: nothing in the image phones home, so that its operation would run until its deadline.
    for (number, row) in (1..).zip(runs) {
        let disk = Disk::blank(Bus::Virtio, "BENCH", DISK_BYTES).with_quirk(row.quirk);
        let mut machine = Machine::new(number, Firmware::Bios).with_disk(disk);
        machine.memory_mib = MEMORY_MIB;
        let (on, id) = enroll(&lab, &machine).map_err(told)?;
        on.power_off();
        let bytes = fs::metadata(&row.raw)?.len() as f64;
        let secs = [
            (DD, by_dd(&lab, &machine, &id, &row.raw)?),
            (ours::NAME, by_ironwake(&lab, &machine, &id, row.name)?),
        ];
        for (name, secs) in secs {
            report.add("disk", row.what, "MB/s", row.goal, name, bytes / secs / 1e6);
        }
    }
    natively(bench, &lab, &rows, report)
}

/// The same without emulation, of each image once.
fn natively(bench: &Bench, lab: &Lab, rows: &[Row], report: &mut Report) -> Result<()> {
    let folder = bench.dirs.state("native")?;
    let runs = [("Debian, natively", IMAGE), ("noise, natively", NAME)]
        .into_iter()
        .flat_map(|run| std::iter::repeat_n(run, bench.effort.rounds));
    for (number, (what, name)) in (1..).zip(runs) {
        let row = rows.iter().find(|row| row.name == name).context("a row of this image")?;
        let bytes = fs::metadata(&row.raw)?.len() as f64;
        let image = format!("image={name}");
        let words = ["--profile", NAME, "--var", &image, "--yes"];
        let secs = [
            (DD, native::by_dd(&folder, DISK_BYTES, &row.raw)?),
            (ours::NAME, native::by_ironwake(lab, number, &folder, DISK_BYTES, &words)?),
        ];
        for (contender, secs) in secs {
            report.add("disk", what, "MB/s", GOAL, contender, bytes / secs / 1e6);
        }
    }
    Ok(())
}

/// Seconds that `dd` took in a rescue of the machine.
fn by_dd(lab: &Lab, machine: &Machine, id: &str, image: &Path) -> Result<f64> {
    let operation = operation(lab, &["rescue", id]).map_err(told)?;
    let on = lab.power_on(machine).map_err(told)?;
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
fn by_ironwake(lab: &Lab, machine: &Machine, id: &str, image: &str) -> Result<f64> {
    let image = format!("image={image}");
    operation(lab, &["rebuild", id, "--profile", NAME, "--var", &image, "--yes"]).map_err(told)?;
    let on = lab.power_on(machine).map_err(told)?;
    let began = on.expect("a machine that may write", reaches(OperationState::Installing)).map_err(told)?;
    let ended = on.expect("an image that is written", reaches(OperationState::Installed)).map_err(told)?;
    Ok(ended.at.saturating_sub(began.at).max(1) as f64 / 1000.0)
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
