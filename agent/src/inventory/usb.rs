//! USB devices, hubs left out.

use std::path::Path;

use ironwake_api::UsbDevice;

use super::sysfs;

/// Devices of one machine at most.
const DEVICES_MAX: usize = 512;
/// The device class of hubs.
const HUB: &str = "09";

/// Reads all devices below `root`.
pub fn read(root: &Path) -> Vec<UsbDevice> {
    let all = sysfs::entries(&root.join("sys/bus/usb/devices")).into_iter();
    all.filter_map(|(path, folder)| read_device(path, &folder)).take(DEVICES_MAX).collect()
}

fn read_device(path: String, folder: &Path) -> Option<UsbDevice> {
    let text = |name: &str| sysfs::text(&folder.join(name));
    // Interfaces stand in the same folder and have no vendor.
    let id = format!("{}:{}", text("idVendor")?, text("idProduct")?);
    if text("bDeviceClass").as_deref() == Some(HUB) {
        return None;
    }
    Some(UsbDevice {
        path,
        id,
        manufacturer: text("manufacturer"),
        product: text("product"),
        serial: text("serial"),
        speed_mbps: text("speed"),
    })
}
