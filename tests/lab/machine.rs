//! A machine as it is bought: firmware, disks, NICs, identity. QEMU's arguments are made here.

use std::ffi::OsString;
use std::path::Path;

use ironwake_api::MacAddr;

use super::disk::Disk;
use super::error::LabError;
use super::firmware::Firmware;

/// A NIC's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicModel {
    /// virtio-net.
    Virtio,
    /// Intel 82574L.
    E1000e,
}

/// A NIC.
#[derive(Debug, Clone)]
pub struct Nic {
    /// Model.
    pub model: NicModel,
    /// Address.
    pub mac: MacAddr,
}

/// What SMBIOS says of the machine.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// UUID; all zero if `None`.
    pub uuid: Option<String>,
    /// Manufacturer of system and board.
    pub manufacturer: String,
    /// Product.
    pub product: String,
    /// Serial number.
    pub serial: String,
    /// Asset tag of the chassis.
    pub asset_tag: String,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name in the lab; files and taps are called after it.
    pub name: String,
    /// Firmware.
    pub firmware: Firmware,
    /// Disks.
    pub disks: Vec<Disk>,
    /// NICs; the firmware boots from the first.
    pub nics: Vec<Nic>,
    /// What SMBIOS says.
    pub identity: Identity,
    /// Memory in MiB: what the discovery image has to live with.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// Its NICs are on the bridge behind the DHCP relay.
    pub behind_relay: bool,
}

impl Machine {
    /// Machine `number` of a lab, with one virtio NIC and an identity of its own.
    pub fn new(number: u8, firmware: Firmware) -> Self {
        let mut machine = Self {
            name: format!("m{number}"),
            firmware,
            disks: Vec::new(),
            nics: Vec::new(),
            identity: Identity {
                uuid: Some(format!("77000000-0000-4000-8000-0000000000{number:02x}")),
                manufacturer: "Ironwake Lab".into(),
                product: "Test Machine".into(),
                serial: format!("LAB{number:04}"),
                asset_tag: format!("ASSET{number:04}"),
            },
            memory_mib: 512,
            cpus: 2,
            behind_relay: false,
        };
        machine.add_nic(NicModel::Virtio, number);
        machine
    }

    /// Adds a disk.
    pub fn with_disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Replaces the NICs.
    pub fn with_nics(mut self, models: &[NicModel]) -> Self {
        let number = self.nics.first().map_or(0, |nic| nic.mac.0[4]);
        self.nics.clear();
        for model in models {
            self.add_nic(*model, number);
        }
        self
    }

    fn add_nic(&mut self, model: NicModel, number: u8) {
        let mac = MacAddr([0x52, 0x54, 0x00, 0x77, number, self.nics.len() as u8]);
        self.nics.push(Nic { model, mac });
    }

    /// Whether one of its NICs has this address.
    pub fn has(&self, mac: MacAddr) -> bool {
        self.nics.iter().any(|nic| nic.mac == mac)
    }

    /// The tap behind NIC `number`.
    pub fn tap(&self, number: usize) -> String {
        format!("{}n{number}", self.name)
    }

    /// QEMU's arguments; files of the machine are made in `folder`.
    pub fn arguments(&self, folder: &Path, serial_log: &Path) -> Result<Vec<OsString>, LabError> {
        // Hardware virtualisation hangs on some hosts of this kind; OVMF since 2025 starts no network boot
        // without a random number generator.
        let fixed = "-nodefaults -display none -accel tcg,thread=multi -cpu max -device virtio-rng-pci";
        let mut words: Vec<OsString> = fixed.split(' ').map(OsString::from).collect();
        words.extend(self.firmware.arguments(&folder.join(format!("{}.vars", self.name)))?);
        let mut add = |name: &str, value: String| words.extend([name.into(), value.into()]);
        add("-name", self.name.clone());
        add("-m", self.memory_mib.to_string());
        add("-smp", self.cpus.to_string());
        add("-serial", format!("file:{}", serial_log.display()));
        let identity = &self.identity;
        if let Some(uuid) = &identity.uuid {
            add("-uuid", uuid.clone());
        }
        let text = |value: &str| value.replace(',', ",,");
        let (maker, product, serial) =
            (text(&identity.manufacturer), text(&identity.product), text(&identity.serial));
        add("-smbios", format!("type=1,manufacturer={maker},product={product},serial={serial}"));
        add("-smbios", format!("type=2,manufacturer={maker},product={product} board,serial=B-{serial}"));
        let asset = text(&identity.asset_tag);
        add("-smbios", format!("type=3,manufacturer={maker},serial=C-{serial},asset={asset}"));
        add("-smbios", format!("type=17,manufacturer={maker},part=LAB-DIMM,serial=D-{serial},speed=3200"));
        for (number, nic) in self.nics.iter().enumerate() {
            let tap = self.tap(number);
            add("-netdev", format!("tap,id=net{number},ifname={tap},script=no,downscript=no"));
            let model = match nic.model {
                NicModel::Virtio => "virtio-net-pci",
                NicModel::E1000e => "e1000e",
            };
            // UEFI brings its own network stack; its driver replaces the ROM. BIOS has none without the ROM.
            let rom = if self.firmware.is_uefi() { ",romfile=" } else { "" };
            add(
                "-device",
                format!("{model},netdev=net{number},mac={},bootindex={}{rom}", nic.mac, 1 + number),
            );
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let image = folder.join(format!("{}.disk{number}", self.name));
            disk.create(&image)?;
            words.extend(disk.arguments(number, &image).into_iter().map(OsString::from));
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_becomes_arguments() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut machine = Machine::new(7, Firmware::Bios).with_nics(&[NicModel::Virtio, NicModel::E1000e]);
        machine.identity.serial = "a,b".into();
        let words = machine.arguments(folder.path(), &folder.path().join("serial")).expect("arguments");
        let line = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        for part in
            ["mac=52:54:00:77:07:00,bootindex=1", "e1000e,netdev=net1,mac=52:54:00:77:07:01", "serial=a,,b"]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("romfile"));
    }
}
