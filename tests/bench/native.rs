//! The agent's own work on this host's processor: the same claim, guard and pipeline as on a machine, with a loop device
//! over a file as its disk, beside `dd` to the same.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use ironwake_agent::cmdline::Token;
use ironwake_agent::inventory;
use ironwake_agent::screen::Screen;
use ironwake_agent::server::Server;
use ironwake_agent::work::{Next, Reports, perform};
use ironwake_api::{ClaimRequest, EnrollRequest, MacAddr, Nic, Operation, OperationState};

use super::lab::{self, Lab, LabError};
use super::wire;

/// The daemon in its lab.
const SERVER: &str = "10.77.0.1:8080";
/// The disk's name where the agent looks.
const DISK: &str = "vda";
/// What the profile may want; nothing depends on it.
const MEMORY_BYTES: u64 = 8 << 30;

/// A loop device over a new file, without a page cache of its own.
struct LoopDevice {
    path: String,
    file: PathBuf,
}

impl LoopDevice {
    fn new(folder: &Path, size_bytes: u64) -> Result<Self> {
        let file = folder.join("disk");
        File::create(&file).and_then(|file| file.set_len(size_bytes)).context("make a disk")?;
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show", "--direct-io=on"]).arg(&file);
        let path = String::from_utf8(wire::succeed(losetup)?.stdout)?.trim().to_owned();
        Ok(Self { path, file })
    }

    fn attribute(&self, name: &str) -> Result<String> {
        let path = format!("/sys/block/{}/{name}", self.path.trim_start_matches("/dev/"));
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.path]).status();
        let _ = fs::remove_file(&self.file);
    }
}

/// Seconds that `dd` takes.
pub fn by_dd(folder: &Path, size_bytes: u64, raw: &Path) -> Result<f64> {
    let disk = LoopDevice::new(folder, size_bytes)?;
    // What is written comes from memory, as on the machine.
    std::io::copy(&mut File::open(raw)?, &mut std::io::sink())?;
    let mut dd = Command::new("dd");
    dd.arg(format!("if={}", raw.display())).arg(format!("of={}", disk.path));
    dd.args(["bs=4M", "oflag=direct", "conv=fsync", "status=none"]);
    let began = Instant::now();
    wire::succeed(dd)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds from the permission to write to the report that everything is written and flushed.
/// Each round has a machine of its own, by its number: nothing in the image phones home, so that its operation goes on.
pub fn by_ironwake(lab: &Lab, number: u8, folder: &Path, size_bytes: u64, words: &[&str]) -> Result<f64> {
    let disk = LoopDevice::new(folder, size_bytes)?;
    let root = root(&folder.join("root"), &disk, &format!("BENCH{number}"))?;
    let mac = new_card(lab, number)?;
    let server = Server::new(&format!("http://{SERVER}"));
    let mut found = inventory::read(&root, inventory::read_smbios(&root), Some(mac));
    found.memory.total_bytes = Some(MEMORY_BYTES);
    found.nics = vec![Nic { name: "eth0".into(), mac: Some(mac), ..Nic::default() }];
    let request = EnrollRequest { agent: "bench".into(), boot_mac: mac, inventory: found };
    let machine = inside(lab, || server.enroll(&request, None))?.context("report the inventory")?.machine;
    lab.cli().run(&["machine", "enroll", &machine]).map_err(told)?;
    let armed = lab::operation(lab, &[&["rebuild", &machine], words].concat()).map_err(told)?;
    let token = boot(lab, mac)?;
    let claim =
        inside(lab, || server.claim(&token, &ClaimRequest { machine: machine.clone(), boot_mac: mac }))?;
    let claim = claim.context("claim the work")?;
    let reports = Reports {
        server,
        token,
        operation: claim.operation.clone(),
        machine: machine.clone(),
        boot_mac: mac,
        screen: Screen::open(&root),
    };
    let next = inside(lab, || perform(&claim, &root, &reports, &mut |_| {}))?;
    let ended = lab::operation(lab, &["operation", "show", &armed.id]).map_err(told)?;
    if next != Next::Reboot {
        bail!("the work failed: {:?}", ended.history.last());
    }
    let secs = between(&ended, OperationState::Installing, OperationState::Installed)?;
    fs::remove_dir_all(&root)?;
    Ok(secs)
}

/// What the agent sees of the machine: one disk.
fn root(root: &Path, disk: &LoopDevice, serial: &str) -> Result<PathBuf> {
    let block = root.join("sys/block").join(DISK);
    fs::create_dir_all(block.join("queue"))?;
    fs::create_dir_all(root.join("dev"))?;
    for name in ["size", "queue/logical_block_size", "diskseq"] {
        fs::write(block.join(name), disk.attribute(name)?)?;
    }
    fs::write(block.join("serial"), serial)?;
    symlink(&disk.path, root.join("dev").join(DISK))?;
    Ok(root.to_owned())
}

/// Boots as firmware does: the token of the work.
fn boot(lab: &Lab, mac: MacAddr) -> Result<Token> {
    let script = lab.get(&format!("/ipxe/{}", mac.to_string().replace(':', "-"))).map_err(told)?.text();
    let word = |fits: &dyn Fn(&str) -> bool| script.split_whitespace().find(|word| fits(word));
    let token = word(&|word| word.starts_with("ironwake.operation="))
        .and_then(|word| Token::parse(word.trim_start_matches("ironwake.operation=")));
    let kernel = word(&|word| word.contains("/operations/") && word.ends_with("/vmlinuz"))
        .and_then(|word| Some(&word[word.find("/boot/v1")?..]));
    let (Some(token), Some(kernel)) = (token, kernel) else { bail!("the script arms nothing:\n{script}") };
    let answer = lab.get(kernel).map_err(told)?;
    if answer.status == 200 { Ok(token) } else { bail!("the kernel is not served: {}", answer.text()) }
}

/// Gives the client's end of the cable another address: the daemon compares machines with the cards of their addresses.
fn new_card(lab: &Lab, number: u8) -> Result<MacAddr> {
    let mac = MacAddr([0x52, 0x54, 0x00, 0x78, 0, number]);
    lab.client().ip(&format!("link set eth0 address {mac}")).map_err(told)?;
    lab.site().ip(&format!("neigh flush dev {}", lab.bridge().interface)).map_err(told)?;
    Ok(mac)
}

fn between(operation: &Operation, from: OperationState, to: OperationState) -> Result<f64> {
    let at = |state| operation.history.iter().find(|event| event.to == state).map(|event| event.at);
    match (at(from), at(to)) {
        (Some(from), Some(to)) => Ok(to.saturating_sub(from).max(1) as f64 / 1000.0),
        _ => bail!("it did not go from {from} to {to}: {:?}", operation.history),
    }
}

fn inside<T: Send>(lab: &Lab, work: impl FnOnce() -> T + Send) -> Result<T> {
    lab.client().enter(work).map_err(told)
}

/// The lab tells its story over many lines.
fn told(error: LabError) -> anyhow::Error {
    anyhow!("{error:?}")
}
