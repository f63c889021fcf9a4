//! Network interfaces with hardware behind them.

use std::{fs, path::Path};

use ironwake_api::{MacAddr, Nic};

use super::{pci::is_address, sysfs};

/// NICs of one machine at most.
const NICS_MAX: usize = 256;
/// The kernel's number for Ethernet (linux/if_arp.h).
const ETHERNET: u64 = 1;

/// Reads the NICs below `root`; [`crate::nic_control::ask_driver`] adds what their drivers say.
pub fn read(root: &Path, boot_mac: Option<MacAddr>) -> Vec<Nic> {
    let all = sysfs::entries(&root.join("sys/class/net")).into_iter();
    let real = all.filter(|(_, folder)| folder.join("device").exists() && is_ethernet(folder));
    real.take(NICS_MAX).map(|(name, folder)| read_nic(name, &folder, boot_mac)).collect()
}

fn is_ethernet(folder: &Path) -> bool {
    sysfs::number(&folder.join("type")).is_none_or(|kind| kind == ETHERNET)
}

fn read_nic(name: String, folder: &Path, boot_mac: Option<MacAddr>) -> Nic {
    let mac = sysfs::text(&folder.join("address")).and_then(|text| text.parse::<MacAddr>().ok());
    // A NIC that is down does not know whether there is a link: reading fails then.
    let link = sysfs::flag(&folder.join("carrier"));
    let speed = sysfs::number(&folder.join("speed")).and_then(|speed| u32::try_from(speed).ok());
    Nic {
        driver: sysfs::link_name(&folder.join("device/driver")),
        pci: pci_address(folder),
        link,
        speed_mbps: speed.filter(|&speed| link == Some(true) && speed != u32::MAX && speed > 0),
        boot: mac.is_some() && mac == boot_mac,
        mac: mac.filter(MacAddr::is_unicast),
        name,
        ..Nic::default()
    }
}

/// The last PCI function on the way to the device: virtio and USB NICs hang behind one.
fn pci_address(folder: &Path) -> Option<String> {
    let real = fs::canonicalize(folder.join("device")).ok()?;
    let mut parts = real.components().filter_map(|part| part.as_os_str().to_str());
    parts.rfind(|part| is_address(part)).map(Into::into)
}
