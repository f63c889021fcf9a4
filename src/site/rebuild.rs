//! Rebuilds: a profile filled with variables, checked before anything is armed, and rendered for the one machine.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use ironwake_api::{
    ApprovedDisk, CLAIM_BYTES_MAX, FieldProblem, ImageSource, ImageWork, InjectedFile, Inventory, MacAddr,
    Machine, OperationKind, OperationNew, ProfileChoice, Work,
};

use super::{NOWHERE, Site, SiteError};
use crate::builders::debian_image::release_of;
use crate::catalog;
use crate::operation::{Purpose, Rebuild, Record, Seen};
use crate::profile::{
    Architecture, DiskFacts, Facts, Firmware, Hardware, Kind, Layers, MachineFacts, OperationFacts, Profile,
    Rendered, ServerFacts, Urls, Values, Written, fits, login, render, resolve,
};

/// The files of one image as JSON; what else there is in the answer to a claim, and URLs, which are longer in it than when an
/// operation is made, have the rest.
const FILES_BYTES_MAX: usize = CLAIM_BYTES_MAX - (1 << 20);
/// Files that a refusal names.
const LARGE_FILES_NAMED: usize = 4;

impl Site {
    /// What an operator wants a machine to be made into, or to run, with everything that is wrong with it.
    pub(super) fn rebuild(
        &self,
        machine: &Machine,
        new: &OperationNew,
        disk: Option<&ApprovedDisk>,
        inventory: Option<&Inventory>,
        wrong: &mut Vec<FieldProblem>,
    ) -> Option<Rebuild> {
        let mut refuse =
            |field: &str, message: String| wrong.push(FieldProblem { field: field.into(), message });
        let Some(name) = &new.profile else {
            refuse("profile", "a rebuild needs one: `ironwake profile list` shows them".into());
            return None;
        };
        let Some(entry) = self.catalog.get(name) else {
            refuse("profile", format!("there is none called {name:?}: `ironwake profile list` shows them"));
            return None;
        };
        if let Err(why) = suits(&entry.profile, new.kind) {
            refuse("profile", why);
            return None;
        }
        for reason in fits(&entry.profile, hardware(machine, inventory, disk)) {
            refuse("profile", reason);
        }
        let layers = self.layers(machine);
        let values = match layers.resolve(&entry.profile, &new.variables) {
            Ok(values) => values,
            Err(problems) => {
                wrong.extend(problems);
                return None;
            }
        };
        if disk.is_none() && new.kind == OperationKind::Rebuild {
            return None;
        }
        let hostname = match self.hostname_for(machine, inventory, &layers) {
            Ok(hostname) => hostname,
            Err(error) => {
                refuse("hostname", error.to_string());
                return None;
            }
        };
        let seen = seen(machine, inventory);
        let mut facts = facts(machine, &hostname, seen, disk, "", NOWHERE, &nowhere());
        facts.artifacts = self.published(NOWHERE);
        facts.operation.heartbeat_secs = entry.profile.heartbeat_secs;
        let written = values.written();
        let rendered = match render(&entry.profile, &values, &facts) {
            Ok(rendered) => rendered,
            Err(error) => {
                refuse("profile", error.to_string());
                return None;
            }
        };
        if let Err(error) = login(&entry.profile, &values, &facts) {
            refuse("profile", error.to_string());
            return None;
        }
        let (image, boot) = match rendered {
            Rendered::Image { image, files } => {
                if let Err(why) = fit_together(&files) {
                    refuse("profile", why);
                    return None;
                }
                match self.fitting_image(&image.artifact, disk) {
                    Ok(image) => (Some(image), None),
                    Err((field, why)) => {
                        refuse(field, why);
                        return None;
                    }
                }
            }
            Rendered::Installer { boot, .. } | Rendered::Live { boot, .. } => {
                match self.boot_sources(&boot) {
                    Ok(boot) => (None, Some(boot)),
                    Err(why) => {
                        refuse("profile", why);
                        return None;
                    }
                }
            }
            Rendered::Local => return None,
        };
        Some(Rebuild {
            choice: ProfileChoice {
                name: entry.profile.name.clone(),
                version: entry.profile.version.clone(),
                variables: shown(&values, &written),
            },
            files: entry.files.clone(),
            hostname: Some(hostname),
            written,
            image,
            boot,
            artifacts: Some(self.settle(&entry.profile, &values, &facts)),
            seen,
            deadlines: entry.profile.deadlines,
            heartbeat_secs: entry.profile.heartbeat_secs,
        })
    }

    /// Why an image is not here, and what brings it.
    pub(super) fn how_to_get(&self, image: &str) -> String {
        if self.builds.is_coming(image) {
            return format!(
                "its image {image:?} is being built: `ironwake artifact build {image}` shows how far it is"
            );
        }
        match release_of(image) {
            Ok(_) => format!("its image {image:?} is not here: `ironwake artifact build {image}` makes it"),
            Err(_) => {
                format!("its image {image:?} is not here: `ironwake artifact import {image} FILE` brings it")
            }
        }
    }

    /// What the agent is to do, with everything that only it may know.
    pub(super) fn work(&self, record: &Record, http: SocketAddrV4) -> Result<Work, SiteError> {
        let operation = &record.operation;
        let Some(rebuild) = &record.rebuild else {
            return Ok(match operation.kind {
                OperationKind::Wipe => {
                    Work::Wipe(ironwake_api::WipeWork { disks: operation.disks.clone(), every_sector: false })
                }
                OperationKind::Rescue => Work::Rescue,
                OperationKind::Inspect => Work::Inspect,
                OperationKind::Rebuild => {
                    return Err(SiteError::NotMade("it does not say what the machine is made into".into()));
                }
            });
        };
        let machine = self.machine(&operation.machine)?;
        match (self.rendered(record, &machine, http)?, &rebuild.image, operation.disks.first()) {
            (Rendered::Image { image, files }, Some(source), Some(disk)) => {
                Ok(Work::Image(Box::new(ImageWork {
                    disk: disk.clone(),
                    image: source.clone(),
                    grow: image.grow,
                    files,
                    boot_entry: image.boot_entry,
                })))
            }
            (Rendered::Live { .. }, None, _) => Ok(Work::Rescue),
            _ => Err(SiteError::NotMade("there is nothing for an agent to do".into())),
        }
    }

    /// What a record's profile gives, with the URLs of this arming.
    pub(super) fn rendered(
        &self,
        record: &Record,
        machine: &Machine,
        http: SocketAddrV4,
    ) -> Result<Rendered, SiteError> {
        let (profile, values, facts) = self.rendering(record, machine, http)?;
        render(&profile, &values, &facts).map_err(|error| broken(&profile.name, &error))
    }

    /// What a record's profile is rendered from, for a machine that reached us at `http`.
    pub(super) fn rendering(
        &self,
        record: &Record,
        machine: &Machine,
        http: SocketAddrV4,
    ) -> Result<(Profile, Values, Facts), SiteError> {
        let rebuild = record.rebuild.as_ref();
        let rebuild = rebuild.ok_or_else(|| SiteError::NotMade("it has no profile".into()))?;
        let name = &rebuild.choice.name;
        if let Some(gone) = self.gone(rebuild, record.operation.state) {
            return Err(broken(name, &gone));
        }
        let profile = catalog::parse(&rebuild.files, name).map_err(|refused| broken(name, &refused))?;
        let values = settled(&profile, &rebuild.written)
            .map_err(|problems| broken(name, &SiteError::Invalid(problems)))?;
        let id = &record.operation.id;
        let token = |purpose| self.key.token(purpose, id, record.armings);
        let base = format!("http://{http}/boot/v1/operations/{id}");
        let urls = Urls {
            files: format!("{base}/files/{}/", token(Purpose::AnswerFile)),
            phone_home: format!("{base}/phone-home/{}", token(Purpose::PhoneHome)),
            installed: format!("{base}/installed/{}", token(Purpose::Installed)),
            heartbeat: format!("{base}/heartbeat/{}", token(Purpose::Heartbeat)),
        };
        let disk = record.operation.disks.first();
        let hostname = rebuild.hostname.clone().unwrap_or_else(|| name_of(machine, rebuild.seen));
        let mut facts = facts(machine, &hostname, rebuild.seen, disk, id, http, &urls);
        facts.artifacts = self.kept(rebuild, http);
        facts.operation.heartbeat_secs = profile.heartbeat_secs;
        facts.operation.ssh_key = record.login.as_ref().map(|login| login.public_key.clone());
        Ok((profile, values, facts))
    }

    /// The image of this name, if the disk holds it.
    fn fitting_image(
        &self,
        artifact: &str,
        disk: Option<&ApprovedDisk>,
    ) -> Result<ImageSource, (&'static str, String)> {
        let Some(found) = self.imports.image(artifact) else {
            return Err(("profile", self.how_to_get(artifact)));
        };
        match (found.disk_bytes, disk) {
            (Some(bytes), Some(disk)) if bytes > disk.size_bytes => Err((
                "disks[0]",
                format!("{} has {} bytes, and the image has {bytes}", disk.name, disk.size_bytes),
            )),
            _ => Ok(found),
        }
    }
}

/// What is known of a machine that a profile has to fit.
pub(super) fn hardware<'a>(
    machine: &Machine,
    inventory: Option<&'a Inventory>,
    disk: Option<&'a ApprovedDisk>,
) -> Hardware<'a> {
    Hardware {
        inventory,
        architecture: Some(Architecture::Amd64),
        firmware: None,
        secure_boot: machine.secure_boot_seen,
        disk,
    }
}

/// A profile that was rendered when its operation was made, and is no more; `why` has the place.
pub(super) fn broken(profile: &str, why: &dyn std::fmt::Display) -> SiteError {
    SiteError::NotMade(format!("profile {profile} cannot be rendered any more: {why}"))
}

/// Whether an image's files fit into the one answer that gives an agent its work.
fn fit_together(files: &[InjectedFile]) -> Result<(), String> {
    let bytes = |file: &InjectedFile| serde_json::to_vec(file).map_or(usize::MAX, |json| json.len());
    let mut sizes: Vec<(usize, &str)> = files.iter().map(|file| (bytes(file), file.path.as_str())).collect();
    let sum = sizes.iter().fold(0, |sum: usize, (bytes, _)| sum.saturating_add(*bytes));
    if sum <= FILES_BYTES_MAX {
        return Ok(());
    }
    sizes.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let named = sizes.iter().take(LARGE_FILES_NAMED).map(|(bytes, path)| format!("{path} with {bytes}"));
    let named: Vec<String> = named.collect();
    Err(format!(
        "its {} files have {sum} bytes together as JSON, more than {FILES_BYTES_MAX}: the largest are {}",
        files.len(),
        named.join(", ")
    ))
}

/// Whether a profile is for operations of this kind; if not, why.
fn suits(profile: &Profile, kind: OperationKind) -> Result<(), String> {
    let (name, its_kind) = (&profile.name, profile.kind.name());
    let installs = matches!(profile.kind, Kind::Image { .. } | Kind::Installer { .. });
    match (&profile.kind, kind) {
        (_, OperationKind::Rebuild) if installs => Ok(()),
        (Kind::Live { .. }, OperationKind::Rescue) => Ok(()),
        (Kind::Live { .. }, _) => Err(format!(
            "{name} is of kind {its_kind}, which installs nothing: `ironwake rescue MACHINE --profile {name}` runs it"
        )),
        (_, OperationKind::Rescue) => Err(format!(
            "{name} is of kind {its_kind}, and rescue writes nothing: it takes a profile of kind live"
        )),
        _ => Err(format!(
            "{name} is of kind {its_kind}: only an image or an installer makes a machine into something"
        )),
    }
}

/// The values that a rebuild was confirmed with over the profile's own.
fn settled(profile: &Profile, written: &Written) -> Result<Values, Vec<FieldProblem>> {
    let none = Written::new();
    resolve(profile, Layers { site: &none, tags: &[], machine: &none, operation: written })
}

/// What it was given anywhere, without the secrets.
fn shown(values: &Values, written: &Written) -> BTreeMap<String, serde_json::Value> {
    let all = serde_json::to_value(values.masked()).unwrap_or_default();
    let given = written.keys().map(|name| (name.clone(), all.get(name).cloned().unwrap_or_default()));
    given.collect()
}

/// What is known of a machine and its operation; `artifacts` is left to [`Site::published`] and [`Site::kept`].
pub(super) fn facts(
    machine: &Machine,
    hostname: &str,
    seen: Seen,
    disk: Option<&ApprovedDisk>,
    operation: &str,
    http: SocketAddrV4,
    urls: &Urls,
) -> Facts {
    let boot_mac = boot_mac(machine, seen);
    Facts {
        hostname: hostname.to_owned(),
        machine: MachineFacts {
            id: machine.id.clone(),
            name: name_of(machine, seen),
            architecture: Architecture::Amd64,
            firmware: if seen.uefi { Firmware::Uefi } else { Firmware::Bios },
            macs: machine.macs.clone(),
            boot_mac,
            address: machine.address.as_deref().and_then(|address| address.parse().ok()),
        },
        operation: OperationFacts { id: operation.to_owned(), ssh_key: None, heartbeat_secs: None },
        disk: disk.map(|disk| DiskFacts {
            path: format!("/dev/{}", disk.name),
            name: disk.name.clone(),
            serial: disk.serial.clone(),
            size_bytes: disk.size_bytes,
        }),
        server: ServerFacts { url: format!("http://{http}") },
        urls: urls.clone(),
        artifacts: BTreeMap::new(),
    }
}

/// What a machine is called: as its operator did, or by an address that it has.
pub(super) fn name_of(machine: &Machine, seen: Seen) -> String {
    let by_mac = || format!("node-{}", boot_mac(machine, seen).dashed().replace('-', ""));
    machine.name.clone().unwrap_or_else(by_mac)
}

/// The NIC that the last inventory came through.
fn boot_mac(machine: &Machine, seen: Seen) -> MacAddr {
    seen.boot_mac.or(machine.macs.first().copied()).unwrap_or(MacAddr([0; 6]))
}

/// How a machine's last inventory shows it: the NIC that it came through, and its firmware.
pub(super) fn seen(machine: &Machine, inventory: Option<&Inventory>) -> Seen {
    let nics = inventory.map(|inventory| inventory.nics.as_slice()).unwrap_or_default();
    let booted = nics.iter().find(|nic| nic.boot).and_then(|nic| nic.mac);
    let mode = inventory.and_then(|inventory| inventory.firmware.mode.as_deref());
    Seen { boot_mac: booted.or(machine.macs.first().copied()), uefi: mode == Some("uefi") }
}

/// URLs for a rendering that nobody gets.
pub(super) fn nowhere() -> Urls {
    let url = format!("http://{NOWHERE}/");
    Urls { files: url.clone(), phone_home: url.clone(), installed: url.clone(), heartbeat: url }
}
