//! Operations on machines of the lab, as tests of them need them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ironwake::artifact::Digest;
use ironwake_api::{EventKind, Operation, OperationState, StageKind};

use super::error::LabError;
use super::machine::Machine;
use super::site::{Lab, PoweredOn};

/// 2²⁰ bytes.
pub const MIB: u64 = 1 << 20;

/// Where the image of a machine's disk is.
pub fn image(lab: &Lab, machine: &Machine, number: usize) -> PathBuf {
    lab.folder().join(format!("{}.disk{number}", machine.name))
}

/// Digest of a machine's whole disk.
pub fn digest(lab: &Lab, machine: &Machine, number: usize) -> Digest {
    Digest::of(&fs::read(image(lab, machine, number)).expect("a disk image"))
}

/// The operation that a command prints.
pub fn operation(lab: &Lab, words: &[&str]) -> Result<Operation, LabError> {
    let value = lab.cli().json(words)?;
    Ok(serde_json::from_value(value).expect("an operation"))
}

/// Powers the machine on, waits for its inventory, makes it known; its id.
pub fn enroll<'a>(lab: &'a Lab, machine: &Machine) -> Result<(PoweredOn<'a>, String), LabError> {
    let on = lab.power_on(machine)?;
    let (record, _) = on.wait_inventory()?;
    lab.cli().run(&["machine", "enroll", &record.id])?;
    Ok((on, record.id))
}

/// An operation of this machine has come to a state.
pub fn reaches(state: OperationState) -> impl Fn(&EventKind) -> bool {
    move |kind| match kind {
        EventKind::OperationChanged { to, cause, .. } => {
            assert!(*to != OperationState::Failed || state == OperationState::Failed, "{cause}");
            *to == state
        }
        _ => false,
    }
}

/// The machine was sent to its disk.
pub fn boots_its_disk(kind: &EventKind) -> bool {
    match kind {
        EventKind::AttemptStage { stage, .. } => {
            // GRUB fetches its script by TFTP, which names no plan.
            match &stage.kind {
                StageKind::Http { plan, .. } => {
                    plan.as_ref().is_some_and(|plan| plan.starts_with("local boot"))
                }
                StageKind::Tftp { file, .. } => file.ends_with("/grub.cfg"),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Adds a profile of the operator's own: `profile.toml` and its templates.
pub fn add_profile(lab: &Lab, name: &str, profile: &str, templates: &[(&str, &str)]) {
    let folder = lab.folder().join("profiles").join(name);
    fs::create_dir_all(&folder).expect("a folder");
    for (file, text) in [("profile.toml", profile)].iter().chain(templates) {
        fs::write(folder.join(file), text).expect("a file of a profile");
    }
}

/// Adds the profile `marker`, which writes the artifact of that name: the lab's own bootable disk. `more` ends its `[image]`.
pub fn add_marker(lab: &Lab, more: &str) {
    let text = format!(
        "name = \"marker\"\nversion = \"1\"\nsummary = \"says that it runs\"\nkind = \"image\"\n\
         architectures = [\"amd64\"]\nfirmware = [\"bios\", \"uefi\"]\n[image]\nartifact = \"marker\"\n{more}"
    );
    add_profile(lab, "marker", &text, &[]);
}

/// Runs a program of the host to its end; what it printed.
pub fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run ./dev setup"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}: {text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
