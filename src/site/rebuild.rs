//! Rebuilds: a profile filled with variables, checked before anything is armed, and rendered for the one machine.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use ironwake_api::{
    ApprovedDisk, FieldProblem, ImageWork, Inventory, MacAddr, Machine, OperationKind, OperationNew,
    ProfileChoice, Work,
};

use super::{NOWHERE, Site, SiteError};
use crate::catalog;
use crate::operation::{Purpose, Rebuild, Record};
use crate::profile::{
    Architecture, DiskFacts, Facts, Firmware, Hardware, Kind, Layers, MachineFacts, OperationFacts, Profile,
    Rendered, ServerFacts, Urls, Values, Written, fits, login, render, resolve,
};

impl Site {
    /// The rebuild that an operator wants, with everything that is wrong with it.
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
        if !matches!(entry.profile.kind, Kind::Image { .. }) {
            refuse(
                "profile",
                format!("{name} is of kind {}: only images are written so far", entry.profile.kind.name()),
            );
            return None;
        }
        let hardware = Hardware {
            inventory,
            architecture: Some(Architecture::Amd64),
            firmware: None,
            secure_boot: machine.secure_boot_seen,
            disk,
        };
        for reason in fits(&entry.profile, hardware) {
            refuse("profile", reason);
        }
        let written = new.variables.clone();
        let values = match values(&entry.profile, &written) {
            Ok(values) => values,
            Err(problems) => {
                wrong.extend(problems);
                return None;
            }
        };
        let facts = facts(machine, inventory, disk?, "", NOWHERE, &nowhere());
        let image = match render(&entry.profile, &values, &facts) {
            Ok(Rendered::Image { image, .. }) => image,
            Ok(_) => return None,
            Err(error) => {
                refuse("profile", error.to_string());
                return None;
            }
        };
        if let Err(error) = login(&entry.profile, &values, &facts) {
            refuse("profile", error.to_string());
            return None;
        }
        let Some(found) = self.imports.image(&image.artifact) else {
            refuse(
                "profile",
                format!(
                    "its image {:?} is not here: `ironwake artifact import {0} FILE` brings it",
                    image.artifact
                ),
            );
            return None;
        };
        if let (Some(bytes), Some(disk)) = (found.disk_bytes, disk)
            && bytes > disk.size_bytes
        {
            refuse(
                "disks[0]",
                format!("{} has {} bytes, and the image has {bytes}", disk.name, disk.size_bytes),
            );
        }
        Some(Rebuild {
            choice: ProfileChoice {
                name: entry.profile.name.clone(),
                version: entry.profile.version.clone(),
                variables: shown(&values, &written),
            },
            files: entry.files.clone(),
            written,
            image: found,
            deadlines: entry.profile.deadlines,
        })
    }

    /// What the agent is to do, with everything that only it may know.
    pub(super) async fn work(&self, record: &Record, http: SocketAddrV4) -> Result<Work, SiteError> {
        let operation = &record.operation;
        let Some(rebuild) = &record.rebuild else {
            return Ok(match operation.kind {
                OperationKind::Wipe => {
                    Work::Wipe(ironwake_api::WipeWork { disks: operation.disks.clone(), every_sector: false })
                }
                OperationKind::Rescue => Work::Rescue,
                OperationKind::Inspect => Work::Inspect,
                OperationKind::Rebuild => {
                    return Err(SiteError::Conflict("it does not say what the machine is made into".into()));
                }
            });
        };
        let (profile, values, facts) = self.rendering(record, http).await?;
        let disk = operation.disks.first().ok_or_else(|| broken("it has no disk".into()))?;
        match render(&profile, &values, &facts).map_err(|error| broken(error.to_string()))? {
            Rendered::Image { image, files } => Ok(Work::Image(Box::new(ImageWork {
                disk: disk.clone(),
                image: rebuild.image.clone(),
                grow: image.grow,
                files,
                boot_entry: image.boot_entry,
            }))),
            _ => Err(broken("it is no image".into())),
        }
    }

    /// What a rebuild is rendered from, for a machine that reached us at `http`.
    pub(super) async fn rendering(
        &self,
        record: &Record,
        http: SocketAddrV4,
    ) -> Result<(Profile, Values, Facts), SiteError> {
        let operation = &record.operation;
        let rebuild = record.rebuild.as_ref().ok_or_else(|| broken("it has none".into()))?;
        let machine = self.machine(&operation.machine)?;
        let inventory = self.store.inventory(&machine.id).await?.map(|record| record.inventory);
        let profile = catalog::parse(&rebuild.files, &rebuild.choice.name)
            .map_err(|refused| broken(refused.to_string()))?;
        let values = values(&profile, &rebuild.written).map_err(SiteError::Invalid)?;
        let disk = operation.disks.first().ok_or_else(|| broken("it has no disk".into()))?;
        let token = self.key.token(Purpose::PhoneHome, &operation.id, record.armings);
        let base = format!("http://{http}/boot/v1/operations/{}", operation.id);
        let urls = Urls {
            files: format!("{base}/files/"),
            phone_home: format!("{base}/phone-home/{token}"),
            installed: format!("{base}/report"),
        };
        let mut facts = facts(&machine, inventory.as_ref(), disk, &operation.id, http, &urls);
        facts.operation.ssh_key = record.login.as_ref().map(|login| login.public_key.clone());
        Ok((profile, values, facts))
    }
}

fn broken(why: String) -> SiteError {
    SiteError::Conflict(format!("the profile cannot be rendered any more: {why}"))
}

/// An operator's values over the profile's own; site, tags and machines have none so far.
pub(super) fn values(profile: &Profile, written: &Written) -> Result<Values, Vec<FieldProblem>> {
    let none = Written::new();
    resolve(profile, Layers { site: &none, tags: &[], machine: &none, operation: written })
}

/// What the operator gave, without the secrets.
fn shown(values: &Values, written: &Written) -> BTreeMap<String, serde_json::Value> {
    let all = serde_json::to_value(values.masked()).unwrap_or_default();
    let given = written.keys().map(|name| (name.clone(), all.get(name).cloned().unwrap_or_default()));
    given.collect()
}

pub(super) fn facts(
    machine: &Machine,
    inventory: Option<&Inventory>,
    disk: &ApprovedDisk,
    operation: &str,
    http: SocketAddrV4,
    urls: &Urls,
) -> Facts {
    let boot_mac = boot_mac(machine, inventory);
    let uefi = inventory.and_then(|inventory| inventory.firmware.mode.as_deref()) == Some("uefi");
    let name = machine.name.clone().unwrap_or_else(|| format!("node-{}", boot_mac.dashed().replace('-', "")));
    Facts {
        hostname: name.clone(),
        machine: MachineFacts {
            id: machine.id.clone(),
            name,
            architecture: Architecture::Amd64,
            firmware: if uefi { Firmware::Uefi } else { Firmware::Bios },
            macs: machine.macs.clone(),
            boot_mac,
            address: machine.address.as_deref().and_then(|address| address.parse().ok()),
        },
        operation: OperationFacts { id: operation.to_owned(), ssh_key: None },
        disk: Some(DiskFacts {
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

/// The NIC that the last inventory came through.
fn boot_mac(machine: &Machine, inventory: Option<&Inventory>) -> MacAddr {
    let nics = inventory.map(|inventory| inventory.nics.as_slice()).unwrap_or_default();
    let booted = nics.iter().find(|nic| nic.boot).and_then(|nic| nic.mac);
    booted.or(machine.macs.first().copied()).unwrap_or(MacAddr([0; 6]))
}

/// URLs for a rendering that nobody gets.
pub(super) fn nowhere() -> Urls {
    let url = format!("http://{NOWHERE}/");
    Urls { files: url.clone(), phone_home: url.clone(), installed: url }
}
